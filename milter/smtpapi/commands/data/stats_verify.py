"""`smtpapi stats --verify`: days are counted again from their events, and what differs is said."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click

from engagement.figures.increments import Level
from engagement.stores.port import EventStore, FigureQuery, UnsupportedQueryError
from engagement.terminal import printable
from smtpapi.commands.options import say

# What is kept of a day (docs/figures.md): the group and the increment.
_STORED: Final = (
    *(("", "1min"), ("", "hour"), ("", "day"), ("campaign", "hour"), ("campaign", "day")),
    *(("domain", "day"), ("link", "day"), ("machine", "day")),
)
_MOST_LINES: Final = 100  # differences of a day that are said one by one; one wrong cell makes a handful
_ALL: Final = 1_000_000  # groups: all
_GONE: Final = "some of its events are erased or too old, so its figures stay as they are"

# (group, increment, name of the group, when, figure)
_Place = tuple[str, str, str, int, str]


def verify(store: EventStore, since: int | None, until: int | None) -> int:
    """Count days again and say what was wrong; return the exit status.

    since, until: Unix milliseconds, until not included. Raises click.UsageError where no day is between them.
    """
    now = int(time.time() * 1000)
    first = (now - Level.DAY if since is None else since) // Level.DAY
    last = (now if until is None else until - 1) // Level.DAY
    if first > last:
        raise click.UsageError("there is no day from --since to --until (now, if it is not given)")
    wrong = 0
    store.roll_up()  # what came since is no difference
    for day in range(first, last + 1):
        wrong += _verified(store, day)
    return 1 if wrong else 0


def _verified(store: EventStore, day: int) -> int:
    before = _figures(store, day)
    found = store.recount(day)
    date = f"{datetime.fromtimestamp(day * Level.DAY // 1000, UTC):%Y-%m-%d}"
    if not found:
        say(f"{date}  as counted again" if store.is_whole(day) else f"{date}  not counted: {_GONE}")
        return 0
    say(f"{date}  {found} figure(s) were wrong")
    changed = sorted(_differences(before, _figures(store, day)))
    for line in changed[:_MOST_LINES]:
        say(f"  {line}")
    if len(changed) > _MOST_LINES:
        say(f"  and {len(changed) - _MOST_LINES} more")
    return found


def _figures(store: EventStore, day: int) -> dict[_Place, int]:
    """Return all figures of a day, as far as the engine offers them at its size."""
    found: dict[_Place, int] = {}
    for by, precision in _STORED:
        query = FigureQuery(day * Level.DAY, (day + 1) * Level.DAY, precision, series=True, by=by, limit=_ALL)
        try:
            rows = store.figures(query)
        except UnsupportedQueryError:
            continue
        for row in rows:
            for name, n in row.figures.items():
                found[by, precision, row.group, row.at_ms or 0, name] = n
    return found


def _differences(before: dict[_Place, int], after: dict[_Place, int]) -> Iterator[str]:
    for place in before.keys() | after.keys():
        was, is_now = before.get(place, 0), after.get(place, 0)
        if was != is_now:
            by, precision, group, at_ms, name = place
            of = f"{by} {printable(group) or '-'}" if by else "all mail"
            moment = datetime.fromtimestamp(at_ms // 1000, UTC)
            yield f"{of}, {precision} of {moment:%Y-%m-%d %H:%M}: {name} was {was}, is {is_now}"
