"""Corrections, replays, removals: what a webhook's thread does besides sending what comes in."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engagement.classify.shipped import shipped
from engagement.events.classify import Classification, ReaderClass
from engagement.stores.port import LabelledHit
from engagement.webhooks import reclassified
from engagement.webhooks.sending.worker import Worker
from engagement.webhooks.service import WebhookError
from unit.event_samples import hit, identity
from webhooks.sites import Endpoint, Site, endpoint, site

DAY = 86400.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def worker(here: Site, webhook: str, **tools: Any) -> Worker:
    here.documents.change_state(webhook, lambda state: replace(state, owner="me"))
    return Worker(here.tools(**{"sweep_seconds": 0, **tools}), webhook, "me", lambda: True)


def work(sends: Worker) -> None:
    while sends.turn():
        pass


def sent(hook: Endpoint) -> list[dict[str, Any]]:
    events = [event for each in hook.batches for event in json.loads(each.body)]
    return [fields for event in events for fields in event["msys"].values()]


def relabel(here: Site, click: Any, client: ReaderClass) -> None:
    label = Classification(client, "later", shipped().version + "9", certain=True)
    here.store.relabel([LabelledHit(click, label)], here.tools().now_ms)


def test_a_hit_that_was_judged_anew_is_corrected_once(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url, x_corrections=True)
    first, second = hit(), hit()
    here.add(first, second)
    sends = worker(here, webhook)
    work(sends)
    relabel(here, first, ReaderClass.SCANNER)
    work(sends)
    assert len(sent(hook)) == 2  # it may be judged anew for an hour
    here.clock[0] = 3600 + 180
    for _ in range(3):
        work(sends)
    (correction,) = sent(hook)[2:]
    assert correction["x_corrects"] == first.id
    assert correction["event_id"] not in (first.id, second.id)
    assert correction["x_client_class"] == "scanner"
    assert correction["type"] == "click"


def test_without_the_option_nothing_is_corrected(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    click = hit()
    here.add(click)
    sends = worker(here, webhook)
    work(sends)
    relabel(here, click, ReaderClass.SCANNER)
    here.clock[0] = 3600 + 180
    work(sends)
    assert len(sent(hook)) == 1


def test_delivered_batches_are_removed_after_their_time_and_numbers_go_on(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    here.add(hit())
    sends = worker(here, webhook)
    work(sends)
    here.clock[0] = 2.9 * DAY
    work(sends)
    assert len(here.service.batches(webhook)) == 1
    here.clock[0] = 3.1 * DAY
    work(sends)
    assert here.service.batches(webhook) == []
    assert here.documents.registry.find("webhook_body") == ()
    here.add(hit())
    work(worker(here, webhook))
    assert hook.batches[0].batch != hook.batches[1].batch
    assert [each["number"] for each in here.service.batches(webhook)] == [2]


def test_what_failed_is_kept_as_long_as_events_are(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    hook.answer = lambda path, body: (410, {}, b"")
    here.add(hit())
    sends = worker(here, webhook)
    work(sends)
    here.clock[0] = 89 * DAY
    work(sends)
    assert len(here.service.batches(webhook, "pending")) == 1
    here.clock[0] = 91 * DAY
    work(sends)
    assert here.service.batches(webhook) == []


def test_batches_in_the_queue_go_to_the_old_target_and_replays_to_the_new(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    hook.answer = lambda path, body: (500, {}, b"")
    here.add(hit())
    sends = worker(here, webhook)
    work(sends)
    with endpoint() as other:
        here.service.update(webhook, {"target": other.url})
        here.add(hit())
        hook.answer = lambda path, body: (200, {}, b"")
        here.clock[0] = 3600
        sends.look_again()
        work(sends)
        (first, again) = hook.batches
        assert again.body == first.body
        (new,) = other.batches
        assert new.batch != first.batch
        here.service.replay(webhook, {"batch_ids": [first.batch]})
        sends.look_again()
        work(sends)
        assert other.batches[-1].body == first.body


def test_a_webhook_that_is_removed_still_sends_its_queue(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    hook.answer = lambda path, body: (500, {}, b"")
    here.add(hit())
    sends = worker(here, webhook)
    work(sends)
    here.service.delete(webhook)
    here.add(hit())
    hook.answer = lambda path, body: (200, {}, b"")
    here.clock[0] = 3600
    sends.look_again()
    work(sends)
    assert len(hook.batches) == 2
    assert len({each.batch for each in hook.batches}) == 1
    for kind in ("webhook", "webhook_state", "webhook_batch", "webhook_body"):
        assert here.documents.registry.find(kind) == ()


def test_pause_and_resume_leave_nothing_out_and_skip_does(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    sends = worker(here, webhook)
    work(sends)
    clicks = [hit() for _ in range(3)]
    for skip, click in zip((False, True, False), clicks, strict=True):
        here.service.pause(webhook)
        sends.look_again()
        here.add(click)
        work(sends)
        here.service.resume(webhook, skip=skip)
        sends.look_again()
        work(sends)
    assert [event["event_id"] for event in sent(hook)] == [clicks[0].id, clicks[2].id]


def test_a_recipient_that_was_erased_is_in_no_batch(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    hook.answer = lambda path, body: (500, {}, b"")
    other = hit(whose=identity(2, recipient="other@example.net"))
    here.add(hit(), other)
    sends = worker(here, webhook)
    work(sends)
    assert here.documents.erase("Ida.Holm@example.NET") == 1
    assert here.documents.erase("Ida.Holm@example.NET") == 0
    hook.answer = lambda path, body: (200, {}, b"")
    here.clock[0] = 3600
    work(sends)
    assert [event["event_id"] for event in sent(hook)[2:]] == [other.id]


def test_a_batch_of_nothing_but_erased_events_is_not_sent(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    hook.answer = lambda path, body: (500, {}, b"")
    here.add(hit())
    sends = worker(here, webhook)
    work(sends)
    here.documents.erase("ida.holm@example.net")
    here.clock[0] = 3600
    work(sends)
    assert len(hook.batches) == 1
    assert [each["state"] for each in here.service.batches(webhook)] == ["delivered"]


def test_a_webhook_of_a_tenant_gets_the_events_of_that_tenant(here: Site, hook: Endpoint) -> None:
    made = here.service.create({"name": "n", "target": hook.url, "events": ["click"]}, tenant="north")
    ours = hit(tenant="north")
    here.add(hit(), ours, hit(tenant="south"))
    work(worker(here, made["id"]))
    assert [event["event_id"] for event in sent(hook)] == [ours.id]


def test_a_mark_that_only_passed_other_events_is_written_down(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url, events=["bounce"])
    before = here.documents.state(webhook)[0].mark
    here.add(*(hit() for _ in range(5)))
    sends = worker(here, webhook)
    work(sends)
    work(sends)
    assert here.documents.state(webhook)[0].mark != before


def classified(here: Site, click: Any, client: ReaderClass, rules: str) -> None:
    """What `smtpapi classify --since` does to one hit."""
    registry, now = here.documents.registry, here.tools().now_ms
    run = reclassified.begin(registry, (0, 2**45), now, rules, f"{now}")
    here.store.relabel([LabelledHit(click, Classification(client, "later", rules, certain=True))], now)
    reclassified.end(registry, run, now)


def test_every_later_run_that_classifies_anew_is_corrected(here: Site, hook: Endpoint) -> None:
    """Also of batches that are kept no more; and a label that comes back is another correction."""
    webhook = here.create(hook.url, x_corrections=True)
    first, second = (hit(at_ms=here.tools().now_ms + number) for number in range(2))
    here.add(first, second)
    sends = worker(here, webhook)
    work(sends)
    here.clock[0] = 10 * DAY
    work(sends)
    assert here.service.batches(webhook) == []
    version = shipped().version
    labels = [(ReaderClass.SCANNER, "8"), (ReaderClass.HUMAN, "9"), (ReaderClass.SCANNER, "91")]
    for number, (client, rules) in enumerate(labels):
        here.clock[0] += 100
        classified(here, first, client, version + rules)
        for _ in range(3):
            work(sends)
        later = sent(hook)[2:]
        assert len(later) == number + 1
        assert later[-1]["x_corrects"] == first.id
        assert later[-1]["x_client_class"] == client.value
    assert len({event["event_id"] for event in sent(hook)}) == 5


def test_a_run_that_was_killed_is_told_of_after_a_day(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url, x_corrections=True)
    click = hit(at_ms=here.tools().now_ms)
    here.add(click)
    sends = worker(here, webhook)
    work(sends)
    here.clock[0] = 5 * DAY
    rules, now = shipped().version + "9", here.tools().now_ms
    reclassified.begin(here.documents.registry, (0, 2**45), now, rules, "x")
    label = Classification(ReaderClass.SCANNER, "later", rules, certain=True)
    here.store.relabel([LabelledHit(click, label)], now)
    work(sends)
    assert len(sent(hook)) == 1
    here.clock[0] = 6.1 * DAY
    work(worker(here, webhook))
    assert len(sent(hook)) == 2
    work(worker(here, webhook))
    assert len(sent(hook)) == 2


def test_a_time_whose_batches_are_gone_is_sent_again_from_the_store(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url, events=["click"])
    clicks = [hit(at_ms=here.tools().now_ms + number) for number in range(7)]
    here.add(*clicks)
    here.options = replace(here.options, batch_events=3)
    sends = worker(here, webhook)
    work(sends)
    before = {event["event_id"] for event in sent(hook)}
    here.clock[0] = 5 * DAY
    work(sends)
    assert here.service.batches(webhook) == []
    answer = here.service.replay(webhook, {"from": "2020-01-01T00:00"})
    assert answer["count"] == 0
    assert len(answer["x_from_store"]) == 2
    with pytest.raises(WebhookError, match="wait"):
        here.service.replay(webhook, {"from": "2020-01-01T00:00"})
    hook.requests.clear()
    sends.look_again()
    for _ in range(10):
        work(sends)
    assert [event["event_id"] for event in sent(hook)].count(clicks[0].id) == 1
    assert {event["event_id"] for event in sent(hook)} == before
    assert max(len(json.loads(each.body)) for each in hook.batches) <= 3
    assert here.service.replay(webhook, {"from": "2020-01-01T00:00"})["x_from_store"]
