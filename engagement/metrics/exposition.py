"""Readings as Prometheus's library takes them, and as the text that it makes of them.

Import it only where metrics are asked for: the library is an extra of the package (`metrics`).
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from engagement.metrics.model import Durations, Kind, Reading

Read = Callable[[], Iterable[Reading]]


class Readings(Collector):
    """A collector over what is counted elsewhere. read: called at each scrape, from a thread of its own."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric. Raises what `read` raises."""
        for reading in self._read():
            yield family(reading)


def family(reading: Reading) -> Family:
    """Return the library's form of a reading."""
    metric = reading.metric
    made: CounterMetricFamily | GaugeMetricFamily
    match metric.kind:
        case Kind.HISTOGRAM:
            times = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, durations in reading.durations.items():
                times.add_metric(labels, _cumulative(durations), durations.seconds)
            return times
        case Kind.COUNTER:
            made = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.GAUGE:
            made = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in reading.values.items():
        made.add_metric(labels, value)
    return made


def _cumulative(durations: Durations) -> list[tuple[str, float]]:
    ends = [*map(floatToGoString, durations.bounds), "+Inf"]
    return list(zip(ends, accumulate(durations.counts), strict=True))


def registry_of(read: Read) -> CollectorRegistry:
    """Return a registry that holds only what `read` returns, nothing of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Readings(read))
    return registry


def text_of(read: Read) -> str:
    """Return the readings in Prometheus's text format."""
    return generate_latest(registry_of(read)).decode("utf-8")
