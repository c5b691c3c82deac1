"""Privacy modes at the tracker: what a hit may still say, also one of a link from before (design rule 9)."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engagement.classify.rule_set import WITHHELD
from engagement.classify.shipped import classify, shipped
from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import BadRecord, decode
from engagement.events.rows import rows
from engagement.links.keys import Ring
from engagement.links.model import Kind, Link
from engagement.links.ring_file import edit_ring
from engagement.links.token import copy_sealer, unpack
from engagement.objections import ObjectionsFile, parse
from engagement.settings import load_file
from engagement.settings.schema import PrivacyMode
from tracker_web.links.application import LinksApplication
from tracker_web.links.privacy_spool import (
    PSEUDONYM_DOMAIN,
    ObjectionsSpool,
    PrivacySpool,
)
from tracker_web.server import per_process
from web.servers import fetch, make_site, running
from web.web_cases import HOST, KEY, NOW, TARGET, MemorySpool, ask, elsewhere, environ, hot, identity, token

AGENTS = (
    "",
    "Mozilla/5.0",
    " mozilla/5.0 ",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Microsoft Office/16.0 (Microsoft Outlook 16.0.1; Pro), Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "curl/8.5.0",
    "Ida Holm's own program, ida.holm@example.net",
    "Barracuda Sentinel (EE)",
    "x" * 2000,
)


def recorded(mode: PrivacyMode, *, agent: str = AGENTS[3], method: str = "GET", **link: Any) -> Hit:
    """What is left of one request in a spool behind the ceiling."""
    spool = MemorySpool()
    kind = link.pop("kind", Kind.CLICK)
    assert isinstance(kind, Kind)
    front = hot(PrivacySpool(spool, mode, bytes(32), EventIds(bytes(8)).next))
    path = ("/f/a/" if kind is Kind.CLICK else "/q/") + token(kind, **link)
    ask(front, environ(path, method, HTTP_USER_AGENT=agent, HTTP_ACCEPT_LANGUAGE="nb-NO"))
    (record,) = spool.records
    event = decode(record)
    assert isinstance(event, Hit)
    return event


@pytest.mark.parametrize("mode", [PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE])
def test_neither_address_nor_program_of_a_reader_is_recorded(mode: PrivacyMode) -> None:
    event = recorded(mode)
    assert (event.client_address, event.accept_language, event.user_agent) == ("", "", WITHHELD)
    assert (event.host, event.method) == (HOST, "GET")


@pytest.mark.parametrize("mode", [PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE])
def test_link_sent_in_a_wider_mode_names_its_reader_no_more(mode: PrivacyMode) -> None:
    event = recorded(mode, metadata='{"shop":"north"}', tags=("letter",))
    unpacked, link = unpack(event.kind, event.packed)
    before = identity()
    assert (unpacked.recipient, unpacked.metadata) == ("", "")
    assert unpacked.message_id != before.message_id
    assert unpacked.transmission_id != before.transmission_id
    assert link == Link(TARGET, "top banner")
    assert (unpacked.campaign, unpacked.tags) == (
        ("autumn-letter", ("letter",)) if mode is PrivacyMode.AGGREGATE else ("", ())
    )


def test_events_of_a_reduced_hit_hold_no_word_of_the_reader() -> None:
    """As the store keeps them, all fields together."""
    shown = json.dumps([row.fields for row in rows(recorded(PrivacyMode.AGGREGATE))]).lower()
    for word in ("ida.holm", "example.net", "203.0.113", "firefox", "nb-no"):
        assert word not in shown


def test_one_message_keeps_one_id_so_that_unique_counts_hold() -> None:
    first, again = (
        unpack(event.kind, event.packed)[0].message_id
        for event in (recorded(PrivacyMode.AGGREGATE), recorded(PrivacyMode.AGGREGATE, kind=Kind.OPEN))
    )
    other = recorded(PrivacyMode.AGGREGATE, message_id=bytes(15) + b"\1")
    assert first == again != unpack(other.kind, other.packed)[0].message_id


def test_one_message_keeps_one_id_while_keys_are_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers made before and after stand beside each other, and a store counts what both wrote."""
    ends: list[Callable[[], None]] = []
    monkeypatch.setattr(per_process, "Finalize", lambda _, end, exitpriority: ends.append(end))
    site = make_site(tmp_path, more='privacy { mode = "aggregate" }')
    settings = load_file(site.config)
    for secret in (bytes(range(2, 34)), bytes(range(3, 35))):
        ask(per_process.build(settings, elsewhere), environ(f"/q/{token(Kind.OPEN)}"))
        edit_ring(tmp_path / "keys", partial(Ring.rotated, secret=secret, now=NOW))
    for end in ends:
        end()
    first, again = (unpack(hit.kind, hit.packed)[0] for hit in site.hits())
    assert first == again


def test_link_of_the_mode_itself_is_kept_as_it_is() -> None:
    made: dict[str, Any] = {"recipient": "", "metadata": ""}
    event = recorded(PrivacyMode.AGGREGATE, **made)
    assert unpack(event.kind, event.packed)[0] == identity(**made)
    named: dict[str, Any] = {
        "recipient": "0123456789abcdef0123" + PSEUDONYM_DOMAIN,
        "campaign": "",
        "kind": Kind.OPEN,
    }
    event = recorded(PrivacyMode.HYGIENE, **named)
    assert unpack(event.kind, event.packed)[0].recipient == named["recipient"]
    assert unpack(event.kind, event.packed)[0].message_id == identity().message_id


def test_hygiene_keeps_the_day_of_an_open_and_no_time() -> None:
    spool = MemorySpool()
    keep = PrivacySpool(spool, PrivacyMode.HYGIENE, bytes(32), EventIds(bytes(8)).next)
    full = MemorySpool()
    ask(hot(full), environ(f"/q/{token(Kind.OPEN)}"))
    (record,) = full.records
    for _ in range(2):
        assert keep.append(record)
    days = [decode(record) for record in spool.records]
    assert {event.at_ms for event in days} == {NOW * 1000 // 86_400_000 * 86_400_000}
    assert len({event.id for event in days}) == 2
    assert all(event.id.replace("-", "")[:12] == f"{event.at_ms:012x}" for event in days)


def test_who_unsubscribes_is_kept_for_the_wish_cannot_be_followed_without() -> None:
    spool = MemorySpool()
    front = hot(PrivacySpool(spool, PrivacyMode.AGGREGATE, bytes(32), EventIds(bytes(8)).next))
    path = f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None)}"
    assert ask(front, environ(path, "POST")).status == 200
    event = decode(spool.records[0])
    assert isinstance(event, Hit)
    assert unpack(event.kind, event.packed)[0] == identity()
    assert (event.client_address, event.user_agent) == ("", "")


@pytest.mark.parametrize("kind", [Kind.LIST_UNSUBSCRIBE, Kind.CLICK])
@pytest.mark.parametrize("mode", [PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE])
def test_wish_keeps_its_reader_and_message_and_no_more_than_its_mode_has(
    mode: PrivacyMode, kind: Kind
) -> None:
    spool = MemorySpool()
    keep = PrivacySpool(spool, mode, bytes(32), EventIds(bytes(8)).next)
    link = None if kind is Kind.LIST_UNSUBSCRIBE else Link(TARGET, "leave", unsubscribe=True)
    sender_identity = identity(metadata='{"shop":"north"}', tags=("letter",))
    path = "/f/a/" + copy_sealer(KEY, sender_identity).seal(kind, link).decode("ascii")
    ask(hot(keep), environ(path, "GET" if link else "POST"))
    event = decode(spool.records[0])
    assert isinstance(event, Hit)
    labels = (
        {"metadata": ""} if mode is PrivacyMode.AGGREGATE else {"metadata": "", "campaign": "", "tags": ()}
    )
    assert unpack(event.kind, event.packed) == (replace(sender_identity, **labels), link)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("kind", [Kind.CLICK, Kind.OPEN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_hit_is_classed_as_its_whole_user_agent_is(agent: str, kind: Kind, method: str) -> None:
    event = recorded(PrivacyMode.AGGREGATE, agent=agent, kind=kind, method=method)
    assert classify(event) == classify(structs.replace(event, user_agent=agent))


@pytest.mark.parametrize("agent", AGENTS)
def test_a_word_stands_for_itself_and_holds_nothing_of_the_agent(agent: str) -> None:
    word = shipped().word(agent)
    assert shipped().word(word) == word
    names = {rule.name for rule in shipped().rules} | {WITHHELD, "no-rule"}
    assert set(word.split()) <= names


def test_a_reader_who_sends_a_word_writes_nothing_else_into_it() -> None:
    assert shipped().word("withheld ida@example.net library no-rule") == "withheld library no-rule"
    assert shipped().word("withheld ida@example.net") == WITHHELD


def test_what_cannot_be_read_is_not_passed_on() -> None:
    spool = MemorySpool()
    with pytest.raises(BadRecord):
        PrivacySpool(spool, PrivacyMode.AGGREGATE, bytes(32), EventIds(bytes(8)).next).append(
            b"ida.holm@example.net"
        )
    assert spool.records == []
    with pytest.raises(ValueError, match="full"):
        PrivacySpool(spool, PrivacyMode.FULL, bytes(32), EventIds(bytes(8)).next)


@pytest.mark.parametrize("mode", [PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE])
def test_running_tracker_writes_no_word_of_the_reader_to_its_disk(tmp_path: Path, mode: PrivacyMode) -> None:
    site = make_site(tmp_path, more=f'privacy {{ mode = "{mode}" }}')
    headers = {"User_Agent": AGENTS[8], "Accept_Language": "nb-NO", "X_Forwarded_For": "203.0.113.9"}
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}", **headers).status == 302
        assert fetch(site.port, f"/q/{token(Kind.OPEN)}", **headers).status == 200
    assert len(site.hits()) == 2
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        recorded = file.read_bytes().lower()
        for word in (b"ida.holm", b"203.0.113.9", b"nb-no"):
            assert word not in recorded, file


def obeying(spool: MemorySpool, objections: str) -> LinksApplication:
    return hot(ObjectionsSpool(spool, lambda: parse(objections, "list")))


def test_reader_who_objected_is_sent_on_and_not_recorded_also_for_mail_sent_before() -> None:
    spool = MemorySpool()
    front = obeying(spool, "ida.holm@example.net")
    click = ask(front, environ(f"/f/a/{token()}"))
    assert (click.status, click.headers["location"]) == (302, TARGET.decode())
    assert ask(front, environ(f"/q/{token(Kind.OPEN)}")).status == 200
    assert spool.records == []
    assert ask(front, environ(f"/f/a/{token(recipient='kim@example.net')}")).status == 302
    assert len(spool.records) == 1


def test_objection_of_a_domain_holds_for_all_in_it() -> None:
    spool = MemorySpool()
    ask(obeying(spool, "@example.net"), environ(f"/f/a/{token()}"))
    assert spool.records == []


def test_unsubscribing_is_recorded_also_of_a_reader_who_objected() -> None:
    spool = MemorySpool()
    ask(obeying(spool, "@example.net"), environ(f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None)}", "POST"))
    assert len(spool.records) == 1


def test_while_nobody_knows_who_objected_nothing_is_recorded_and_links_work(tmp_path: Path) -> None:
    spool, lost = MemorySpool(), list[Exception]()
    file = ObjectionsFile(tmp_path / "none", lambda trouble: None)
    front = hot(ObjectionsSpool(spool, file.current), lost=lost.append)
    assert ask(front, environ(f"/f/a/{token()}")).status == 302
    assert (spool.records, len(lost)) == ([], 1)


def test_running_tracker_heeds_an_objection_within_two_seconds(tmp_path: Path) -> None:
    objections = tmp_path / "objections"
    objections.write_text("")
    site = make_site(tmp_path, more=f'privacy {{ objections = "{objections}" }}')
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        objections.write_text("ida.holm@example.net\n")
        time.sleep(1.2)
        for _ in range(4):  # whichever worker answers
            assert fetch(site.port, f"/f/a/{token()}").status == 302
    assert len(site.hits()) == 1
