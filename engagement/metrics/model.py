"""A metric, and what is read of it: plain values, known without the library that prints them.

Names, units and types follow Prometheus's conventions: a counter ends in `_total`, times are seconds, sizes
octets. Labels have few values, all known beforehand, and none of them names a person or a message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The types of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. name: as Prometheus stores it. help: a sentence without its full stop."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def one(self, value: float) -> "Reading":
        """Return a reading of a metric without labels."""
        return Reading(self, {(): value})

    def by_label(self, values: Mapping[str, float]) -> "Reading":
        """Return a reading of a metric with one label. values: by what the label says."""
        return Reading(self, {(label,): value for label, value in values.items()})


@dataclass(frozen=True, slots=True)
class Durations:
    """What a histogram holds.

    bounds: upper ends in seconds, rising; each belongs to what it ends. counts: of each, and of what is above
    the last; not summed up. seconds: the sum of all.
    """

    bounds: tuple[float, ...]
    counts: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of a metric now, by the values of its labels, in their order."""

    metric: Metric
    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    durations: Mapping[tuple[str, ...], Durations] = field(default_factory=dict)
