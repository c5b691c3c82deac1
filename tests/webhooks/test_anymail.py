"""django-anymail's webhook view takes our batches, unchanged (contract.md 7.4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engagement.events.model import MessageEvent
from engagement.links.model import Kind
from unit.event_samples import IDS, hit, injection
from webhooks.sites import Endpoint, Request, Site, endpoint, site

django = pytest.importorskip("django", reason="django-anymail is in requirements-dev.txt")


@pytest.fixture
def came(tmp_path: Path) -> Iterator[list[Request]]:
    """Yield a ping and the batches of one event of each type that anymail knows, as an endpoint got them."""
    with site(tmp_path) as here, endpoint() as hook:
        _create(here, hook)
        sent = injection()
        events = [
            MessageEvent(
                id=IDS.next(sent.at_ms),
                type=kind,
                at_ms=sent.at_ms + 1000,
                node_name="mail.example.org",
                queue_id="4bQx1z0",
                recipient_mark=0,
                message_id=sent.message_id,
                transmission_id=sent.transmission_id,
                recipient=sent.recipient,
                raw_reason="550 5.1.1 no such user",
                bounce_class=10,
            )
            for kind in ("delivery", "delay", "bounce", "spam_complaint")
        ]
        here.add(sent, *events, *(hit(kind) for kind in (Kind.CLICK, Kind.OPEN, Kind.LIST_UNSUBSCRIBE)))
        with here.sending():
            hook.wait(lambda found: sum(each.body.count(b'"event_id"') for each in found) >= 8)
        yield list(hook.requests)


def _create(here: Site, hook: Endpoint) -> None:
    here.create(
        hook.url,
        events=[
            "injection",
            "delivery",
            "delay",
            "bounce",
            "spam_complaint",
            "click",
            "open",
            "list_unsubscribe",
        ],
        auth_type="basic",
        auth_credentials={"username": "user", "password": "secret"},
    )


def test_anymail_reads_every_event(came: list[Request]) -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DEBUG=False,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="x" * 50,
            ANYMAIL={"WEBHOOK_SECRET": "user:secret"},
            USE_TZ=True,
            INSTALLED_APPS=["anymail"],
        )
        django.setup()
    from anymail.signals import tracking
    from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView
    from django.test import RequestFactory

    seen: list[Any] = []

    def note(event: Any, **_named: Any) -> None:
        seen.append(event)

    tracking.connect(note, weak=False)
    try:
        view = SparkPostTrackingWebhookView.as_view()
        for each in came:
            request = RequestFactory().post(
                "/hook", each.body, "application/json", HTTP_AUTHORIZATION=each.headers["Authorization"]
            )
            assert view(request).status_code == 200
    finally:
        tracking.disconnect(note)
    by_type = {event.event_type: event for event in seen}
    assert set(by_type) == {
        "queued", "delivered", "deferred", "bounced", "complained", "clicked", "opened", "unsubscribed"
    }  # fmt: skip
    click = by_type["clicked"]
    assert click.recipient == "Ida.Holm@Example.net"
    assert click.message_id == "73120948816540217"
    assert click.click_url == "https://shop.example.org/a?x=1&y="
    assert click.metadata == {"shop": "north", "n": [1, 2]}
    assert click.tags == ["autumn-letter"]
    assert click.timestamp.year == 2026
    assert by_type["bounced"].reject_reason == "invalid"
    assert len({event.event_id for event in seen}) == len(seen)
