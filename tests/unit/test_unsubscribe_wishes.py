"""Readers who want no more mail, from the record of the tracker to the suppression list."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from contract.store_samples import AT
from engagement.classify.shipped import shipped
from engagement.erasures import reader_requests
from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import UNDO, Hit
from engagement.events.record import encode
from engagement.events.rows import rows
from engagement.links.model import Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.shipper.loop import Shipper
from engagement.shipper.unsubscribe import SETTLED_SECONDS, Unsubscribes
from engagement.shipper.wishes import wish_of
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import LabelledHit
from engagement.suppression import book
from engagement.suppression.model import Entry, MailKind, Source

READER = "Ida.Holm@Example.net"
LIST = Link(b"news.example.com", "News")
MARKED = Link(b"https://example.org/leave", "leave", unsubscribe=True)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NON, ONLY = MailKind.NON_TRANSACTIONAL, MailKind.TRANSACTIONAL


def hit(
    at: int = 0,
    method: str = "POST",
    link: Link | None = LIST,
    kind: Kind = Kind.LIST_UNSUBSCRIBE,
    **who: Any,
) -> Hit:
    facts: dict[str, Any] = {
        "message_id": bytes(15) + b"\1",
        "transmission_id": 1,
        "recipient": READER,
        "issued": AT // 1000 - 60,
    }
    identity = Identity(**(facts | {"expiry": AT // 1000 + 9000} | who))
    packed = payload(pack_identity(identity), b"" if link is None else pack_link(link), filler=False)
    number = f"{AT + at:012x}{kind:x}{len(method):x}"
    name = f"{number[:8]}-{number[8:12]}-7000-8000-0000000000{number[12:]}"
    return Hit(
        name, kind, AT + at, packed, "", "203.0.113.9", BROWSER, "en", method, "t.example", False, False
    )


def click(at: int = 0, method: str = "GET", link: Link = MARKED, **who: Any) -> Hit:
    return hit(at, method, link, Kind.CLICK, **who)


class Site:
    def __init__(self, folder: Path, *, settled: bool = True) -> None:
        self.registry = SqliteRegistry(folder / "registry.db")
        self.store = MemoryStore()
        self.now = AT / 1000 + 1
        self.opened = 0
        self.wishes = Unsubscribes(self.open, self.store, settled=settled, now=lambda: self.now)

    def open(self) -> SqliteRegistry:
        self.opened += 1
        return self.registry

    def take(self, *hits: Hit) -> None:
        self.store.add([row for each in hits for row in rows(each, shipped())])
        self.wishes.take(hits)

    def entries(self, tenant: str = "") -> list[tuple[MailKind, Source, str]]:
        return [(each.type, each.source, each.list_id) for each in book.get(self.registry, READER, tenant)]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.wishes._next = float("-inf")
        self.wishes.turn()

    def label(self, each: Hit, client: ReaderClass, *, certain: bool = True) -> None:
        label = Classification(client, "test", "999", certain)
        assert self.store.relabel([LabelledHit(each, label)], int(self.now * 1000)) == 1


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.wishes.close()


def test_one_click_is_an_entry_of_that_list(site: Site) -> None:
    site.take(hit())
    assert site.entries() == [(NON, Source.LIST_UNSUBSCRIBE, "news.example.com")]
    (entry,) = book.get(site.registry, READER)
    assert (entry.recipient, entry.updated_ms) == ("ida.holm@example.net", AT)


def test_without_a_list_it_is_all_mail_that_is_not_transactional(site: Site) -> None:
    site.take(hit(link=None))
    site.take(hit(1, link=Link(b"", "Ann")))
    assert site.entries() == [(NON, Source.LIST_UNSUBSCRIBE, "")]


def test_the_entry_is_of_the_customer_whose_mail_it_was(site: Site) -> None:
    site.take(hit(customer_id="17"))
    assert site.entries() == []
    assert site.entries("17") == [(NON, Source.LIST_UNSUBSCRIBE, "news.example.com")]


def test_a_confirmed_link_counts_for_the_kind_of_its_mail(site: Site) -> None:
    site.take(click(method="POST"))
    site.take(click(1, method="POST", transactional=True))
    assert sorted(site.entries()) == [(NON, Source.UNSUBSCRIBE_LINK, ""), (ONLY, Source.UNSUBSCRIBE_LINK, "")]


def test_a_name_that_is_none_leaves_all_mail(site: Site) -> None:
    site.take(hit(link=Link(b"two words")))
    assert site.entries() == [(NON, Source.LIST_UNSUBSCRIBE, "")]


@pytest.mark.parametrize("recipient", ["", "postmaster", "1a2b@pseudonym.invalid"])
def test_who_has_no_address_is_on_no_list(site: Site, recipient: str) -> None:
    site.take(hit(recipient=recipient))
    assert site.registry.find("suppression") == ()


_STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=6, unique_by=lambda each: each[0]
)


@settings(max_examples=40)
@given(_STEPS, st.data())
def test_last_wish_counts_in_whatever_order_and_however_often_they_come(steps: Any, data: Any) -> None:
    hits = [hit(at * 10, UNDO if undo else "POST") for at, undo in steps]
    more = data.draw(st.lists(st.sampled_from(hits), max_size=4))
    order = data.draw(st.permutations([*hits, *more]))
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for each in order:
            site.take(each)
        last = max(steps)
        assert bool(site.entries()) == (not last[1])
        site.wishes.close()


def test_undo_removes_what_the_wish_added_and_nothing_else(site: Site) -> None:
    other = Entry(READER, NON, Source.MANUALLY_ADDED, list_id="other.example.com")
    book.add(site.registry, other)
    site.take(hit(), hit(1, link=None), hit(2, method=UNDO))
    assert sorted(site.entries()) == [
        (NON, Source.LIST_UNSUBSCRIBE, ""),
        (NON, Source.MANUALLY_ADDED, "other.example.com"),
    ]


@pytest.mark.parametrize("source", [Source.MANUALLY_ADDED, Source.SPAM_COMPLAINT, Source.COMPLIANCE])
def test_what_others_entered_stays_theirs(site: Site, source: Source) -> None:
    book.add(site.registry, Entry(READER, NON, source, list_id="news.example.com"))
    site.take(hit(), hit(1, UNDO))
    assert site.entries() == [(NON, source, "news.example.com")]


def test_a_wish_is_worth_more_than_bounces(site: Site) -> None:
    book.add(site.registry, Entry(READER, NON, Source.BOUNCE_RULE, updated_ms=AT - 1000))
    site.take(hit(link=None))
    assert site.entries() == [(NON, Source.LIST_UNSUBSCRIBE, "")]


def test_a_click_that_stays_a_persons_for_ten_minutes_counts(site: Site) -> None:
    site.take(click())
    site.wait(SETTLED_SECONDS - 2)
    assert site.entries() == []
    site.wait(3)
    assert site.entries() == [(NON, Source.UNSUBSCRIBE_LINK, "")]
    assert site.registry.find("unsubscribe_pending") == ()


@pytest.mark.parametrize(
    ("client", "certain"),
    [
        (ReaderClass.SCANNER, True),
        (ReaderClass.HUMAN, False),
        (ReaderClass.UNKNOWN, True),
        (ReaderClass.PROXY, True),
    ],
)
def test_a_click_that_turns_out_otherwise_never_counts(
    site: Site, client: ReaderClass, certain: bool
) -> None:
    one = click()
    site.take(one)
    site.wait(30)
    site.label(one, client, certain=certain)
    for _ in range(4):
        site.wait(SETTLED_SECONDS)
    assert site.entries() == []
    assert site.registry.find("unsubscribe_pending") == ()


def test_a_second_verdict_begins_the_ten_minutes_anew(site: Site) -> None:
    one = click()
    site.take(one)
    site.wait(30)
    site.label(one, ReaderClass.SCANNER)
    site.wait(540)
    site.label(one, ReaderClass.HUMAN)
    site.wait(60)
    assert site.entries() == []
    site.wait(SETTLED_SECONDS)
    assert site.entries() == [(NON, Source.UNSUBSCRIBE_LINK, "")]


def test_a_late_click_waits_as_long(site: Site) -> None:
    site.now += 5000
    site.take(click())
    site.wait(SETTLED_SECONDS - 2)
    assert site.entries() == []


def test_clicks_of_machines_and_other_links_do_not_wait_for_anything(site: Site) -> None:
    ordinary = Link(b"https://example.org/", "x")
    site.take(click(method="HEAD"), click(1, link=ordinary), structs.replace(click(2), user_agent="curl/8"))
    for _ in range(3):
        site.wait(SETTLED_SECONDS)
    assert site.entries() == []


def test_off_asks_nothing_of_clicks(tmp_path: Path) -> None:
    site = Site(tmp_path, settled=False)
    site.take(click())
    for _ in range(2):
        site.wait(SETTLED_SECONDS)
    assert (site.entries(), site.opened) == ([], 0)


def test_a_restart_costs_no_waiting_click(site: Site) -> None:
    site.take(click())
    site.wishes = Unsubscribes(site.open, site.store, settled=True, now=lambda: site.now)
    site.wait(SETTLED_SECONDS + 1)
    assert site.entries() == [(NON, Source.UNSUBSCRIBE_LINK, "")]


def test_what_waits_names_nobody(site: Site) -> None:
    site.take(click(), hit(1, UNDO))
    for kind in ("unsubscribe_pending", "unsubscribe_undone"):
        (document,) = site.registry.find(kind)
        assert "ida" not in f"{document.key} {dict(document.data)}".lower()


def test_an_undo_is_remembered_as_long_as_a_wish_may_be_under_way(site: Site) -> None:
    site.take(hit(1, UNDO))
    for days, left in ((59, 1), (2, 0)):
        site.wishes._swept = float("-inf")
        site.wait(days * 86_400)
        assert len(site.registry.find("unsubscribe_undone")) == left


def test_an_erased_click_is_forgotten(site: Site) -> None:
    site.take(click())
    site.store.sweep(AT * 2)
    site.wait(SETTLED_SECONDS + 1)
    assert (site.entries(), site.registry.find("unsubscribe_pending")) == ([], ())


class Broken:
    """A registry that fails so often, then opens."""

    def __init__(self, registry: SqliteRegistry, times: int) -> None:
        self.registry = registry
        self.times = times

    def __call__(self) -> SqliteRegistry:
        self.times -= 1
        if self.times >= 0:
            raise RegistryError("no room")
        return self.registry


def test_a_wish_waits_in_the_spool_while_the_registry_fails(tmp_path: Path) -> None:
    registry, store = SqliteRegistry(tmp_path / "registry.db"), MemoryStore()
    spool = SpoolWriter(tmp_path / "spool")
    spool.append(encode(hit()))
    spool.append(encode(click(1, link=replace_marked())))
    spool.close()
    wishes = Unsubscribes(Broken(registry, 2), store, settled=False)
    shipper = Shipper(tmp_path / "spool", store, unsubscribes=wishes)
    assert not shipper.drain()
    assert "no room" in shipper.status.last_error
    assert book.get(registry, READER) == ()
    assert not shipper.drain()
    assert shipper.drain()
    assert [each.source for each in book.get(registry, READER)] == [Source.LIST_UNSUBSCRIBE]
    assert len(store.hits(0, AT * 2)) == 2


def test_clicks_are_settled_where_the_shipper_only_runs_now_and_then(site: Site, tmp_path: Path) -> None:
    site.take(click())
    site.now += SETTLED_SECONDS + 1
    Shipper(tmp_path / "spool", site.store, unsubscribes=site.wishes).drain()
    assert site.entries() == [(NON, Source.UNSUBSCRIBE_LINK, "")]


def replace_marked() -> Link:
    return MARKED._replace(unsubscribe=False)


def test_a_hit_that_was_not_posted_is_no_wish() -> None:
    assert wish_of(click()) is None
    assert wish_of(hit(method="GET")) is None
    assert wish_of(click(method="POST", link=replace_marked())) is None
    assert wish_of(structs.replace(hit(), kind=Kind.OPEN)) is None


def test_who_objects_by_the_page_stands_on_the_list(tmp_path: Path) -> None:
    listed = tmp_path / "objections"
    listed.write_text("# nobody yet\n")
    site = Site(tmp_path)
    site.wishes._objections = listed
    site.take(hit(method="OBJECT"), hit(1, method="OBJECT"))
    assert listed.read_text().splitlines() == ["# nobody yet", READER.lower()]
    assert reader_requests.waiting(site.registry, "") == []
    site.wishes.close()


@pytest.mark.parametrize("listed", [None, "missing"])
def test_an_objection_that_cannot_be_listed_is_left_to_people(tmp_path: Path, listed: str | None) -> None:
    site = Site(tmp_path)
    site.wishes._objections = tmp_path / listed if listed else None
    site.take(hit(method="OBJECT", customer_id="17"))
    assert [(each.what, each.recipient) for each in reader_requests.waiting(site.registry, "17")] == [
        ("OBJECT", READER)
    ]
    site.wishes.close()


def test_what_a_reader_asks_waits_once_for_people_and_erases_nothing(site: Site) -> None:
    site.take(hit(), hit(1, method="ERASE"), hit(2, method="ERASE"), hit(3, method="EXPORT"))
    waiting = reader_requests.waiting(site.registry, "")
    assert [(each.what, each.recipient, each.at_ms) for each in waiting] == [
        ("ERASE", READER, AT + 2),
        ("EXPORT", READER, AT + 3),
    ]
    assert site.entries() == [(NON, Source.LIST_UNSUBSCRIBE, "news.example.com")]
    assert site.registry.find("erasure") == ()
