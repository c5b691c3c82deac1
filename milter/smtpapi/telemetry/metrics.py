"""The filter's metrics: what `counters` and the memory for messages hold, as Prometheus has it.

docs/metrics.md lists them, and a test holds that page against `METRICS`.
"""

from collections.abc import Callable, Iterator
from typing import Final

from engagement.metrics.model import Kind, Metric, Reading
from smtpapi.model.outcome import Skip, Why
from smtpapi.telemetry.counters import Counters

SESSIONS: Final = Metric("smtpapi_milter_sessions_total", Kind.COUNTER, "Connections from the MTA")
MESSAGES: Final = Metric(
    "smtpapi_milter_messages_total",
    Kind.COUNTER,
    "Ends of messages that were answered, by outcome",
    ("outcome",),
)
UNTOUCHED: Final = Metric(
    "smtpapi_milter_untouched_total",
    Kind.COUNTER,
    "Messages sent on without links of ours, by reason (docs/reasons.md)",
    ("reason",),
)
SKIPPED: Final = Metric(
    "smtpapi_milter_skipped_total",
    Kind.COUNTER,
    "Parts and links left as they were in messages with links of ours, by reason (docs/reasons.md)",
    ("reason",),
)
EDITS: Final = Metric("smtpapi_milter_edits_total", Kind.COUNTER, "Places changed in bodies")
SECONDS: Final = Metric(
    "smtpapi_milter_message_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the end of a message to its answer, by outcome",
    ("outcome",),
)
FAILURES: Final = Metric(
    "smtpapi_milter_failures_total",
    Kind.COUNTER,
    "Faults of ours: before-change, the message went on untouched or was put off; in-change, it was put off",
    ("stage",),
)
CONTEXT_REFUSED: Final = Metric(
    "smtpapi_milter_context_refused_total",
    Kind.COUNTER,
    "XSETCONTEXT and other commands of Momentum that were not taken",
)
MARKS_REFUSED: Final = Metric(
    "smtpapi_milter_marks_refused_total",
    Kind.COUNTER,
    "Marks on the listener of the hop that did not count: forged, too old, or of another text",
)
SUPPRESSED: Final = Metric(
    "smtpapi_milter_suppressed_total",
    Kind.COUNTER,
    "Recipients on the suppression list, taken out or refused",
)
EVENTS_DROPPED: Final = Metric(
    "smtpapi_milter_events_dropped_total",
    Kind.COUNTER,
    "Injection events that could not be written to the spool",
)
STARTS: Final = Metric("smtpapi_milter_worker_starts_total", Kind.COUNTER, "Worker processes started")
DEATHS: Final = Metric(
    "smtpapi_milter_worker_deaths_total", Kind.COUNTER, "Worker processes that ended without being told to"
)
RELOADS: Final = Metric(
    "smtpapi_milter_reloads_total",
    Kind.COUNTER,
    "Reloads, by result: done, or refused where the earlier configuration stays",
    ("result",),
)
MEMORY: Final = Metric(
    "smtpapi_milter_memory_bytes", Kind.GAUGE, "What the messages under way take in all workers together"
)
MEMORY_LIMIT: Final = Metric(
    "smtpapi_milter_memory_limit_bytes",
    Kind.GAUGE,
    "What they may take (limits.max_memory) since the last start",
)
METRICS: Final = (
    SESSIONS,
    MESSAGES,
    UNTOUCHED,
    SKIPPED,
    EDITS,
    SECONDS,
    FAILURES,
    CONTEXT_REFUSED,
    MARKS_REFUSED,
    SUPPRESSED,
    EVENTS_DROPPED,
    STARTS,
    DEATHS,
    RELOADS,
    MEMORY,
    MEMORY_LIMIT,
)


def of_counters(counters: Counters) -> Iterator[Reading]:
    """Yield the readings of all processes' counters together."""
    total, times = counters.totals(), counters.times()
    yield SESSIONS.one(total["sessions"])
    outcomes = {name: total[name] for name in times if name in total}
    yield MESSAGES.by_label(outcomes | {"split": total["why-split"]})
    yield UNTOUCHED.by_label(
        {
            why.value: total[f"why-{why.value}"] for why in Why if why is not Why.SPLIT
        }  # comes back, counted then
    )
    yield SKIPPED.by_label({skip.value: total[f"skip-{skip.value}"] for skip in Skip})
    yield EDITS.one(total["edits"])
    yield Reading(SECONDS, durations={(outcome,): took for outcome, took in times.items()})
    yield FAILURES.by_label(
        {"before-change": total["failed-before-change"], "in-change": total["failed-in-change"]}
    )
    yield CONTEXT_REFUSED.one(total["context-refused"])
    yield MARKS_REFUSED.one(total["marks-refused"])
    yield SUPPRESSED.one(total["suppressed"])
    yield EVENTS_DROPPED.one(total["events-dropped"])
    yield STARTS.one(total["workers-started"])
    yield DEATHS.one(total["workers-died"])
    yield RELOADS.by_label({"done": total["reloads"], "refused": total["reloads-refused"]})


def reader(counters: Counters, memory: Callable[[], int], limit: int) -> Callable[[], Iterator[Reading]]:
    """Return what reads all. memory: returns the octets that messages take. limit: octets they may take."""

    def read() -> Iterator[Reading]:
        yield from of_counters(counters)
        yield MEMORY.one(memory())
        yield MEMORY_LIMIT.one(limit)

    return read
