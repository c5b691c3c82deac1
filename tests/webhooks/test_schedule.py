"""When a batch is tried again, when a webhook is paused, and what is next (contract.md 8.2)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engagement.webhooks.model import (
    FAILED,
    PENDING,
    Batch,
    Endpoint,
    State,
    Webhook,
    batch_from,
    state_from,
    to_data,
    webhook_from,
)
from engagement.webhooks.schedule import (
    CIRCUIT,
    DISTANCES,
    TRIES,
    Answer,
    Timing,
    after_answer,
    circuit_open,
    may_fill,
    next_batch,
)

BATCH = Batch("id", 1, 0, 1, "body", 3, "mark")
TIMING = Timing()
HOUR = 3600 * 1000


def test_twelve_tries_take_eight_hours() -> None:
    assert (TRIES, sum(DISTANCES)) == (12, 8 * 60)


def test_a_batch_is_given_up_after_twelve_tries_while_the_endpoint_takes_others() -> None:
    batch, state, now = BATCH, State(), 0
    for number in range(TRIES):
        assert batch.state == PENDING
        now = max(now, batch.due_ms)
        batch, state = after_answer(batch, state, Answer(status=500), now, TIMING, counts=True)
        assert batch.tries == number + 1
        _, state = after_answer(BATCH, state, Answer(status=200), now, TIMING, counts=True)
    assert batch.state == FAILED
    assert now == 8 * HOUR


def test_what_a_dead_endpoint_misses_is_never_given_up_and_it_is_paused_after_days() -> None:
    batch, state, now, tries = BATCH, State(), 0, 0
    while not state.paused:
        assert next_batch([batch], state, 1, now - 1) is None or now == 0
        chosen = next_batch([batch], state, 1, now)
        assert chosen == batch
        batch, state = after_answer(batch, state, Answer(failure="ETIMEDOUT"), now, TIMING, counts=True)
        now = state.retry_ms if circuit_open(state) else batch.due_ms
        tries += 1
    assert batch.state == PENDING
    assert 72 * HOUR <= now <= 73 * HOUR
    assert tries < 200
    assert "72 hours" in state.paused


def test_the_circuit_opens_after_five_failures_and_one_success_closes_it() -> None:
    state = State()
    others = [replace(BATCH, number=number) for number in range(1, 9)]
    for number in range(CIRCUIT):
        assert may_fill(others, state)
        assert next_batch(others, state, 1, 0) is not None
        others[number], state = after_answer(
            others[number], state, Answer(status=500), 0, TIMING, counts=True
        )
    assert circuit_open(state)
    assert not may_fill(others, state)
    assert next_batch(others, state, 1, state.retry_ms - 1) is None
    assert next_batch(others, state, 1, state.retry_ms) == others[0]
    _, state = after_answer(others[0], state, Answer(status=204), 9, TIMING, counts=True)
    assert (state.failures, state.failing_since_ms, state.last_successful_ms) == (0, 0, 9)


def test_410_pauses_at_once() -> None:
    batch, state = after_answer(BATCH, State(), Answer(status=410), 5, TIMING, counts=True)
    assert (batch.state, state.paused) == (PENDING, "the target answered 410 (gone)")


def test_retry_after_is_waited_for_and_never_brings_a_try_nearer() -> None:
    for seconds, due in ((600, 600_000), (1, 60_000), (10**8, 97 * 60_000)):
        answer = Answer(status=429, retry_after=seconds)
        batch, _ = after_answer(BATCH, State(), answer, 0, TIMING, counts=True)
        assert batch.due_ms == due
    other, _ = after_answer(BATCH, State(), Answer(status=500, retry_after=600), 0, TIMING, counts=True)
    assert other.due_ms == 60_000


def test_what_was_asked_for_again_tells_nothing_of_health() -> None:
    replayed = replace(BATCH, replays=1)
    for status in (200, 410, 500):
        _, state = after_answer(replayed, State(failures=3), Answer(status=status), 5, TIMING, counts=False)
        assert state == State(failures=3)


def test_new_batches_come_before_those_asked_for_again() -> None:
    replayed, new = replace(BATCH, number=1, replays=1), replace(BATCH, number=2)
    assert next_batch([replayed, new], State(), 1, 0) == new
    assert next_batch([replayed, replace(new, due_ms=1)], State(), 1, 0) == replayed


def test_an_endpoint_that_refuses_some_batches_holds_no_more_than_so_many() -> None:
    assert may_fill([BATCH] * 19, State())
    assert not may_fill([BATCH] * 20, State())
    assert may_fill([replace(BATCH, replays=1)] * 50, State())


@given(
    st.lists(st.sampled_from([200, 204, 302, 400, 410, 429, 500, 503, 0]), max_size=60),
    st.integers(0, 10**9),
)
def test_whatever_is_answered_a_batch_has_one_of_three_ends(statuses: list[int], retry_after: int) -> None:
    batch, state, now = BATCH, State(), 0
    for status in statuses:
        if batch.state != PENDING or state.paused:
            break
        now = max(now, batch.due_ms, state.retry_ms)
        assert next_batch([batch], state, 1, now) == batch
        answer = Answer(status=status, retry_after=retry_after, failure="" if status else "ECONNRESET")
        batch, state = after_answer(batch, state, answer, now, TIMING, counts=True)
        assert (batch.state == "delivered") == (200 <= status < 300)
        assert batch.failed <= TRIES or circuit_open(state)
        assert batch.state != FAILED or not circuit_open(state)


def test_documents_are_read_back_as_they_were_and_later_fields_are_left_out() -> None:
    endpoint = Endpoint("https://a.example/", {"X-A": "1"}, "basic", {"username": "u"}, secrets=("whsec_x",))
    webhook = Webhook("id", "n", endpoint, ("click",), former={"1": Endpoint("https://b.example/")})
    assert webhook_from(to_data(webhook) | {"later": 1}) == webhook
    assert batch_from(to_data(BATCH) | {"later": 1}) == BATCH
    state = State(owner="o", mark="m", number=3)
    assert state_from(to_data(state) | {"later": 1}) == state


def test_batches_in_the_queue_go_to_the_target_they_were_made_for() -> None:
    webhook = Webhook(
        "id", "n", Endpoint("https://new.example/", secrets=("s",)), revision=2,
        former={"1": Endpoint("https://old.example/")},
    )  # fmt: skip
    assert webhook.endpoint_of(1) == Endpoint("https://old.example/", secrets=("s",))
    assert webhook.endpoint_of(2).target == webhook.endpoint_of(7).target == "https://new.example/"
