"""The filter's metrics are its counters, each under its own name (smtpapi.telemetry.metrics)."""

from pathlib import Path

import pytest

from engagement.metrics.model import Metric
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse, Skip, Why
from smtpapi.telemetry.counters import NAMES, OUTCOMES, Counters
from smtpapi.telemetry.metrics import METRICS, reader

OF_ONE = {
    "sessions": "sessions_total",
    "edits": "edits_total",
    "context-refused": "context_refused_total",
    "marks-refused": "marks_refused_total",
    "suppressed": "suppressed_total",
    "events-dropped": "events_dropped_total",
    "workers-started": "worker_starts_total",
    "workers-died": "worker_deaths_total",
}
LABELLED = {
    "failed-before-change": ("failures_total", "before-change"),
    "failed-in-change": ("failures_total", "in-change"),
    "reloads": ("reloads_total", "done"),
    "reloads-refused": ("reloads_total", "refused"),
    "tracked": ("messages_total", "tracked"),
    "untouched": ("messages_total", "untouched"),
    "refused": ("messages_total", "refused"),
    "discarded": ("messages_total", "discarded"),
    f"why-{Why.SPLIT.value}": ("messages_total", "split"),
    **{f"why-{why.value}": ("untouched_total", why.value) for why in Why if why is not Why.SPLIT},
    **{f"skip-{skip.value}": ("skipped_total", skip.value) for skip in Skip},
}
NOT_SHOWN = {"messages"}  # the sum of its outcomes


def test_each_counter_has_its_place_and_no_other() -> None:
    assert {*OF_ONE, *LABELLED, *NOT_SHOWN} == set(NAMES)
    counters = Counters.create(2)
    numbers = {name: number for number, name in enumerate(NAMES, start=1)}
    for name, number in numbers.items():
        counters.row(1).add(name, number)
    readings = {
        each.metric.name.removeprefix("smtpapi_milter_"): each for each in reader(counters, lambda: 7, 9)()
    }
    assert [f"smtpapi_milter_{name}" for name in readings] == [metric.name for metric in METRICS]
    expected: dict[tuple[str, tuple[str, ...]], float]
    expected = {(place, ()): numbers[name] for name, place in OF_ONE.items()}
    expected |= {(place, (label,)): numbers[name] for name, (place, label) in LABELLED.items()}
    expected |= {("memory_bytes", ()): 7, ("memory_limit_bytes", ()): 9}
    shown = {(name, labels): n for name, each in readings.items() for labels, n in each.values.items()}
    assert shown == expected
    assert [name for name, each in readings.items() if each.durations] == ["message_duration_seconds"]


@pytest.mark.parametrize("metric", METRICS, ids=lambda each: each.name)
def test_each_metric_is_what_the_page_of_metrics_says(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    row = f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"
    assert row in (Path(__file__).parents[2] / "docs/metrics.md").read_text("utf-8").splitlines()


def test_how_long_each_outcome_took() -> None:
    counters = Counters.create(2)
    outcomes: list[Outcome] = [
        Plan(),
        Leave(Why.NO_LINK),
        Plan(why=Why.SPLIT),
        Refuse("550", "", "no"),
        Discard(),
    ]
    for number, outcome in enumerate(outcomes):
        counters.row(1).add_outcome(outcome, 0.001 * number)
    (reading,) = (each for each in reader(counters, lambda: 0, 0)() if each.durations)
    assert list(reading.durations) == [(outcome,) for outcome in OUTCOMES]
    assert [sum(took.counts) for took in reading.durations.values()] == [1] * 5
    assert [round(took.seconds, 6) for took in reading.durations.values()] == [0, 0.001, 0.002, 0.003, 0.004]
