"""Bounces and complaints fill the suppression list, in the shipper (engagement.suppression.fill)."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from engagement.events.ids import reported_id
from engagement.events.model import Event, Injection, MessageEvent, recipient_mark
from engagement.events.record import encode
from engagement.events.rows import rows
from engagement.links.model import PSEUDONYM_DOMAIN
from engagement.registry.port import Registry, RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query
from engagement.suppression import book
from engagement.suppression.fill import SuppressionFiller, Thresholds
from engagement.suppression.model import Entry, MailKind, Source
from unit.event_samples import AT
from unit.event_samples import injection as any_injection
from unit.format_samples import SAMPLES

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL
NODE = "mail.example.org"
DAY_MS = 86_400_000
NUMBERS = itertools.count(1)


def sent(recipient: str = "Ida@example.net", **changes: Any) -> Injection:
    number = next(NUMBERS)
    queue_id = f"A{number}"
    values: dict[str, Any] = {
        "node_name": NODE,
        "queue_id": queue_id,
        "recipient": recipient,
        "recipient_mark": recipient_mark(NODE, queue_id, recipient),
        "message_id": number.to_bytes(16, "big"),
        "id": reported_id(AT, str(number)),
        "at_ms": AT,
        "customer_id": "",
    }
    return any_injection()._replace(**(values | changes))


def came_back(injection: Injection, at_ms: int = AT + 1000, **changes: Any) -> MessageEvent:
    values: dict[str, Any] = {"type": "bounce", "bounce_class": 10, "raw_reason": "550 5.1.1 no such user"}
    name = reported_id(at_ms, injection.id, str(changes))
    made = MessageEvent(name, at_ms, "", NODE, injection.queue_id, injection.recipient_mark)
    return made._replace(**(values | changes))


class Site:
    """Spool, store, registry and shipper in one folder."""

    def __init__(self, folder: Path, *thresholds: int) -> None:
        self.folder = folder
        self.registry: Registry = SqliteRegistry(folder / "registry.db")
        self.fails = False
        self.store = MemoryStore()
        self.filler = SuppressionFiller(self.opened, Thresholds(*thresholds))
        (folder / "spool").mkdir()

    def opened(self) -> Registry:
        if self.fails:
            raise RegistryError("the disk is full")
        return self.registry

    def ship(self, *events: Event) -> None:
        writer = SpoolWriter(self.folder / "spool")
        for each in events:
            assert writer.append(encode(each))
        writer.close()
        shipper = Shipper(self.folder / "spool", self.store, filler=self.filler, now=lambda: AT / 1000 + 60)
        assert shipper.drain()

    def entries(self, recipient: str = "ida@example.net", tenant: str = "") -> list[tuple[MailKind, Source]]:
        return [(each.type, each.source) for each in book.get(self.registry, recipient, tenant)]


def test_so_many_bounces_suppress_both_kinds_of_mail(tmp_path: Path) -> None:
    site = Site(tmp_path, 3)
    mails = [sent() for _ in range(3)]
    bounces = [came_back(each, AT + number) for number, each in enumerate(mails)]
    site.ship(*mails, *bounces[:2])
    site.ship(*mails, *bounces[:2])  # a second time, as after a kill
    assert site.entries() == []
    site.filler = SuppressionFiller(site.opened, Thresholds(3))  # a restart
    site.ship(bounces[2])
    assert site.entries() == [(N, Source.BOUNCE_RULE), (T, Source.BOUNCE_RULE)]
    (first, _) = book.get(site.registry, "ida@example.net")
    assert first.description == "3 bounces, the last: 550 5.1.1 no such user"
    assert site.registry.find("suppression_count") == ()


def test_what_was_counted_before_an_upgrade_counts_after_it(tmp_path: Path) -> None:
    """tests/golden/formats/suppression-count-1.json: two bounces that were counted."""
    site = Site(tmp_path, 3)
    sample = json.loads((SAMPLES / "suppression-count-1.json").read_text("utf-8"))
    site.registry.put(sample["kind"], sample["key"], sample["data"])
    mail = sent()
    site.ship(mail, came_back(mail, AT + 60_000))
    assert site.entries() == [(N, Source.BOUNCE_RULE), (T, Source.BOUNCE_RULE)]


@pytest.mark.parametrize("transactional", [True, False])
def test_a_complaint_suppresses_the_type_of_mail_that_it_is_about(
    tmp_path: Path, transactional: bool
) -> None:
    site = Site(tmp_path, 0, 1)
    mail = sent(transactional=transactional)
    site.ship(mail, came_back(mail, type="spam_complaint", bounce_class=0, raw_reason="", fbtype="abuse"))
    assert site.entries() == [(T if transactional else N, Source.SPAM_COMPLAINT)]


def test_what_was_too_long_ago_does_not_count(tmp_path: Path) -> None:
    site = Site(tmp_path, 2)
    mails = [sent(), sent(at_ms=AT - 5 * DAY_MS)]
    site.filler = SuppressionFiller(site.opened, Thresholds(2, 0, 86_400))
    site.ship(*mails, came_back(mails[0]), came_back(mails[1], AT - 2 * DAY_MS))
    assert site.entries() == []
    another = sent()
    site.ship(another, came_back(another, AT + 5))
    assert len(site.entries()) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"bounce_class": 25},
        {"bounce_class": 22},
        {"type": "spam_complaint", "bounce_class": 0},
        {"type": "delivery", "bounce_class": 0},
    ],
)
def test_other_events_count_for_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    site = Site(tmp_path, 1)
    mail = sent()
    site.ship(mail, came_back(mail, **change))
    assert site.entries() == []


def test_whom_the_privacy_mode_does_not_name_is_not_on_the_list(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    mails = [sent(""), sent(f"abc{PSEUDONYM_DOMAIN}")]
    site.ship(*mails, *map(came_back, mails))
    assert site.registry.find("suppression") == ()


def test_the_entry_is_the_customers_whose_mail_it_was(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    mail = sent(customer_id="17")
    site.ship(mail, came_back(mail))
    assert site.entries() == []
    assert len(site.entries(tenant="17")) == 2


def test_an_entry_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    book.add(site.registry, Entry("ida@example.net", N, description="asked by phone"))
    mail = sent()
    site.ship(mail, came_back(mail))
    assert site.entries() == [(N, Source.MANUALLY_ADDED), (T, Source.BOUNCE_RULE)]


def test_a_registry_that_fails_holds_up_no_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, 1)
    site.fails = True
    mail = sent()
    site.ship(mail, came_back(mail))
    assert {row["type"] for row in site.store.find(Query())} == {"injection", "bounce"}
    assert caplog.text.count("the disk is full") == 1
    site.fails = False
    site.filler.close()  # as at the end of the shipper
    assert len(SqliteRegistry(tmp_path / "registry.db").find("suppression")) == 2


def test_a_storm_of_bounces_is_counted_over_several_turns(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    mails = [sent(f"r{number}@example.net") for number in range(50)]
    site.filler.note(row for mail in mails for row in rows(came_back(mail), injection=mail))
    site.filler.turn(0)
    left = 100 - len(site.registry.find("suppression"))
    assert left > 0
    site.filler.turn(60)
    assert len(site.registry.find("suppression")) == 100
