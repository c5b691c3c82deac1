"""The CQL statements by name. What their values are is in `queries`.

Every write is an upsert under a key that was made with the event, within one partition, with the event's time
as timestamp and the rest of its life as TTL. So writing again, late or out of order gives the same rows, and
never brings back what was erased since. Rows that belong to no event's time have a single writer, or a number
in the place of a timestamp (`turns`): no statement uses the clock of its host, except for rows that are
written only once, or that only wait.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Final

from engagement.stores.cassandra.rows.stored import BRIEF, FOUND, SLIM

MARKED_AT: Final = 1 << 61  # of marks: far ahead of any clock, as earlier versions used theirs

# Conditions that a read by time may hand to the node: it goes through one partition's range all the same, and
# sends only what matches. Two at a time; the others are looked at here.
_FILTERED: Final = {
    **{name: f"AND {name} = ?" for name in ("domain", "ordinal", "bounce_class", "tags", "type")},
    # A class with and without the sign that it is no more than probable.
    "client": "AND client >= ? AND client <= ?",
}
FILTERED: Final = tuple(_FILTERED)


_SHORT: Final = {
    "$slim": ", ".join(SLIM),
    "$found": ", ".join(FOUND),
    "$brief": ", ".join(BRIEF),
    "$marks": ", ".join("?" * len(SLIM)),
    "$before": "at_ms >= ? AND (at_ms, event_id) < (?, ?)",
}


def _tidy(statements: Mapping[str, str]) -> dict[str, str]:
    """Return statements with what is short for columns written out, and each on one line."""
    tidied = {}
    for name, text in statements.items():
        for short, expansion in _SHORT.items():
            text = text.replace(short, expansion)
        tidied[name] = " ".join(text.split())
    return tidied


def _by_column(name: str, text: str) -> dict[str, str]:
    """Return a read by time, and the same for each one or two conditions that it may hand to the node.

    Each is there once more, with "brief" behind its name, for the few columns of `BRIEF`.
    """
    several = [columns for number in (1, 2) for columns in combinations(FILTERED, number)]
    filtered = {
        "_".join((name, *columns)): f"{text} {' '.join(map(_FILTERED.__getitem__, columns))} ALLOW FILTERING"
        for columns in several
    }
    whole = {name: text} | filtered
    return whole | {f"{each}_brief": read.replace("$found", "$brief") for each, read in whole.items()}


_EVENT_WRITES: Final = {
    "event_by_message": """
        INSERT INTO {keyspace}.event_by_message (message, at_ms, event_id, tenant, link, body)
        VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "injection_by_message": """
        INSERT INTO {keyspace}.injection_by_message (message, at_ms, event_id, tenant, body, lent)
        VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "event_by_hour": """
        INSERT INTO {keyspace}.event_by_hour (tenant, hour, shard, $slim)
        VALUES (?, ?, ?, $marks) USING TTL ? AND TIMESTAMP ?""",
    "event_by_day": """
        INSERT INTO {keyspace}.event_by_day (tenant, what, value, day, shard, $slim)
        VALUES (?, ?, ?, ?, ?, $marks) USING TTL ? AND TIMESTAMP ?""",
    "message_by_recipient": """
        INSERT INTO {keyspace}.message_by_recipient (tenant, recipient, period, message)
        VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "lookup": """
        INSERT INTO {keyspace}.lookup (tenant, what, name, message)
        VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "hour_by_campaign": """
        INSERT INTO {keyspace}.hour_by_campaign (tenant, campaign, hour, shards)
        VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "tag_set": """
        INSERT INTO {keyspace}.tag_set (place, tenant, customer, set_id, tags, used)
        VALUES (?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "arrival": """
        INSERT INTO {keyspace}.arrival (shipper, part, number, events) VALUES (?, ?, ?, ?) USING TTL ?""",
    "shipper": """
        INSERT INTO {keyspace}.shipper (place, shipper, told) VALUES (?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
    "waiting": """
        INSERT INTO {keyspace}.waiting (what, name, event_id, body) VALUES (?, ?, ?, ?) USING TTL ?""",
    "no_longer_waiting": """
        DELETE FROM {keyspace}.waiting USING TIMESTAMP ? WHERE what = ? AND name = ? AND event_id = ?""",
}
_LABEL_WRITES: Final = {
    "label": """
        UPDATE {keyspace}.event_by_message USING TTL ? AND TIMESTAMP ? SET body = ?
        WHERE message = ? AND at_ms = ? AND event_id = ?""",
    "label_in_hour": """
        UPDATE {keyspace}.event_by_hour USING TTL ? AND TIMESTAMP ? SET client = ?
        WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms = ? AND event_id = ?""",
    "label_in_day": """
        UPDATE {keyspace}.event_by_day USING TTL ? AND TIMESTAMP ? SET client = ?
        WHERE tenant = ? AND what = ? AND value = ? AND day = ? AND shard = ? AND at_ms = ?
            AND event_id = ?""",
    "past_label": """
        INSERT INTO {keyspace}.past_label (message, event_id, turn, until_ms, label) VALUES (?, ?, ?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
}
_FIGURE_WRITES: Final = {
    "stale_day": """
        INSERT INTO {keyspace}.stale_day (place, tenant, day, shipper, vs) VALUES (?, ?, ?, ?, ?)
        USING TIMESTAMP ?""",
    "no_longer_stale": """
        DELETE FROM {keyspace}.stale_day USING TIMESTAMP ?
        WHERE place = ? AND tenant = ? AND day = ? AND shipper = ?""",
    "tally": """
        INSERT INTO {keyspace}.tally (tenant, day, v, message, at_ms, event_id, label, fact)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "label_in_tally": """
        UPDATE {keyspace}.tally USING TTL ? AND TIMESTAMP ? SET label = ?
        WHERE tenant = ? AND day = ? AND v = ? AND message = ? AND at_ms = ? AND event_id = ?""",
    "part": """
        INSERT INTO {keyspace}.part (tenant, day, v, cells) VALUES (?, ?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
    "figure": """
        INSERT INTO {keyspace}.figure (tenant, cube, period, day, a, b, cells) VALUES (?, ?, ?, ?, ?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
    "figure_day": """
        INSERT INTO {keyspace}.figure_day (place, tenant, day) VALUES (?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
    "hour_figures": """
        INSERT INTO {keyspace}.figure_by_hour (tenant, campaign, hour, figures)
        VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "seen": """
        INSERT INTO {keyspace}.seen (tenant, campaign, v, message, day, turn, ever)
        VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?""",
    "life": """
        INSERT INTO {keyspace}.life (tenant, campaign, v, cells) VALUES (?, ?, ?, ?)
        USING TTL ? AND TIMESTAMP ?""",
}
_ERASURES: Final = {
    "erased": "INSERT INTO {keyspace}.secret (name, value) VALUES ('erased', ?)",
    "erase_message": "DELETE FROM {keyspace}.event_by_message USING TIMESTAMP ? WHERE message = ?",
    "erase_injection": "DELETE FROM {keyspace}.injection_by_message USING TIMESTAMP ? WHERE message = ?",
    "erase_past": "DELETE FROM {keyspace}.past_label USING TIMESTAMP ? WHERE message = ?",
    "erase_in_hour": """
        DELETE FROM {keyspace}.event_by_hour USING TIMESTAMP ?
        WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms = ? AND event_id = ?""",
    "erase_in_day": """
        DELETE FROM {keyspace}.event_by_day USING TIMESTAMP ?
        WHERE tenant = ? AND what = ? AND value = ? AND day = ? AND shard = ? AND at_ms = ?
            AND event_id = ?""",
    "erase_in_tally": """
        DELETE FROM {keyspace}.tally USING TIMESTAMP ?
        WHERE tenant = ? AND day = ? AND v = ? AND message = ?""",
    "erase_lookup": """
        DELETE FROM {keyspace}.lookup USING TIMESTAMP ?
        WHERE tenant = ? AND what = ? AND name = ? AND message = ?""",
    "erase_recipient": """
        DELETE FROM {keyspace}.message_by_recipient USING TIMESTAMP ?
        WHERE tenant = ? AND recipient = ? AND period = ?""",
}
_EVENT_READS: Final = {
    "events": """
        SELECT message, at_ms, event_id, tenant, link, fields, body FROM {keyspace}.event_by_message
        WHERE message IN ? AND at_ms >= ? AND at_ms <= ?""",
    "event": """
        SELECT message, at_ms, event_id, tenant, link, fields, body FROM {keyspace}.event_by_message
        WHERE message = ? AND at_ms = ? AND event_id = ?""",
    "events_of": """
        SELECT message, at_ms, event_id, tenant, link, fields, body FROM {keyspace}.event_by_message
        WHERE message IN ? PER PARTITION LIMIT ?""",
    "newest_events": """
        SELECT message, at_ms, event_id, tenant, link, fields, body FROM {keyspace}.event_by_message
        WHERE message = ? ORDER BY at_ms DESC, event_id DESC LIMIT ?""",
    "injections": """
        SELECT message, at_ms, event_id, tenant, fields, body, lent FROM {keyspace}.injection_by_message
        WHERE message IN ?""",
    "lent": """
        SELECT message, at_ms, event_id, lent FROM {keyspace}.injection_by_message WHERE message IN ?""",
    "hour": """
        SELECT $slim FROM {keyspace}.event_by_hour
        WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms >= ? AND at_ms < ?""",
    "hour_forward": """
        SELECT at_ms, event_id, message, client FROM {keyspace}.event_by_hour
        WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms < ? AND (at_ms, event_id) > (?, ?)
        ORDER BY at_ms ASC, event_id ASC""",
    **_by_column(
        "hour_before",
        """
        SELECT $found FROM {keyspace}.event_by_hour
        WHERE tenant = ? AND hour = ? AND shard = ? AND $before""",
    ),
    **_by_column(
        "day_before",
        """
        SELECT $found FROM {keyspace}.event_by_day
        WHERE tenant = ? AND what = ? AND value = ? AND day = ? AND shard = ? AND $before""",
    ),
    "one": """
        SELECT message FROM {keyspace}.event_by_hour
        WHERE tenant = ? AND hour = ? AND shard = ? AND at_ms = ? AND event_id = ?""",
    "messages": """
        SELECT message FROM {keyspace}.message_by_recipient
        WHERE tenant = ? AND recipient = ? AND period = ?""",
    "named": "SELECT message FROM {keyspace}.lookup WHERE tenant = ? AND what = ? AND name = ?",
    "waiting_for": """
        SELECT event_id, body, WRITETIME(body) FROM {keyspace}.waiting WHERE what = ? AND name = ?""",
    "past_labels": """
        SELECT turn, until_ms, label FROM {keyspace}.past_label WHERE message = ? AND event_id = ?""",
    "hours": """
        SELECT hour, shards FROM {keyspace}.hour_by_campaign
        WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ?""",
    "campaigns": """
        SELECT DISTINCT tenant, campaign FROM {keyspace}.hour_by_campaign""",
    "first_hour": """
        SELECT hour FROM {keyspace}.hour_by_campaign WHERE tenant = ? AND campaign = ''
        ORDER BY hour ASC, shards ASC LIMIT 1""",
    "last_hour": """
        SELECT hour FROM {keyspace}.hour_by_campaign WHERE tenant = ? AND campaign = '' LIMIT 1""",
    "arrivals": """
        SELECT number, events FROM {keyspace}.arrival
        WHERE shipper = ? AND part = ? AND number >= ? LIMIT ?""",
    "shippers": "SELECT shipper, told FROM {keyspace}.shipper WHERE place = ?",
}
_OTHER_READS: Final = {
    "figures_of": """
        SELECT figures FROM {keyspace}.figure_by_hour
        WHERE tenant = ? AND campaign = ? AND hour >= ? AND hour <= ?""",
    "tag_sets": """
        SELECT set_id, tags, used FROM {keyspace}.tag_set
        WHERE place = ? AND tenant = ? AND customer = ?""",
    "all_tag_sets": """
        SELECT set_id, tags, used FROM {keyspace}.tag_set WHERE place = ? AND tenant = ?""",
    "stale_days": "SELECT tenant, day, shipper, vs FROM {keyspace}.stale_day WHERE place = ?",
    "take_turn": """
        UPDATE {keyspace}.turn USING TTL ? SET taken = ?, shipper = ? WHERE tenant = ? AND hour = ?
        IF taken = ? AND shipper = ?""",
    "tally_of": """
        SELECT message, at_ms, event_id, label, fact FROM {keyspace}.tally
        WHERE tenant = ? AND day = ? AND v = ?""",
    "tally_from": """
        SELECT message, at_ms, event_id, label, fact FROM {keyspace}.tally
        WHERE tenant = ? AND day = ? AND v = ? AND message = ? AND at_ms > ?""",
    "tally_rows": """
        SELECT at_ms, event_id, label, fact, TTL(fact), WRITETIME(fact) FROM {keyspace}.tally
        WHERE tenant = ? AND day = ? AND v = ? AND message = ?""",
    "parts": "SELECT v, cells FROM {keyspace}.part WHERE tenant = ? AND day = ?",
    "figures": """
        SELECT day, a, b, cells FROM {keyspace}.figure
        WHERE tenant = ? AND cube = ? AND period = ? AND day >= ? AND day <= ?""",
    "figures_in": """
        SELECT day, a, b, cells FROM {keyspace}.figure
        WHERE tenant = ? AND cube = ? AND period IN ? AND day >= ? AND day <= ?""",
    "figures_of_groups": """
        SELECT day, a, b, cells FROM {keyspace}.figure
        WHERE tenant = ? AND cube = ? AND period = ? AND day = ? AND a IN ?""",
    "figure_stamps": """
        SELECT day, WRITETIME(cells) FROM {keyspace}.figure
        WHERE tenant = ? AND cube = ? AND period = ? AND day >= ? AND day <= ?""",
    "ranks": """
        SELECT day, cells, WRITETIME(cells) FROM {keyspace}.figure
        WHERE tenant = ? AND cube = ? AND period IN ?""",
    "figure_days": """
        SELECT day FROM {keyspace}.figure_day WHERE place = ? AND tenant = ? AND day >= ? AND day <= ?""",
    "seen_of": "SELECT message, turn, ever FROM {keyspace}.seen WHERE tenant = ? AND campaign = ? AND v = ?",
    "lives": "SELECT cells FROM {keyspace}.life WHERE tenant = ? AND campaign = ?",
    "secret": "SELECT value FROM {keyspace}.secret WHERE name = ?",
}

WRITES: Final = _tidy({**_EVENT_WRITES, **_LABEL_WRITES, **_FIGURE_WRITES, **_ERASURES})
READS: Final = _tidy({**_EVENT_READS, **_OTHER_READS})
