"""Every figure, once: its name, what it means, and the counters it is the sum of; and the rates.

Names without `x_` are SparkPost's (contract.md 7.6 and 8.4), with its meaning as far as it is said there;
those with `x_` are ours. docs/figures.md lists the same ones.

A figure is a sum of counters with whole factors, so figures of days or campaigns are added up like counters.
A rate is never added up: it is taken from sums (`rate`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engagement.figures.counters import Counter

C = Counter


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. parts: how often each counter is in it; none for what this product cannot know, always 0.

    unit: "" for a number of messages or events, else "ms" or "bytes".
    """

    name: str
    meaning: str
    parts: Mapping[Counter, int]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """One figure divided by another. tracked: a figure without which the rate says nothing, "" for none.

    unit: "" for a share of 1, else that of the average.
    """

    name: str
    meaning: str
    numerator: str
    denominator: str
    tracked: str = ""
    unit: str = ""


def _sum(*counters: Counter) -> dict[Counter, int]:
    return dict.fromkeys(counters, 1)


_IN_BAND: Final = (C.UNDETERMINED, C.HARD, C.SOFT, C.BLOCK)
_OUT_OF_BAND: Final = (C.LATE_UNDETERMINED, C.LATE_HARD, C.LATE_SOFT, C.LATE_BLOCK)
_DELIVERY: Final = (
    Figure(
        "count_targeted", "messages taken in or refused; refused ones are not known here", _sum(C.INJECTED)
    ),
    Figure("count_injected", "messages taken in, one for each recipient, tracked or not", _sum(C.INJECTED)),
    Figure("count_rejected", "messages refused by policy or not generated: not known here", {}),
    Figure("count_policy_rejection", "messages refused by policy: not known here", {}),
    Figure("count_generation_rejection", "messages refused when generated: nothing is generated here", {}),
    Figure("count_generation_failed", "messages that failed to be generated: nothing is generated here", {}),
    Figure("count_sent", "deliveries and in-band bounces", _sum(C.DELIVERED, *_IN_BAND)),
    Figure(
        "count_delivered", "deliveries: the next server, or the mailbox, took the message", _sum(C.DELIVERED)
    ),
    Figure(
        "count_accepted",
        "deliveries less out-of-band bounces, which count when they come back",
        {C.DELIVERED: 1, **dict.fromkeys(_OUT_OF_BAND, -1)},
    ),
    Figure("count_delivered_first", "deliveries at the first try", _sum(C.DELIVERED_FIRST)),
    Figure("count_delivered_subsequent", "deliveries at a later try", _sum(C.DELIVERED_LATER)),
    Figure(
        "total_delivery_time_first",
        "time in the queue of deliveries at the first try",
        _sum(C.TIME_FIRST),
        "ms",
    ),
    Figure(
        "total_delivery_time_subsequent",
        "time in the queue of deliveries at a later try",
        _sum(C.TIME_LATER),
        "ms",
    ),
    Figure("total_msg_volume", "size of delivered messages", _sum(C.VOLUME), "bytes"),
    Figure("count_delayed", "failed tries after which the message stayed in the queue", _sum(C.DELAYED)),
    Figure("count_delayed_first", "such tries that were a message's first", _sum(C.DELAYED_FIRST)),
    Figure(
        "count_bounce",
        "bounces in-band and out-of-band, and messages that expired in the queue, without admin bounces",
        _sum(*_IN_BAND, *_OUT_OF_BAND),
    ),
    Figure("count_inband_bounce", "such bounces that the MTA's log tells of", _sum(*_IN_BAND)),
    Figure("count_outofband_bounce", "such bounces that came back as a mail", _sum(*_OUT_OF_BAND)),
    Figure("count_hard_bounce", "bounces of classes 10, 30 and 90: for ever", _sum(C.HARD, C.LATE_HARD)),
    Figure(
        "count_soft_bounce",
        "bounces of classes 20 to 24, 40, 60, 70 and 100: for now",
        _sum(C.SOFT, C.LATE_SOFT),
    ),
    Figure(
        "count_block_bounce",
        "bounces of classes 50 to 54: the receiver's filter",
        _sum(C.BLOCK, C.LATE_BLOCK),
    ),
    Figure(
        "count_admin_bounce",
        "bounces of classes 25, 26 and 80: this side's own policy; in no other figure of bounces",
        _sum(C.ADMIN, C.LATE_ADMIN),
    ),
    Figure(
        "count_undetermined_bounce",
        "bounces of class 1, of no class or of one not listed",
        _sum(C.UNDETERMINED, C.LATE_UNDETERMINED),
    ),
    Figure("count_spam_complaint", "complaints of recipients that came back", _sum(C.COMPLAINTS)),
    Figure(
        "x_count_expiration", "messages that expired in the queue, among the bounces too", _sum(C.EXPIRATIONS)
    ),
    Figure("x_count_open_tracked", "messages taken in with a pixel", _sum(C.OPEN_TRACKED)),
    Figure("x_count_click_tracked", "messages taken in whose links were tracked", _sum(C.CLICK_TRACKED)),
    Figure("x_count_tracked", "messages taken in with either", _sum(C.TRACKED)),
)

_HITS: Final = (
    ("rendered", "opens: fetches of the pixel at the end", C.PEOPLE_RENDERED),
    ("unique_rendered", "messages opened", C.PEOPLE_UNIQUE_RENDERED),
    ("initial_rendered", "fetches of the pixel at the beginning", C.PEOPLE_INITIAL_RENDERED),
    (
        "unique_initial_rendered",
        "messages whose pixel at the beginning was fetched",
        C.PEOPLE_UNIQUE_INITIAL_RENDERED,
    ),
    (
        "unique_confirmed_opened",
        "messages opened or clicked, on an unsubscribe link too",
        C.PEOPLE_UNIQUE_CONFIRMED,
    ),
    ("clicked", "clicks", C.PEOPLE_CLICKED),
    ("raw_clicked", "different links clicked, for each message", C.PEOPLE_RAW_CLICKED),
    ("unique_clicked", "messages clicked", C.PEOPLE_UNIQUE_CLICKED),
    ("unsubscribe", "unsubscribes by a link or by the List-Unsubscribe field", C.PEOPLE_UNSUBSCRIBE),
)
_PREFETCHABLE: Final = (
    "rendered",
    "unique_rendered",
    "initial_rendered",
    "unique_initial_rendered",
    "unique_confirmed_opened",
)
# A message's best hit decides where it counts among unique ones, so the three add up to all.
_SIDES: Final = (
    ("people", "by people", "by people"),
    ("unsure", "unsure by whom", "unsure by whom, not by people"),
    ("machine", "by machines", "by machines alone"),
)


def _of_hits() -> list[Figure]:
    """Return each figure of hits: of all, without machines, and of each of the three sides."""
    found = []
    for name, meaning, first in _HITS:
        three = [Counter(first + offset) for offset in range(3)]
        found.append(Figure(f"count_{name}", meaning, _sum(*three)))
        if name in _PREFETCHABLE:
            without = f"{meaning}, by people or unsure by whom"
            found.append(Figure(f"count_nonprefetched_{name}", without, _sum(*three[:2])))
        for (side, description, best), counter in zip(_SIDES, three, strict=True):
            who = best if name.startswith(("unique", "raw")) else description
            found.append(Figure(f"x_count_{side}_{name}", f"{meaning}, {who}", _sum(counter)))
    return found


_RECORDED: Final = (
    Figure(
        "x_count_recorded_rendered",
        "fetches of the pixel at the end, repeats and probes too",
        _sum(C.RECORDED_RENDERED),
    ),
    Figure(
        "x_count_recorded_initial_rendered",
        "fetches of the pixel at the beginning, repeats and probes too",
        _sum(C.RECORDED_INITIAL_RENDERED),
    ),
    Figure("x_count_recorded_clicked", "requests of links, repeats and probes too", _sum(C.RECORDED_CLICKED)),
    Figure(
        "x_count_recorded_unsubscribe", "unsubscribes, repeats and probes too", _sum(C.RECORDED_UNSUBSCRIBE)
    ),
    Figure("x_count_expired", "requests after the link's time was over; in no other figure", _sum(C.EXPIRED)),
)

FIGURES: Final[Mapping[str, Figure]] = {
    figure.name: figure for figure in (*_DELIVERY, *_of_hits(), *_RECORDED)
}
# The figures that each counter is a part of, and how often it counts there.
_FIGURES_WITH: Final[Mapping[int, tuple[tuple[str, int], ...]]] = {
    int(counter): tuple(
        (each.name, each.parts[counter]) for each in FIGURES.values() if counter in each.parts
    )
    for counter in Counter
}

_OPENED: Final = "x_count_open_tracked"
_CLICKED: Final = "x_count_click_tracked"


def _by_sides() -> list[Rate]:
    """Return our rates, of messages that were tracked, for each of the three sides."""
    found = []
    for side, description, _ in _SIDES:
        found += [
            Rate(
                f"x_{side}_open_rate",
                f"of messages with a pixel, those opened {description}",
                f"x_count_{side}_unique_rendered",
                _OPENED,
            ),
            Rate(
                f"x_{side}_click_rate",
                f"of messages with tracked links, those clicked {description}",
                f"x_count_{side}_unique_clicked",
                _CLICKED,
            ),
        ]
    return found


RATES: Final[Mapping[str, Rate]] = {
    each.name: each
    for each in (
        Rate(
            "open_rate",
            "of accepted messages, those opened or clicked, without certain machines",
            "count_nonprefetched_unique_confirmed_opened",
            "count_accepted",
            "x_count_tracked",
        ),
        Rate(
            "click_through_rate",
            "of accepted messages, those clicked",
            "count_unique_clicked",
            "count_accepted",
            _CLICKED,
        ),
        Rate(
            "unsubscribe_rate",
            "unsubscribes for each accepted message",
            "count_unsubscribe",
            "count_accepted",
        ),
        Rate(
            "spam_complaint_rate",
            "complaints for each accepted message",
            "count_spam_complaint",
            "count_accepted",
        ),
        Rate("accepted_rate", "of sent messages, those accepted", "count_accepted", "count_sent"),
        Rate("bounce_rate", "bounces for each sent message", "count_bounce", "count_sent"),
        Rate("hard_bounce_rate", "hard bounces for each sent message", "count_hard_bounce", "count_sent"),
        Rate("soft_bounce_rate", "soft bounces for each sent message", "count_soft_bounce", "count_sent"),
        Rate("block_bounce_rate", "block bounces for each sent message", "count_block_bounce", "count_sent"),
        Rate(
            "undetermined_bounce_rate",
            "undetermined bounces for each sent message",
            "count_undetermined_bounce",
            "count_sent",
        ),
        Rate(
            "admin_bounce_rate",
            "admin bounces for each targeted message",
            "count_admin_bounce",
            "count_targeted",
        ),
        Rate(
            "delayed_rate",
            "first tries that failed for each accepted message",
            "count_delayed_first",
            "count_accepted",
        ),
        Rate(
            "avg_delivery_time_first",
            "time in the queue of a delivery at the first try",
            "total_delivery_time_first",
            "count_delivered_first",
            unit="ms",
        ),
        Rate(
            "avg_delivery_time_subsequent",
            "time in the queue of a delivery at a later try",
            "total_delivery_time_subsequent",
            "count_delivered_subsequent",
            unit="ms",
        ),
        Rate(
            "avg_msg_size", "size of a delivered message", "total_msg_volume", "count_delivered", unit="bytes"
        ),
        *_by_sides(),
    )
}


def figure(name: str, counts: Mapping[int, int]) -> int:
    """Return a figure from the sums of its counters. Raises KeyError for a name that is none."""
    return sum(factor * counts.get(counter, 0) for counter, factor in FIGURES[name].parts.items())


def figures_of(names: Iterable[str], counts: Mapping[int, int]) -> dict[str, int]:
    """Return those figures of these names that are not 0; a name that is none is left out.

    As `figure` of each, but by the counters there are: of the hundred of all figures a minute has some ten.
    """
    sums: dict[str, int] = {}
    for counter, n in counts.items():
        for name, factor in _FIGURES_WITH.get(counter, ()):
            sums[name] = sums.get(name, 0) + factor * n
    return {name: n for name in names if (n := sums.get(name, 0))}


def rate(name: str, figures: Mapping[str, int]) -> float | None:
    """Return a rate from sums of figures, None where there is nothing to divide by or nothing was tracked.

    So a campaign that was not tracked has no open rate, instead of one of 0. Raises KeyError for a name that
    is none.
    """
    definition = RATES[name]
    whole = figures.get(definition.denominator, 0)
    if whole <= 0 or (definition.tracked and figures.get(definition.tracked, 0) <= 0):
        return None
    return figures.get(definition.numerator, 0) / whole
