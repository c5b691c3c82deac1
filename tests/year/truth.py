"""Figures of the year by plain counting: every event in turn, messages in sets. Uses no code of the product.

The rules are those of docs/figures.md, in loops instead of contributions, so that a fault in one is not in
the other.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from year.events import YearEvent

Key = tuple[str, int | None]  # group, begin of the increment
Numbers = dict[str, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Within what a message is unique, for each precision: as strftime writes it.
UNIQUE = {
    "1min": "%Y-%m-%d %H:%M",
    "5min": "%Y-%m-%d %H:%M",
    "15min": "%Y-%m-%d %H:%M",
    "hour": "%Y-%m-%d %H",
    "12hr": "%Y-%m-%d %H",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m-%d",
    "life": "for ever",
}
_FAMILIES = {
    "open": "rendered",
    "amp_open": "rendered",
    "initial_open": "initial_rendered",
    "amp_initial_open": "initial_rendered",
    "click": "clicked",
    "amp_click": "clicked",
    "list_unsubscribe": "unsubscribe",
}
_WITHOUT_MACHINES = (
    "rendered",
    "unique_rendered",
    "initial_rendered",
    "unique_initial_rendered",
    "unique_confirmed_opened",
)


def moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def begins(precision: str, at_ms: int) -> int:
    """When the increment began that holds a moment."""
    time = moment(at_ms).replace(second=0, microsecond=0)
    if precision.endswith("min"):
        time = time.replace(minute=time.minute - time.minute % int(precision[:-3]))
    else:
        time = time.replace(minute=0)
        if precision == "12hr":
            time = time.replace(hour=0 if time.hour < 12 else 12)
        elif precision != "hour":
            time = time.replace(hour=0)
        if precision == "week":
            time -= timedelta(days=time.weekday())
        if precision == "month":
            time = time.replace(day=1)
    return (time - _EPOCH) // timedelta(milliseconds=1)


def next_begins(precision: str, at_ms: int) -> int:
    """When the increment after the one that holds a moment begins: by trying."""
    at = begins(precision, at_ms)
    step = {"1min": 60, "5min": 300, "15min": 900, "hour": 3600, "12hr": 43200}.get(precision, 86400) * 1000
    later = at
    while begins(precision, later) == at:
        later += step
    return later


class Count:
    """Numbers of one group and increment. unique: of `UNIQUE`."""

    def __init__(self, unique: str) -> None:
        self._unique = unique
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._sides: defaultdict[tuple[str, object], set[str]] = defaultdict(set)

    def add(self, event: YearEvent, *, machines: bool = False) -> None:
        """Count one event. machines: no uniques, as by machine."""
        family = _FAMILIES.get(event.type)
        if family is None:
            self._outcome(event)
            return
        families = [family, "unsubscribe"] if event.unsubscribes and event.client != "probe" else [family]
        for each in families:
            if event.expired:
                self._counts["x_count_expired"] += event.hits
                continue
            self._counts[f"x_count_recorded_{each}"] += event.hits
            if event.counts:
                self._counts[f"count_{each}"] += 1
                self._counts[f"x_count_{event.side}_{each}"] += 1
        if event.expired or not event.counts or machines:
            return
        when = moment(event.at).strftime(self._unique)
        whose = (event.letter.number, when)
        if family != "unsubscribe":
            self._sides[f"unique_{family}", whose].add(event.side)
        if family in ("rendered", "clicked"):
            self._sides["unique_confirmed_opened", whose].add(event.side)
        if family == "clicked":
            self._sides["raw_clicked", (*whose, event.type, event.link)].add(event.side)

    def _outcome(self, event: YearEvent) -> None:
        counts, letter = self._counts, event.letter
        if event.type == "injection":
            counts["count_injected"] += 1
            counts["count_targeted"] += 1
            counts["x_count_open_tracked"] += letter.opens
            counts["x_count_click_tracked"] += letter.clicks
            counts["x_count_tracked"] += letter.opens or letter.clicks
        elif event.type == "delivery":
            counts["count_delivered"] += 1
            counts["count_sent"] += 1
            counts["count_accepted"] += 1
            counts["total_msg_volume"] += letter.size
            if event.retries == 0:
                counts["count_delivered_first"] += 1
                counts["total_delivery_time_first"] += event.queue
            elif event.retries > 0:
                counts["count_delivered_subsequent"] += 1
                counts["total_delivery_time_subsequent"] += event.queue
        elif event.type == "delay":
            counts["count_delayed"] += 1
            counts["count_delayed_first"] += event.retries == 0
        elif event.type == "spam_complaint":
            counts["count_spam_complaint"] += 1
        else:
            counts[f"count_{event.category}_bounce"] += 1
            counts["x_count_expiration"] += event.type == "expiration"
            if event.category == "admin":
                return
            counts["count_bounce"] += 1
            if event.type == "out_of_band":
                counts["count_outofband_bounce"] += 1
                counts["count_accepted"] -= 1
            else:
                counts["count_inband_bounce"] += 1
                counts["count_sent"] += 1

    def numbers(self) -> Numbers:
        """All that are not 0."""
        found = defaultdict(int, self._counts)
        for (name, _), sides in self._sides.items():
            best = "people" if "people" in sides else "unsure" if "unsure" in sides else "machine"
            found[f"count_{name}"] += 1
            found[f"x_count_{best}_{name}"] += 1
        for name in _WITHOUT_MACHINES:
            found[f"count_nonprefetched_{name}"] = found[f"count_{name}"] - found[f"x_count_machine_{name}"]
        return {name: n for name, n in found.items() if n}


def figures(
    events: Iterable[YearEvent],
    unique: str,
    key: Callable[[YearEvent], Key | None],
    *,
    machines: bool = False,
) -> dict[Key, Numbers]:
    """Figures by group and increment. key: of an event, None for one that is left out."""
    counts: dict[Key, Count] = {}
    for event in events:
        found = key(event)
        if found is not None:
            counts.setdefault(found, Count(unique)).add(event, machines=machines)
    return {name: numbers for name, count in counts.items() if (numbers := count.numbers())}
