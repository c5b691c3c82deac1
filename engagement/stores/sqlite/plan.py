"""Which statement answers a query. No connections: what must be asked for that is asked by the caller.

SQLite has no statistics here and would take a wrong index, so each statement names its own (INDEXED BY). It
is read in ranges, one for each of several values, each newest first with a limit of its own, and these are
merged: SQLite does not merge the ranges of an IN by itself.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

from engagement.events.classify import MACHINES
from engagement.events.rows import REPEAT_MS
from engagement.stores.port import Query, UnsupportedQueryError
from engagement.stores.sqlite.codes import (
    CLASS_CODES,
    CLASSES,
    LABELLED,
    PROBE,
    TYPE_CODES,
    TYPES,
    recipient_hash,
)

RANGES: Final = 400  # SQLite allows 500 parts of one UNION ALL
FAR_MS: Final = 1 << 62  # later than any event, and SQLite can hold it

# The same rule as events.rows.repeats: a row is a repeat if any row before it lies within REPEAT_MS. What
# repeats what is a matter of one message, as a link names its message.
_REPEAT: Final = f"""CASE WHEN event.link = 0 THEN 0 ELSE EXISTS (
    SELECT 1 FROM event AS before INDEXED BY by_message
    WHERE before.message = event.message AND before.tenant = event.tenant
        AND before.at_ms > event.at_ms - {REPEAT_MS} AND before.at_ms <= event.at_ms
        AND before.link = event.link AND before.type = event.type AND before.class = event.class
        AND (before.at_ms, before.event_id) < (event.at_ms, event.event_id)
) END"""  # noqa: S608 - a number of ours
_SHOWN: Final = f"""
SELECT event.event_id, event.type, event.class, event.certain, event.reason, event.rules, body.hash,
    body.record, message.lent, {_REPEAT}, event.place, event.at_ms
"""
_JOIN_MESSAGE: Final = "LEFT JOIN message ON message.message = event.message"
ARRIVALS: Final = f"""{_SHOWN} FROM body CROSS JOIN event ON event.tenant = body.tenant
    AND event.at_ms = body.at_ms AND event.event_id = body.event_id {_JOIN_MESSAGE}
WHERE body.place > ? ORDER BY body.place LIMIT ?"""
_KEY: Final = "sqlite_autoindex_event_1"  # SQLite's name for the table's own key
_ORDER: Final = "at_ms DESC, event_id DESC"
# The types that may have a bounce class: of a hundred events one or two.
_BOUNCING: Final = {
    TYPE_CODES[name] for name in ("delay", "bounce", "expiration", "out_of_band", "spam_complaint")
}
# What conditions look at in these indexes. Where one looks at anything else, SQLite reads each entry's row.
_HELD: Final = {
    "by_domain": ("domain", "type", "class", "campaign"),
    "by_sender": ("sender", "type", "class"),
    "by_tags": ("tags", "type", "class"),
}


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query in the numbers of the file. None: any; an empty set matches nothing.

    messages, events: which a query by names of them has come down to. within: messages that events are asked
    of by their ids. tenant: -1 for one that is not there.
    """

    tenant: int
    from_ms: int | None
    to_ms: int | None
    expired: bool
    types: tuple[int, ...] | None = None
    classes: tuple[int, ...] | None = None
    campaigns: tuple[int, ...] | None = None
    domains: tuple[int, ...] | None = None
    senders: tuple[int, ...] | None = None
    tags: tuple[int, ...] | None = None
    ordinals: tuple[int, ...] | None = None
    bounces: tuple[int, ...] | None = None
    recipients: tuple[int, ...] | None = None
    messages: tuple[bytes, ...] | None = None
    events: tuple[tuple[int, bytes], ...] | None = None
    within: tuple[bytes, ...] | None = None
    before: tuple[int, bytes] | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing can match."""
        sets = (self.types, self.classes, self.campaigns, self.domains, self.senders, self.tags)
        more = (self.ordinals, self.bounces, self.recipients)
        nothing = any(each is not None and not each for each in (*sets, *more))
        named = self.messages is not None or self.events is not None
        return self.tenant < 0 or nothing or (named and not self.messages and not self.events)


@dataclass(frozen=True, slots=True)
class Lead:
    """One way to read what matches: an index, and its ranges as conditions with their values."""

    index: str
    ranges: tuple[tuple[str, tuple[object, ...]], ...]


def types_of(query: Query) -> tuple[int, ...] | None:
    """Return the types that can match, None for all."""
    found = set(range(1, len(TYPES)))
    if query.types:
        found &= {TYPE_CODES[name] for name in query.types if name in TYPE_CODES}
    if query.classes:
        found &= set(LABELLED)
    if query.bounce_classes:
        found &= _BOUNCING
    narrowed = query.types or query.classes or query.bounce_classes
    return tuple(sorted(found)) if narrowed else None


def classes_of(query: Query) -> tuple[int, ...] | None:
    """Return the classes that are asked for, None for all."""
    if not query.classes:
        return None
    return tuple(sorted({CLASS_CODES[name] for name in query.classes if name in CLASS_CODES}))


def recipients_of(query: Query) -> tuple[int, ...] | None:
    """Return the hashes of the recipients that are asked for, None for all."""
    if not query.recipients:
        return None
    return tuple(recipient_hash(query.tenant, recipient.lower()) for recipient in query.recipients)


def leads(query: ResolvedQuery) -> list[Lead]:
    """Return the ways to read what matches, the one that is mostly best first.

    Raises UnsupportedQueryError for too many combinations of values.
    """
    if query.messages is not None or query.events is not None:
        return [_by_names(query)]
    found = []
    if query.campaigns is not None:
        found.append(_lead("by_campaign", ("campaign", query.campaigns), ("type", _types(query))))
    for index, column, values in (
        ("by_domain", "domain", query.domains),
        ("by_bounce", "bounce", query.bounces),
        ("by_tags", "tags", query.tags),
        ("by_sender", "sender", query.senders),
    ):
        if values is not None:
            found.append(_lead(index, (column, values)))
    if query.types is not None or query.classes is not None:
        found.append(_by_kind(query))
    fitting = [lead for lead in found if len(lead.ranges) <= RANGES]
    if found and not fitting:
        raise UnsupportedQueryError(
            f"more than {RANGES} combinations of values: name fewer of them at a time"
        )
    return fitting or [Lead("", (("event.tenant = ?", (query.tenant,)),))]


def _lead(index: str, *columns: tuple[str, tuple[int, ...]]) -> Lead:
    ranges = []
    for values in product(*(values for _, values in columns)):
        where = " AND ".join(f"event.{name} = ?" for name, _ in columns)
        partial = f" AND event.{columns[0][0]} <> 0"  # lets the partial index be used
        ranges.append((where + partial, values))
    return Lead(index, tuple(ranges))


def _by_kind(query: ResolvedQuery) -> Lead:
    """Return the ranges of types and classes; what is no hit has no class."""
    ranges = [
        ("event.type = ? AND event.class = ?", (kind, client))
        for kind in _types(query)
        for client in (
            (range(len(CLASSES)) if query.classes is None else query.classes) if kind in LABELLED else (0,)
        )
    ]
    return Lead("by_kind", tuple(ranges))


def _types(query: ResolvedQuery) -> tuple[int, ...]:
    return tuple(range(1, len(TYPES))) if query.types is None else query.types


def _by_names(query: ResolvedQuery) -> Lead:
    ranges: list[tuple[str, tuple[object, ...]]] = []
    messages = query.messages or ()
    for start in range(0, len(messages), 500):
        some = messages[start : start + 500]
        ranges.append((f"event.message IN ({_marks(len(some))})", some))
    for at_ms, event_id in query.events or ():
        ranges.append(
            ("event.tenant = ? AND event.at_ms = ? AND event.event_id = ?", (query.tenant, at_ms, event_id))
        )
    return Lead("by_message", tuple(ranges[:RANGES]))


def conditions(
    query: ResolvedQuery, lead: Lead, held: tuple[str, ...] = ()
) -> tuple[list[str], list[object]]:
    """Return what a row must meet beside a range of the lead, and the values bound.

    held: columns of values that are looked at, all if empty.
    """
    where, bound = ["event.tenant = ?"], list[object]([query.tenant])
    if not query.expired and lead.index != "by_bounce":
        where.append("event.expired = 0")
    for sign, at_ms in ((">=", query.from_ms), ("<", query.to_ms)):
        if at_ms is not None:
            where.append(f"event.at_ms {sign} ?")
            bound.append(min(max(at_ms, -FAR_MS), FAR_MS))
    if query.before is not None:
        where.append("(event.at_ms, event.event_id) < (?, ?)")
        bound += query.before
    ranged = (
        {part.split()[0].partition(".")[2] for part in lead.ranges[0][0].split(" AND ")}
        if lead.ranges
        else set()
    )
    for column, values in _values(query):
        if column not in ranged and (not held or column in held):
            where.append(f"+event.{column} IN ({_marks(len(values))})")
            bound += values
    return where, bound


def _values(query: ResolvedQuery) -> list[tuple[str, tuple[object, ...]]]:
    """Return the columns of which values are asked for, with these."""
    columns: tuple[tuple[str, tuple[object, ...] | None], ...] = (
        *(("type", query.types), ("class", query.classes), ("campaign", query.campaigns)),
        *(("domain", query.domains), ("sender", query.senders), ("tags", query.tags)),
        *(("ordinal", query.ordinals), ("bounce", query.bounces), ("recipient", query.recipients)),
        ("message", query.within),
    )
    return [(column, values) for column, values in columns if values is not None]


def _matching(
    query: ResolvedQuery, lead: Lead, condition: str, values: tuple[object, ...]
) -> tuple[str, str, list[object]]:
    """Return the name of the table of whole rows of a range, where they come from, and the values bound.

    With a bounce class few rows have a fitting type, and the others' entries are passed by without reading
    their rows: in a statement of its own, as one that reads rows reads that of each entry.
    """
    held = _HELD.get(lead.index, ()) if query.bounces is not None else ()
    where, bound = conditions(query, lead, held)
    text = f"{_from(lead, condition)} WHERE {' AND '.join([condition, *where])}"
    if not held:
        return "event", text, [*values, *bound]
    others = [(column, allowed) for column, allowed in _values(query) if column not in held]
    more = " AND ".join(f"whole.{column} IN ({_marks(len(allowed))})" for column, allowed in others)
    text = f"""FROM (SELECT event.tenant, event.at_ms, event.event_id {text}) AS event
        CROSS JOIN event AS whole INDEXED BY {_KEY} ON whole.tenant = event.tenant
            AND whole.at_ms = event.at_ms AND whole.event_id = event.event_id
        WHERE {more}"""
    return "whole", text, [*values, *bound, *(value for _, allowed in others for value in allowed)]


def _from(lead: Lead, condition: str) -> str:
    index = lead.index
    if index == "by_message" and not condition.startswith("event.message"):
        index = ""
    return f"FROM event INDEXED BY {index or _KEY}"


def size(query: ResolvedQuery, lead: Lead, most: int) -> tuple[str, list[object]]:
    """Return the statement that counts what a lead would read, up to `most`."""
    parts, bound = [], list[object]()
    span = [
        f"event.at_ms {sign} ?" for sign, at in ((">=", query.from_ms), ("<", query.to_ms)) if at is not None
    ]
    times = [min(max(at, -FAR_MS), FAR_MS) for at in (query.from_ms, query.to_ms) if at is not None]
    for condition, values in lead.ranges:
        where = " AND ".join(["event.tenant = ?", condition, *span])
        parts.append(f"SELECT 1 {_from(lead, condition)} WHERE {where}")
        bound += [query.tenant, *values, *times]
    return f"SELECT count(*) FROM ({' UNION ALL '.join(parts)} LIMIT {most})", bound  # noqa: S608 - ours


def page(query: ResolvedQuery, lead: Lead, limit: int) -> tuple[str, list[object]]:
    """Return the statement that finds the newest events, and the values it binds."""
    parts, bound = [], list[object]()
    for condition, values in lead.ranges:
        _, text, all_values = _matching(query, lead, condition, values)
        one = f"SELECT event.tenant, event.at_ms, event.event_id {text}"
        parts.append(f"SELECT * FROM ({one} ORDER BY event.at_ms DESC, event.event_id DESC LIMIT ?)")  # noqa: S608 - ours
        bound += [*all_values, limit]
    keys = " UNION ALL ".join(parts)
    if len(parts) > 1:
        only = "DISTINCT " if lead.index == "by_message" else ""
        keys = f"SELECT {only}tenant, at_ms, event_id FROM ({keys}) ORDER BY {_ORDER} LIMIT ?"  # noqa: S608 - ours
        bound.append(limit)
    statement = f"""{_SHOWN} FROM ({keys}) AS key
        CROSS JOIN event INDEXED BY {_KEY} ON event.tenant = key.tenant
            AND event.at_ms = key.at_ms AND event.event_id = key.event_id
        CROSS JOIN body ON body.place = event.place {_JOIN_MESSAGE}
    ORDER BY event.at_ms DESC, event.event_id DESC"""
    return statement, bound


def number(query: ResolvedQuery, lead: Lead, most: int) -> tuple[str, list[object]]:
    """Return the statement that counts what matches, up to `most`, and the values it binds."""
    parts, bound = [], list[object]()
    union = " UNION " if lead.index == "by_message" else " UNION ALL "  # only there two ranges may meet
    for condition, values in lead.ranges:
        _, text, all_values = _matching(query, lead, condition, values)
        parts.append(f"SELECT event.tenant, event.at_ms, event.event_id {text}")
        bound += all_values
    return f"SELECT count(*) FROM ({union.join(parts)} LIMIT {int(most)})", bound  # noqa: S608 - ours


def counts(query: ResolvedQuery, lead: Lead) -> tuple[str, list[object]]:
    """Return the statement for the figures of events that match, and the values it binds."""
    machines = ", ".join(str(CLASS_CODES[client]) for client in sorted(MACHINES))
    parts, bound = [], list[object]()
    union = " UNION " if lead.index == "by_message" else " UNION ALL "  # only there two ranges may meet
    for condition, values in lead.ranges:
        table, text, all_values = _matching(query, lead, condition, values)
        parts.append(f"SELECT {table}.* {text}")
        bound += all_values
    statement = f"""
        WITH hit AS MATERIALIZED (  -- else the search for repeats is done once for each figure
            SELECT type, class, hits, CASE WHEN message = x'' THEN event_id ELSE message END AS whose,
                class <> {PROBE} AND expired = 0 AND hits > 0 AND NOT {_REPEAT} AS counted
            FROM ({union.join(parts)}) AS event
        ), figures AS (
            SELECT type, hits, counted, counted AND class NOT IN ({machines}) AS person, whose FROM hit
        )
        SELECT type, sum(hits), sum(counted), sum(person),
            count(DISTINCT CASE WHEN counted THEN whose END),
            count(DISTINCT CASE WHEN person THEN whose END)
        FROM figures GROUP BY type ORDER BY type
    """  # noqa: S608 - conditions of ours, values bound
    return statement, bound


def _marks(count: int) -> str:
    return ", ".join("?" * count)
