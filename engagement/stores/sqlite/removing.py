"""Removes what is too old, and what is of one recipient. Figures stay."""

import sqlite3
from typing import Any, Final

from engagement.events.model import Hit, MessageEvent, names_of
from engagement.figures.contribution import ALONE, Cube, seen_ever
from engagement.links.token import unpack
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.customer_tags import DAY_MS
from engagement.stores.sqlite.codes import NAMES, RUN_BITS, Lookup, hashed, signed
from engagement.stores.sqlite.counting.counted import LEVELS
from engagement.stores.sqlite.counting.ever import to_text
from engagement.stores.sqlite.counting.facts import COLUMNS, facts
from engagement.stores.sqlite.counting.figures import ever_of
from engagement.stores.sqlite.counting.grouped import CUBE_LEVELS, forget
from engagement.stores.sqlite.labels import decoded
from engagement.stores.sqlite.reading import refs, tenants
from engagement.stores.sqlite.terms import Terms

FIGURE_DAYS: Final = 400  # that figures are kept, and behind its events what counts once in a campaign's life
_FIGURES_OF: Final = "SELECT DISTINCT tenant FROM hourly"
_OLD_FIGURES: Final = "DELETE FROM fig WHERE tenant = ? AND cube = ? AND bucket < ?"
_OLD: Final = f"""
SELECT {COLUMNS}, event.tenant, event.message FROM event INDEXED BY sqlite_autoindex_event_1
WHERE event.tenant = ? AND event.at_ms < ? ORDER BY event.at_ms, event.event_id LIMIT ?
"""  # noqa: S608 - fixed text
_OF_MESSAGE: Final = f"""
SELECT {COLUMNS}, event.tenant, event.message FROM event INDEXED BY by_message WHERE event.message = ?
"""  # noqa: S608 - fixed text
_ONE: Final = f"""
SELECT {COLUMNS}, event.tenant, event.message FROM event
WHERE event.tenant = ? AND event.at_ms = ? AND event.event_id = ?
"""  # noqa: S608 - fixed text
_DELETE_EVENT: Final = "DELETE FROM event WHERE tenant = ? AND at_ms = ? AND event_id = ?"
_DELETE_BODY: Final = "DELETE FROM body WHERE place = ?"
_DELETE_VERDICTS: Final = "DELETE FROM verdict WHERE event_id = ?"
_PARTIAL: Final = "INSERT INTO partial_day (tenant, day) VALUES (?, ?) ON CONFLICT DO NOTHING"
_IS_PARTIAL: Final = "SELECT 1 FROM partial_day WHERE day = ?"
_OLD_PARTIAL: Final = "DELETE FROM partial_day WHERE day < ?"
# Days with figures before every event: an earlier program removed events and did not mark their days.
_GONE: Final = f"""
INSERT INTO partial_day (tenant, day)
SELECT tenant, bucket FROM fig INDEXED BY sqlite_autoindex_fig_1
WHERE tenant = ? AND cube = {int(Cube.TOTAL_DAY)} AND bucket = ? AND n <> 0 AND NOT EXISTS (
    SELECT 1 FROM event INDEXED BY sqlite_autoindex_event_1 WHERE event.tenant = fig.tenant AND at_ms < ?
) LIMIT 1 ON CONFLICT DO NOTHING
"""  # noqa: S608 - a number of ours
_KEEP_EVER: Final = """
INSERT INTO message (ever, message, at_ms, recipient, transmission, run, sender, injection, lent)
VALUES (?, ?, ?, 0, 0, -1, 0, 0, '') ON CONFLICT (message) DO UPDATE SET ever = excluded.ever
"""
_LONE: Final = """
SELECT message FROM message INDEXED BY message_of_time
WHERE at_ms < ? AND (lent <> '') = ? AND (ever = '' OR lent <> '' OR at_ms < ?)
    AND NOT EXISTS (SELECT 1 FROM event INDEXED BY by_message WHERE event.message = message.message) LIMIT ?
"""
_FORGET: Final = "DELETE FROM message WHERE message = ? AND ever = ''"
_EMPTY: Final = """
UPDATE message SET lent = '', recipient = 0, transmission = 0, run = -1, sender = 0, injection = 0
WHERE message = ?
"""
_OLD_LOOKUPS: Final = """
DELETE FROM lookup WHERE (run, what, hash, ref) IN (
    SELECT run, what, hash, ref FROM lookup
    WHERE run < (SELECT coalesce(min(place), 0) FROM body) >> ? LIMIT ?)
"""
_LOOK: Final = "DELETE FROM lookup WHERE run = ? AND what = ? AND hash = ? AND ref = ?"
_RECORD: Final = "SELECT record FROM body WHERE place = ?"
_RUNS: Final = "SELECT max(run) FROM lookup"
_NAMED: Final = (
    "SELECT transmission, record FROM message LEFT JOIN body ON body.place = injection WHERE message = ?"
)


def sweep(connection: sqlite3.Connection, terms: Terms, before_ms: int, limit: int, now_ms: int) -> int:
    """Remove what is older, in a transaction of the caller's, at most limit rows; return how many."""
    gone = 0
    for tenant in tenants(connection):
        lines = connection.execute(_OLD, (tenant, before_ms, limit - gone)).fetchall()
        _remove(connection, terms, lines)
        _mark(connection, lines)
        gone += len(lines)
    if gone < limit:
        long_ago = before_ms - FIGURE_DAYS * DAY_MS
        for with_fields, most in ((1, limit - gone), (0, limit)):
            lone = connection.execute(_LONE, (before_ms, with_fields, long_ago, most)).fetchall()
            if not with_fields:
                connection.executemany(
                    "UPDATE message SET ever = '' WHERE message = ? AND at_ms < ?",
                    [(message, long_ago) for (message,) in lone],
                )
            connection.executemany(_EMPTY, lone)
            connection.executemany(_FORGET, lone)
            gone += len(lone) if with_fields else 0
        connection.execute(_OLD_LOOKUPS, (RUN_BITS, limit))
        connection.execute("DELETE FROM tag_set WHERE used < ?", (before_ms // DAY_MS,))
        _sweep_figures(connection, before_ms, now_ms)
    return gone


def _sweep_figures(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> None:
    """Remove figures that are older than `FIGURE_DAYS`, or than events if these are kept longer."""
    long_ago = min(before_ms, now_ms - FIGURE_DAYS * DAY_MS)
    connection.execute("DELETE FROM hourly WHERE hour < ?", (long_ago // HOUR_MS,))
    connection.execute(_OLD_PARTIAL, (long_ago // DAY_MS,))
    for (tenant,) in connection.execute(_FIGURES_OF).fetchall():
        for cube, level in (*LEVELS.items(), *CUBE_LEVELS.items()):
            connection.execute(_OLD_FIGURES, (tenant, int(cube), long_ago // level))


def erase(connection: sqlite3.Connection, terms: Terms, tenant: int, recipient: int) -> int:
    """Remove all events of a recipient's messages, in a transaction of the caller's; return how many.

    tenant: its number. recipient: the hash.
    """
    gone = 0
    runs = range(1 + (connection.execute(_RUNS).fetchone()[0] or 0))
    for ref in sorted(refs(connection, Lookup.RECIPIENT, [recipient])):
        if len(ref) == 16:
            lines = connection.execute(_OF_MESSAGE, (ref,)).fetchall()
        else:
            key = tenant, int.from_bytes(ref[:8], "big"), ref[8:]
            lines = connection.execute(_ONE, key).fetchall()
        looks = [(Lookup.RECIPIENT, recipient), *_looks(connection, ref, lines)]
        _remove(connection, terms, lines)
        _mark(connection, lines)
        connection.executemany(_EMPTY, [(ref,)])
        connection.executemany(_FORGET, [(ref,)])
        connection.executemany(
            _LOOK, [(run, int(what), number, ref) for run in runs for what, number in looks]
        )
        gone += len(lines)
    return gone


def note_gone(connection: sqlite3.Connection, day: int) -> None:
    """Mark a day (since 1970) whose events are gone, in a transaction of the caller's."""
    connection.executemany(_GONE, [(number, day, (day + 1) * DAY_MS) for number in tenants(connection)])


def is_whole(connection: sqlite3.Connection, day: int) -> bool:
    """Return whether no event of a day (since 1970) is known to have been removed."""
    return connection.execute(_IS_PARTIAL, (day,)).fetchone() is None


def _mark(connection: sqlite3.Connection, lines: list[tuple[Any, ...]]) -> None:
    """Note that days cannot be counted again. lines: events that are removed."""
    connection.executemany(_PARTIAL, {(line[18], line[0] // DAY_MS) for line in lines})


def _looks(
    connection: sqlite3.Connection, ref: bytes, lines: list[tuple[Any, ...]]
) -> list[tuple[Lookup, int]]:
    """Return what else leads to a message. lines: its events."""
    found = connection.execute(_NAMED, (ref,)).fetchone()
    if found is None:  # one without an injection
        return [(Lookup.TRANSMISSION, number) for number in _transmissions(connection, lines)]
    transmission, record = found
    event = decoded(record) if record else None
    names = names_of(event) if event is not None else ()  # type: ignore[arg-type] # an injection, by its place
    return [(Lookup.TRANSMISSION, transmission), *((NAMES[name.what], hashed(name.text)) for name in names)]


def _transmissions(connection: sqlite3.Connection, lines: list[tuple[Any, ...]]) -> set[int]:
    """Return the transmissions that hits tell by themselves."""
    found = set()
    for line in lines:
        for (record,) in connection.execute(_RECORD, (line[17],)):
            event = decoded(record)
            if isinstance(event, Hit):
                found.add(signed(unpack(event.kind, event.packed)[0].transmission_id))
            elif isinstance(event, MessageEvent):
                found.add(signed(event.transmission_id))
    return found


def _remove(connection: sqlite3.Connection, terms: Terms, lines: list[tuple[Any, ...]]) -> None:
    """Remove rows of the event, and what belongs to them; keep what counts once."""
    seen: dict[bytes, list[tuple[Any, ...]]] = {}
    for line in lines:
        seen.setdefault(line[19], []).append(line)
    ever_rows = []
    for message, rows in seen.items():
        known = [each for each in facts(connection, terms, rows) if each.type not in ALONE and each.campaign]
        if message and known:
            ever = to_text(seen_ever(known, ever_of(connection, message)))
            if ever:
                ever_rows.append((ever, message, max(line[0] for line in rows)))
    connection.executemany(_KEEP_EVER, ever_rows)
    connection.executemany(_DELETE_EVENT, [(line[18], line[0], line[2]) for line in lines])
    connection.executemany(_DELETE_BODY, [(line[17],) for line in lines])
    connection.executemany(_DELETE_VERDICTS, [(line[2],) for line in lines])
    forget(connection, ((line[18], line[0]) for line in lines))
