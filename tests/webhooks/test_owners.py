"""Of two programs one sends for a webhook, and what one began the other goes on with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engagement.webhooks.documents import NotOursError
from engagement.webhooks.sending.lease import Lease
from engagement.webhooks.sending.loop import Sending
from engagement.webhooks.sending.worker import Worker
from unit.event_samples import hit
from webhooks.sites import Endpoint, Site, endpoint, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, takeover=30) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def owned(here: Site, webhook: str, owner: str) -> Worker:
    here.documents.change_state(webhook, lambda state: replace(state, owner=owner))
    return Worker(here.tools(), webhook, owner, lambda: True)


def work(worker: Worker) -> None:
    while worker.turn():
        pass


def test_a_program_is_gone_when_it_gave_no_sign_for_so_long_by_the_others_clock(here: Site) -> None:
    clock = [1000.0]
    first = Lease(here.documents, "first", 30, lambda: clock[0] + 10**6)  # clocks need not agree
    second = Lease(here.documents, "second", 30, lambda: clock[0])
    first.sign()
    assert not second.is_free("first")
    for _ in range(10):
        clock[0] += 20
        first.sign()
        assert first.holds()
        assert not second.is_free("first")
    clock[0] += 29
    assert not first.holds()  # before the other takes over
    assert not second.is_free("first")
    clock[0] += 1
    assert second.is_free("first")


def test_a_program_that_ended_in_order_is_followed_at_once(here: Site) -> None:
    first, second = Lease(here.documents, "first", 30), Lease(here.documents, "second", 30)
    first.sign()
    assert not second.is_free("first")
    first.leave()
    assert not first.holds()
    assert second.is_free("first")


def test_only_one_of_two_programs_takes_a_webhook(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    with here.sending("first"):
        here.add(hit())
        hook.wait(lambda found: len(found) == 1)
        with here.sending("second"):
            here.add(hit())
            hook.wait(lambda found: len(found) == 2)
            assert here.documents.state(webhook)[0].owner == "first"
        here.add(hit())
        hook.wait(lambda found: len(found) == 3)
    assert here.documents.state(webhook)[0].owner == ""


def test_one_that_was_taken_over_makes_and_changes_nothing_more(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    late = owned(here, webhook, "late")
    here.add(hit())
    late.turn()
    other = owned(here, webhook, "other")
    here.add(hit())
    work(other)
    with pytest.raises(NotOursError):
        work(late)
    ids = [each.batch for each in hook.batches]
    assert len(set(ids)) == 2
    numbers = [stored.batch.number for stored in here.documents.batches(webhook)]
    assert numbers == [1, 2]
    assert here.documents.state(webhook)[0].owner == "other"


def test_without_a_good_lease_nothing_is_sent(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    here.documents.change_state(webhook, lambda state: replace(state, owner="me"))
    here.add(hit())
    assert Worker(here.tools(), webhook, "me", lambda: False).turn() is False
    assert hook.batches == []


def test_a_batch_whose_maker_was_killed_too_early_leaves_no_octets(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    here.documents.registry.put(
        "webhook_body", here.documents.body_key(webhook, 1, "killed"), {"zlib": "eJyLjgUAARUAuQ=="}
    )
    worker = owned(here, webhook, "me")
    here.add(hit())
    work(worker)
    keys = [document.key for document in here.documents.registry.find("webhook_body")]
    assert keys == [here.documents.body_key(webhook, 1, "me")]
    assert len(hook.batches) == 1


def test_signs_of_life_of_programs_that_were_killed_are_removed(here: Site) -> None:
    here.documents.registry.put("webhook_sender", "killed", {"signs": 3})
    clock = [0.0]
    sending = Sending(here.tools(), "me")
    lease = Lease(here.documents, "me", 30, lambda: clock[0])
    assert not lease.is_free("killed")
    clock[0] += 30
    sending._lease = lease
    sending.step()
    assert here.documents.registry.find("webhook_sender") == ()
