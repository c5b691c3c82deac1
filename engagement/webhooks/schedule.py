"""What follows from an answer: when a batch is tried again, when a webhook is paused, which batch is next.

After `CIRCUIT` failures in a row the circuit is open: one batch, the oldest, is tried at growing distances,
and no new ones are made; the first success closes it. A batch is given up after `TRIES` tries only while the
endpoint takes others; so what a dead endpoint misses waits, until it answers or `store.retention` is over.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from engagement.webhooks.model import DELIVERED, FAILED, PENDING, Batch, State

# From one try to the next, in units of the first distance: 12 tries in 8 hours (contract.md 8.2).
DISTANCES: Final = (1, 2, 4, 8, 16, 32, 64, 64, 96, 96, 97)
TRIES: Final = len(DISTANCES) + 1
CIRCUIT: Final = 5  # failures in a row; one or two are any deployment of the target
_PROBES: Final = (1, 2, 4, 8, 16, 30)  # with the circuit open; the longest is what a repaired endpoint waits
MOST_PENDING: Final = 20  # batches of 512 KiB: an endpoint that refuses some of them holds 10 MB at most


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    status: of HTTP, 0 for none. failure: a word such as ETIMEDOUT, "" if there was an answer. reason: for
    people. retry_after: seconds the endpoint asks for, 0 for none.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    failure: str = ""
    reason: str = ""
    latency_ms: int = 0
    retry_after: int = 0

    @property
    def is_success(self) -> bool:
        """Return whether a batch counts as delivered."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.failure}: {self.reason}" if self.failure else f"HTTP status {self.status}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long is waited: retry_after, pause_after in seconds, as `webhooks { }` has them."""

    retry_after: int = 60
    pause_after: int = 3 * 86400


def circuit_open(state: State) -> bool:
    """Return whether the endpoint is only probed."""
    return state.failures >= CIRCUIT


def after_answer(
    batch: Batch, state: State, answer: Answer, now_ms: int, timing: Timing, *, counts: bool
) -> tuple[Batch, State]:
    """Return batch and state after an answer.

    counts: whether it says something of the webhook's health, which replays and former targets do not.
    """
    batch = replace(
        batch,
        response_code=str(answer.status) if answer.status else "",
        failure_code=answer.failure,
        latency_ms=answer.latency_ms,
    )
    if answer.is_success:
        return replace(batch, state=DELIVERED, ended_ms=now_ms), _healthy(state, now_ms) if counts else state
    tries = batch.tries + 1
    distance = DISTANCES[min(tries, len(DISTANCES)) - 1] * timing.retry_after
    if answer.status in (429, 503):
        distance = max(distance, min(answer.retry_after, DISTANCES[-1] * timing.retry_after))
    batch = replace(batch, tries=tries, failed=batch.failed + 1, due_ms=now_ms + distance * 1000)
    if counts:
        state = _after_failure(state, answer, now_ms, timing)
    if tries >= TRIES and not (counts and circuit_open(state)):
        batch = replace(batch, state=FAILED, ended_ms=now_ms)
    return batch, state


def _healthy(state: State, now_ms: int) -> State:
    return replace(
        state, failures=0, failing_since_ms=0, retry_ms=0, last_successful_ms=now_ms, last_error=""
    )


def _after_failure(state: State, answer: Answer, now_ms: int, timing: Timing) -> State:
    failures = state.failures + 1
    since = state.failing_since_ms or now_ms
    probe = _PROBES[min(max(failures - CIRCUIT, 0), len(_PROBES) - 1)] * timing.retry_after * 1000
    paused = state.paused
    if answer.status == 410:
        paused = "the target answered 410 (gone)"
    elif failures > 1 and now_ms - since >= timing.pause_after * 1000:
        paused = f"it failed for {timing.pause_after // 3600} hours; the last: {answer}"
    return replace(
        state,
        failures=failures,
        failing_since_ms=since,
        retry_ms=now_ms + probe if failures >= CIRCUIT else 0,
        last_failure_ms=now_ms,
        last_error=str(answer)[:300],
        paused=paused,
    )


def restarted(state: State) -> State:
    """Return the state after a person, or a test that succeeded, has a webhook go on."""
    return replace(state, paused="", failures=0, failing_since_ms=0, retry_ms=0, restarts=state.restarts + 1)


def replayed(batch: Batch) -> Batch:
    """Return a batch that is sent again, as a person asks for; one in the queue is tried at once."""
    again = replace(batch, state=PENDING, due_ms=0, tries=0)
    return again if batch.state == PENDING else replace(again, replays=batch.replays + 1)


def next_batch(pending: Iterable[Batch], state: State, revision: int, now_ms: int) -> Batch | None:
    """Return the batch to be tried now: new ones in their order, then those asked for again; None for none.

    revision: of the present endpoint. With the circuit open the oldest one is tried, whenever it is due.
    """
    waiting = sorted((each for each in pending if each.state == PENDING), key=_order)
    for batch in waiting:
        if circuit_open(state) and not batch.is_replay and batch.revision == revision:
            if now_ms >= state.retry_ms:
                return batch
            return _due((each for each in waiting if each.revision != revision), now_ms)
    return _due(waiting, now_ms)


def _due(batches: Iterable[Batch], now_ms: int) -> Batch | None:
    return next((each for each in batches if each.due_ms <= now_ms), None)


def _order(batch: Batch) -> tuple[bool, int]:
    return batch.is_replay, batch.number


def may_fill(pending: Iterable[Batch], state: State) -> bool:
    """Return whether new batches may be made."""
    fresh = sum(1 for each in pending if each.state == PENDING and not each.is_replay)
    return not circuit_open(state) and not state.paused and fresh < MOST_PENDING
