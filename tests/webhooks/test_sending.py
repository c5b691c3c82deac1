"""Events reach the endpoint, in batches, at least once (contract.md 8.2)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from engagement.links.model import Kind
from unit.event_samples import hit, injection
from webhooks.sites import Request, Site, endpoint, site, until


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def events_of(requests: list[Request]) -> list[dict[str, Any]]:
    return [
        fields for each in requests for event in json.loads(each.body) for fields in event["msys"].values()
    ]


def test_events_come_in_batches_in_the_order_of_their_arrival(here: Site) -> None:
    here.add(hit())  # before there was a webhook
    with endpoint() as hook:
        here.create(hook.url)
        clicks = [hit() for _ in range(25)]
        with here.sending():
            for click in clicks:
                here.add(click)
            came = hook.wait(lambda found: len(events_of(found)) >= 25)
    assert [event["event_id"] for event in events_of(came)] == [click.id for click in clicks]
    assert len({each.batch for each in came}) == len(came)
    assert {each.path for each in came} == {"/hook?a=1"}
    assert {each.headers["Content-Type"] for each in came} == {"application/json"}


def test_only_types_that_were_asked_for_come(here: Site) -> None:
    with endpoint() as hook:
        here.create(hook.url, events=["open"])
        opened = hit(Kind.OPEN)
        here.add(injection(), hit(), opened, hit())
        with here.sending():
            came = hook.wait(lambda found: bool(found))
    assert [event["event_id"] for event in events_of(came)] == [opened.id]


def test_a_batch_that_fails_is_sent_again_with_its_id_and_its_octets(here: Site) -> None:
    answers = iter([503, 500])
    with endpoint(answer=lambda path, body: (next(answers, 204), {}, b"")) as hook:
        webhook = here.create(hook.url)
        here.add(hit(), hit())
        here.clock[0] = 0.0
        with here.sending():
            came = hook.wait(lambda found: len(found) >= 3)
        assert len({(each.batch, each.body) for each in came}) == 1
        (status,) = here.service.batch_status(webhook)
    assert status["batch_id"] == came[0].batch
    assert (status["attempts"], status["response_code"]) == (2, "204")


def test_what_waits_when_the_program_ends_is_sent_by_the_next(here: Site) -> None:
    with endpoint(answer=lambda path, body: (500, {}, b"")) as hook:
        webhook = here.create(hook.url)
        here.add(hit())
        with here.sending("first"):
            first = hook.wait(lambda found: bool(found))[0]
        here.service.resume(webhook)
        hook.answer = lambda path, body: (200, {}, b"")
        with here.sending("second"):
            came = hook.wait(lambda found: found[-1].status == 200)
    assert (came[-1].batch, came[-1].body) == (first.batch, first.body)


def test_a_batch_holds_no_more_than_it_may(tmp_path: Path) -> None:
    with site(tmp_path, batch_events=7, batch_size=4000) as here, endpoint() as hook:
        here.create(hook.url)
        clicks = [hit() for _ in range(40)]
        here.add(*clicks)
        with here.sending():
            came = hook.wait(lambda found: len(events_of(found)) >= 40)
    assert [event["event_id"] for event in events_of(came)] == [click.id for click in clicks]
    assert max(len(json.loads(each.body)) for each in came) <= 7
    assert max(len(each.body) for each in came) <= 4000
    assert len(came) > 40 // 7


def test_an_event_larger_than_a_batch_goes_alone(tmp_path: Path) -> None:
    with site(tmp_path, batch_size=1024) as here, endpoint() as hook:
        here.create(hook.url)
        here.add(hit(user_agent="x" * 2000), hit())
        with here.sending():
            came = hook.wait(lambda found: len(events_of(found)) >= 2)
    assert [len(json.loads(each.body)) for each in came] == [1, 1]


def test_a_dead_endpoint_holds_up_no_other(here: Site) -> None:
    with endpoint() as hook, endpoint() as dead:
        here.create(dead.url)
        here.create(hook.url)
        dead.answer = lambda path, body: (500, {}, b"")
        here.add(*(hit() for _ in range(5)))
        with here.sending():
            dead.wait(lambda found: bool(found))
            came = hook.wait(lambda found: len(events_of(found)) >= 5)
    assert len(events_of(came)) == 5


def test_410_pauses_and_a_good_test_has_it_go_on_with_what_it_missed(here: Site) -> None:
    with endpoint(answer=lambda path, body: (410, {}, b"gone")) as hook:
        webhook = here.create(hook.url)
        first, second = hit(), hit()
        here.add(first)
        with here.sending():
            hook.wait(lambda found: bool(found))
            until(lambda: "x_paused" in here.service.detail(webhook))
            assert here.service.detail(webhook)["active"] is False
            here.add(second)
            hook.answer = lambda path, body: (200, {}, b"")
            here.service.validate(webhook)
            came = hook.wait(lambda found: len(events_of([e for e in found if e.status == 200])) >= 2)
        assert here.service.detail(webhook)["active"] is True
    good = [each for each in came if each.status == 200]
    assert {event["event_id"] for event in events_of(good)} == {first.id, second.id}
    assert good[0].batch == came[0].batch


def test_a_signature_can_be_verified_and_secrets_changed_one_by_one(here: Site) -> None:
    with endpoint() as hook:
        made = here.service.create({"name": "n", "target": hook.url, "events": ["click"], "x_sign": True})
        (secret,) = made["x_signing_secrets"]
        assert secret not in json.dumps(here.service.detail(made["id"]))
        new = "whsec_" + "QUJD" * 10
        here.service.update(made["id"], {"x_signing_secrets": ["********", new]})
        here.add(hit())
        with here.sending():
            (came,) = hook.wait(lambda found: bool(found))
    for each in (secret, new):
        Verifier(each).verify(came.body, dict(came.headers))
    assert came.headers["webhook-id"] == came.batch


def test_batches_are_sent_again_by_time_and_by_id_with_their_ids(here: Site) -> None:
    with endpoint() as hook:
        webhook = here.create(hook.url)
        with here.sending():
            here.add(hit())
            hook.wait(lambda found: len(found) >= 1)
            here.add(hit())
            first, second = hook.wait(lambda found: len(found) >= 2)
            until(lambda: len(here.service.batches(webhook, "delivered")) == 2)
            assert here.service.replay(webhook, {"batch_ids": [second.batch]})["count"] == 1
            again = hook.wait(lambda found: len(found) >= 3)[2]
            until(lambda: len(here.service.batches(webhook, "delivered")) == 2)
            assert here.service.replay(webhook, {"from": "2020-01-01T00:00"})["count"] == 2
            both = hook.wait(lambda found: len(found) >= 5)[3:]
    assert (again.batch, again.body) == (second.batch, second.body)
    assert [(each.batch, each.body) for each in both] == [(e.batch, e.body) for e in (first, second)]
