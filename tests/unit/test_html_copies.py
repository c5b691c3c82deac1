"""Copies of a campaign's HTML: what stands in one, whose is kept, and when it ends."""

import base64
import json
import os
import quopri
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.erasures.carrying import Erasures
from engagement.erasures.requests import ErasureRequests
from engagement.html_copies import book, folder
from engagement.html_copies.book import FORMS, CopyBook
from engagement.html_copies.carrying import CopyCarrier
from engagement.html_copies.folder import CopyFolder
from engagement.html_copies.model import (
    DAY_MS,
    MARK,
    BadCopyError,
    CopiedLink,
    HtmlCopy,
    as_file,
    form_of,
    from_facts,
    of_file,
)
from engagement.links.token import open_token, unpack
from engagement.links.urls import read_path
from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_text
from engagement.stores.memory import MemoryStore
from hop_mail import NOW, RING, Mail, api, mail
from hop_mail import site as hop_site
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan
from smtpapi.process.html_keeper import HtmlKeeper, html_sent
from smtpapi.rewrite.mail_copy import HIDDEN, copy_of, personal_terms, tracked_links, tracked_urls
from unit.format_samples import SAMPLES

ANN = "ann.summer@example.net"
NOW_MS = int(NOW * 1000)
LETTER = """<html><head><style>a{color:red} .x{background:url(https://far.example/x.png)}</style></head>
<body bgcolor="#ffeedd" onload="run()"><!-- the comment -->
<p style="color:blue;background:url('https://far.example/y')">Dear Ann Summer, order 987654 is here.</p>
<a href="https://shop.example/first?who=ann.summer@example.net#x" data-msys-linkname="top">First <b>one</b>
</a>
<a href="mailto:help@shop.example">mail us</a>
<img src="https://far.example/ann.png" width="120" height="40" alt="A lamp for Ann">
<a href="https://shop.example/second" onclick="run()"><img src="https://far.example/2.png" alt="second"></a>
<script>run()</script><form action="https://far.example"><input value="secret"></form>
<a href="https://shop.example/second">again</a></body></html>
"""


def keeping(days: int = 30, more: str = "", top: str = "") -> Any:
    return hop_site("untracked", f"keep_html_days = {days} {more}", added="shared", top=top)


def letter(site: Any, text: bytes = LETTER.encode(), *fields: Field, **members: Any) -> Mail:
    members = {"campaign_id": "autumn", "metadata": {"order": 987654}} | members
    whose = Field("To", b' "Ann Summer" <ann.summer@example.net>')
    sent = mail(site, whose, Field("Subject", b" Ann, it is autumn"), api(**members), *fields, body=text)
    return replace(sent, recipients=(ANN,))


class Site:
    """A filter's keeper, a folder, a registry and what the shipper does with them; time stands still."""

    def __init__(self, tmp_path: Path, top: str = "") -> None:
        self.spool = tmp_path / "spool"
        self.objections = tmp_path / "objections"
        self.registry = SqliteRegistry(tmp_path / "registry.db")
        self.settings = load_text(f'smtpapi {{ }} spool {{ directory = "{self.spool}" }} {top}')
        self.tick = 100.0
        self.now = NOW
        self.reports: list[str] = []
        self.keeper = self.new_keeper()
        self.copies = CopyCarrier(
            lambda: SqliteRegistry(tmp_path / "registry.db"),
            self.spool,
            self.objections if self.objections.name in top else None,
            clock=lambda: self.tick,
            now=lambda: self.now,
        )

    def new_keeper(self) -> HtmlKeeper:
        return HtmlKeeper(self.settings, self.reports.append, tick=lambda: self.tick)

    def send(self, sent: Mail) -> bool:
        """Offer a mail as the filter does after its answer, and wait for the thread."""
        self.tick += 60
        taken = self.keeper.offer(sent.consider(), sent.message)
        self.keeper.close(30)
        again, self.keeper = self.keeper, self.new_keeper()
        self.keeper._seen = again._seen
        return taken

    def files(self) -> list[HtmlCopy]:
        return [copy for _, copy in CopyFolder(self.spool).copies() if copy is not None]

    def stored(self, campaign: str = "autumn", tenant: str = "") -> tuple[HtmlCopy, ...]:
        return CopyBook(self.registry).of_campaign(campaign, tenant, int(self.now * 1000))

    def turn(self) -> int:
        self.tick += 1000
        return self.copies.turn()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, top=f'privacy {{ objections = "{tmp_path}/objections" }}')
    made.objections.write_text("")
    yield made
    made.registry.close()


def marks(html: str) -> list[int]:
    return [int(each) for each in MARK.findall(html)]


def plan_of(sent: Mail) -> Plan:
    plan = sent.consider().outcome
    assert isinstance(plan, Plan)
    return plan


def test_a_copy_has_text_and_looks_and_where_each_link_ends(site: Site) -> None:
    assert site.send(letter(keeping()))
    (copy,) = site.files()
    assert marks(copy.html) == [0, 1, 2]
    assert [(each.ordinal, each.name, each.target) for each in copy.links] == [
        (0, "top", "https://shop.example/first"),
        (1, "Raw URL", "https://shop.example/second"),
        (2, "Raw URL", "https://shop.example/second"),
    ]
    assert "First <b>one</b>" in copy.html
    assert 'bgcolor="#ffeedd"' in copy.html
    assert "color:blue" in copy.html
    assert 'style="width:120px;height:40px;"' in copy.html
    assert (copy.at_ms, copy.until_ms) == (NOW_MS, NOW_MS + 30 * DAY_MS)


def test_nothing_of_a_copy_loads_runs_or_leads_anywhere(site: Site) -> None:
    site.send(letter(keeping()))
    (copy,) = site.files()
    for word in (
        "far.example",
        "http",
        "href",
        "src",
        "script",
        "onload",
        "onclick",
        "mailto:",
        "secret",
        "comment",
    ):
        assert word not in copy.html, word
    assert not re.search(r"<(img|form|input|iframe|a [^>]*href)", copy.html)


def test_what_the_mail_says_of_its_reader_elsewhere_is_hidden(site: Site) -> None:
    site.send(letter(keeping()))
    (copy,) = site.files()
    for word in ("Ann", "Summer", "987654", ANN):
        assert word not in copy.html
        assert word not in copy.subject
        assert all(word not in each.target for each in copy.links)
    assert f"Dear {HIDDEN} {HIDDEN}, order {HIDDEN} is here." in copy.html
    assert copy.recipient == ANN


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("8bit", "utf-8"),
        ("8bit", "iso-8859-1"),
        ("quoted-printable", "utf-8"),
        ("base64", "utf-8"),
        ("base64", "utf-16"),
    ],
)
def test_links_are_found_again_under_each_encoding(encoding: str, charset: str) -> None:
    """Their ordinals are those that are sealed in the links, which is what figures go by."""
    data = LETTER.replace("First", "Frühling").encode(charset)
    body = {"quoted-printable": quopri.encodestring, "base64": base64.encodebytes}.get(encoding, bytes)(data)
    fields = (
        Field("Content-Type", f" text/html; charset={charset}".encode()),
        Field("Content-Transfer-Encoding", f" {encoding}".encode()),
        Field("MIME-Version", b" 1.0"),
    )
    sent = letter(keeping(), body.replace(b"\n", b"\r\n"))
    others = tuple(each for each in sent.message.fields if each.name != "Content-Type")
    sent = replace(sent, message=Message((*others, *fields), sent.message.body))
    plan = plan_of(sent)
    text = html_sent(sent.message, plan)
    assert text is not None
    assert "Frühling" in text
    urls = tracked_urls(plan.edits)
    for url, ordinal in urls.items():
        requested = read_path(url.removeprefix("http://t.example.net").encode())
        assert requested is not None
        opened = open_token(requested.token, RING)
        _, link = unpack(opened.kind, opened.packed)
        assert link is not None
        assert (link.ordinal, link.part) == (ordinal, "html")
    assert marks(copy_of(text, urls)) == [0, 1, 2]


def test_of_a_mail_in_parts_the_html_one_is_kept(site: Site) -> None:
    parts = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nSee https://shop.example/text now\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n" + LETTER.replace("\n", "\r\n").encode() + b"\r\n--b--\r\n"
    )
    sent = letter(keeping(), parts)
    others = tuple(each for each in sent.message.fields if each.name != "Content-Type")
    kind = Field("Content-Type", b' multipart/alternative; boundary="b"')
    site.send(replace(sent, message=Message((*others, kind), parts)))
    (copy,) = site.files()
    assert marks(copy.html) == [0, 1, 2]
    assert "shop.example/text" not in json.dumps([each.target for each in copy.links])


@pytest.mark.parametrize(
    "sent",
    [
        letter(keeping(0)),
        letter(keeping(), options={"transactional": True}),
        letter(keeping(), campaign_id=""),
        letter(keeping(top="privacy { mode = aggregate }")),
        letter(keeping(top="privacy { mode = hygiene }")),
        letter(keeping(top="privacy { pixel = shared }")),
        letter(keeping(top="privacy { require_consent = true }")),
        letter(keeping(), options={"click_tracking": False}),
        letter(keeping(), b"<p>no link</p>"),
        replace(letter(keeping()), recipients=(ANN, "bob@example.net")),
    ],
    ids=["off", "transactional", "no campaign", "aggregate", "hygiene", "shared", "no consent", "untracked",
         "no link", "several"],
)  # fmt: skip
def test_whose_mail_may_not_be_kept_is_not(site: Site, sent: Mail) -> None:
    assert not site.send(sent)
    assert site.files() == []


def test_of_who_objected_nothing_is_kept(site: Site) -> None:
    site.objections.write_text("@example.net\n")
    site.keeper = site.new_keeper()
    site.send(letter(keeping()))
    assert site.files() == []


def test_while_the_list_of_objections_cannot_be_read_nothing_is_kept(site: Site) -> None:
    site.objections.unlink()
    site.keeper = site.new_keeper()
    site.send(letter(keeping()))
    assert site.files() == []


def test_a_form_of_a_campaign_is_kept_once(site: Site) -> None:
    assert site.send(letter(keeping()))
    assert not site.send(replace(letter(keeping()), recipients=("bob@example.net",)))
    other = LETTER.replace("https://shop.example/second", "https://else.example/")
    assert site.send(letter(keeping(), other.encode()))
    assert len(site.files()) == 2


def test_what_cannot_be_taken_at_once_is_left_out(site: Site) -> None:
    """The mail's thread waits for nothing: a full queue, or a copy made a moment ago, costs the copy."""
    results = [letter(keeping(), campaign_id=f"c{number}") for number in range(3)]
    taken = [site.keeper.offer(each.consider(), each.message) for each in results]
    assert taken == [True, False, False]
    site.keeper.close(30)


def test_a_larger_one_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    site = Site(tmp_path, top="limits { max_kept_html = 4096 }")
    site.send(letter(keeping(), LETTER.encode() + b"<p>more</p>" * 1000))
    assert site.files() == []
    site.send(letter(keeping(), campaign_id="small"))
    assert len(site.files()) == 1


def test_a_disk_that_fails_costs_the_copy_and_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.spool.write_text("no folder")
    assert site.send(letter(keeping()))
    assert len(site.reports) == 1
    assert ANN not in site.reports[0]


def test_the_folder_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_FILES", 3)
    for number in range(5):
        site.send(letter(keeping(), campaign_id=f"campaign {number}"))
    assert len(site.files()) == 3
    assert site.turn() == 3
    site.send(letter(keeping(), campaign_id="campaign 9"))
    assert len(site.files()) == 1


def test_the_shipper_takes_copies_to_the_registry(site: Site) -> None:
    site.send(letter(keeping()))
    (waiting,) = site.files()
    assert site.turn() == 1
    assert site.files() == []
    (copy,) = site.stored()
    assert CopyBook(site.registry).html(copy) == waiting.html
    assert replace(copy, html=waiting.html) == waiting
    assert site.stored(tenant="other") == ()
    CopyFolder(site.spool).put(replace(waiting, subject="another"))
    assert site.turn() == 0, "there is one of this form"
    assert [each.subject for each in site.stored()] == [waiting.subject]


def a_copy(form: str = "f", campaign: str = "autumn", at_ms: int = NOW_MS, recipient: str = ANN) -> HtmlCopy:
    links = (CopiedLink(0, "top", "https://shop.example/"),)
    return HtmlCopy("", campaign, form, recipient, "s", at_ms, at_ms + DAY_MS, links, "<p>x</p>")


def test_a_copy_ends_with_its_days(site: Site) -> None:
    CopyFolder(site.spool).put(a_copy())
    site.turn()
    assert len(site.stored()) == 1
    site.now += 86_400
    site.turn()
    assert site.stored() == ()
    assert site.registry.find(book.BODY) == site.registry.find(book.KIND) == ()
    CopyFolder(site.spool).put(a_copy())
    assert site.turn() == 0, "it is over before it was carried"


class Opened:
    """Counts how often a registry is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def __call__(self) -> SqliteRegistry:
        self.count += 1
        return SqliteRegistry(self.path)


def test_where_no_copy_is_kept_the_registry_is_looked_at_once(site: Site, tmp_path: Path) -> None:
    opened = Opened(tmp_path / "registry.db")
    copies = CopyCarrier(opened, site.spool, keeps=False, now=lambda: site.now)
    for _ in range(3):
        assert copies.turn(now=True) == 0
        copies._ends = float("-inf")
    assert opened.count == 1
    CopyFolder(site.spool).put(a_copy())  # of a filter that was not reloaded yet
    assert copies.turn(now=True) == 1
    copies._ends = float("-inf")
    assert len(site.stored()) == 1


def test_copies_that_were_kept_before_end_with_their_days(site: Site, tmp_path: Path) -> None:
    CopyFolder(site.spool).put(a_copy())
    site.turn()
    opened = Opened(tmp_path / "registry.db")
    copies = CopyCarrier(opened, site.spool, keeps=False, now=lambda: site.now)
    copies.turn(now=True)
    assert len(site.stored()) == 1
    site.now += 86_400
    copies._ends = float("-inf")
    copies.turn(now=True)
    assert site.stored() == ()
    copies._ends = float("-inf")
    copies.turn(now=True)
    assert opened.count == 1


def test_where_no_copy_is_kept_a_registry_that_is_away_is_no_trouble_of_theirs(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> SqliteRegistry:
        raise RegistryError("it is away.")

    copies = CopyCarrier(away, site.spool, keeps=False, now=lambda: site.now)
    assert copies.turn(now=True) == 0
    assert caplog.messages == []
    CopyFolder(site.spool).put(a_copy())
    copies.turn(now=True)
    assert caplog.messages == ["copies of mail for the click map wait: it is away."]


def test_the_newest_forms_of_a_campaign_stay(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    copies_of = CopyBook(site.registry)
    for number in range(FORMS + 2):
        copies_of.add(a_copy(f"form{number}", at_ms=NOW_MS + number), NOW_MS)
    assert [each.form for each in site.stored()] == [f"form{number}" for number in range(FORMS + 1, 1, -1)]
    monkeypatch.setattr(book, "MOST", 5)
    for number in range(4):
        copies_of.add(a_copy(campaign=f"c{number}", at_ms=NOW_MS + 100 + number), NOW_MS)
    assert len(site.registry.find(book.KIND)) == len(site.registry.find(book.BODY)) == 5


def test_who_objects_later_has_no_copy_left(site: Site) -> None:
    CopyFolder(site.spool).put(a_copy())
    CopyFolder(site.spool).put(a_copy("g", recipient="bob@example.org"))
    assert site.turn() == 2
    site.objections.write_text(f"{ANN}\n")
    site.copies._ends = float("inf")  # nothing is looked through for its time
    site.turn()
    assert [each.recipient for each in site.stored()] == ["bob@example.org"]


def test_who_is_erased_has_no_copy_left_not_even_a_waiting_one(site: Site) -> None:
    for stored in (a_copy(), a_copy("g", recipient="bob@example.org")):
        CopyBook(site.registry).add(stored, NOW_MS)
        CopyFolder(site.spool).put(replace(stored, form=f"{stored.form}2"))
    ErasureRequests(site.registry).ask([ANN.upper()])
    erasures = Erasures(lambda: site.registry, MemoryStore(), site.spool)
    assert erasures.turn() == 1
    assert {each.recipient for each in site.stored()} == {"bob@example.org"}
    assert [each.recipient for each in site.files()] == ["bob@example.org"]
    assert len(site.registry.find(book.BODY)) == 1


def test_what_is_no_copy_is_swept_away(site: Site) -> None:
    site.spool.mkdir()
    for name, data in (("a.kept", b"{}"), ("b.kept", b"\xff"), ("c.kept.new", b"half")):
        (site.spool / name).write_bytes(data)
    (site.spool / "d.ready").write_bytes(b"not ours")
    (site.spool / "e.kept.new").write_bytes(b"being made now")
    os.utime(site.spool / "c.kept.new", (1, 1))
    assert site.turn() == 0
    assert sorted(each.name for each in site.spool.iterdir()) == ["d.ready", "e.kept.new"]


def test_a_newer_programs_copy_says_so() -> None:
    with pytest.raises(BadCopyError, match="use the newer program"):
        from_facts({"version": 9})


def test_a_file_gives_the_copy_it_was_made_of() -> None:
    copy = replace(a_copy(), html='<p>ü "&" \N{GRINNING FACE}</p>', campaign="a/b\0\ud800")
    assert of_file(as_file(copy)) == copy


def test_the_form_is_that_of_links_not_of_persons() -> None:
    one, other = (
        (CopiedLink(0, "top", f"https://shop.example/{who}"), CopiedLink(1, "n", "https://b.example/"))
        for who in "ab"
    )
    assert form_of("", one) == form_of("", other) != form_of("7", one)
    assert form_of("", one[:1]) != form_of("", one)


_MARKUP = (
    *('<a href="U">', "</a>", "<i class=smtpapi-link id=link-0>", '<i class="smtpapi-link" id="link-0"></i>'),
    *("&lt;i class=&quot;smtpapi-link&quot; id=&quot;link-0&quot;&gt;&lt;/i&gt;", "<!--", "-->", "<x:y>"),
    *("<script>", "</script>", "<style>", "</style>", "<svg>", "<math>", "<![CDATA[", "]]>", "\0", "<td>"),
    *("<p style='a:url(x)'>", "<table>", "<img src=x onerror=y>", "<plaintext>", "<textarea>", "<noscript>"),
)


@given(st.lists(st.one_of(st.sampled_from(_MARKUP), st.text(max_size=12)), max_size=14))
def test_whatever_stands_in_a_mail_its_copy_is_harmless(pieces: list[str]) -> None:
    try:
        copy = copy_of("".join(pieces), {"U": 7}, frozenset({"secret"}))
    except ValueError:
        return
    assert set(marks(copy)) <= {7}, "no other mark than ours"
    tags = re.findall(r"<[^>]*>", re.sub(r"<style>.*?</style>", "", copy, flags=re.DOTALL))
    for tag in tags:
        assert re.fullmatch(r"</?[a-z0-9]+(?: [a-z]+=\"[^\"<>]*\")*>", tag), tag
        assert not re.search(r" (?:on\w+|href|src|action|srcset|poster|background)=", tag), tag
    assert "<script" not in copy.lower()


@pytest.mark.parametrize(
    "piece",
    ["/*", "url(", "*/", "@import", "<b>", "<!--", "<style>", "a:url('", "Ann ", "\\", "<p style='url('>"],
)
def test_a_copy_takes_time_as_its_mail_is_long(piece: str) -> None:
    """The thread shares its interpreter with mail: what a sender writes must not keep it busy."""
    hidden_terms = frozenset(f"word{number}" for number in range(50))
    began = time.process_time()
    copy_of(f"<p>{piece * (200_000 // len(piece))}", {}, hidden_terms)
    copy_of(f"<style>{piece * (200_000 // len(piece))}</style><p>x", {}, hidden_terms)
    assert time.process_time() - began < 5  # quadratic ones take minutes


def test_words_that_name_somebody() -> None:
    hidden_terms = personal_terms(
        "ida@x.example", 'Ida "Ole" Berg <ida@x.example>', '{"a": "Lamp Street", "n": 12, "b": [1]}'
    )
    assert {"ida@x.example", "ida", "Ida", "Ole", "Berg", "Lamp Street"} <= hidden_terms
    assert "12" not in hidden_terms
    assert personal_terms("ida@x.example", "undisclosed <list@x.example>", "no json") == {
        "ida@x.example",
        "ida",
    }


def test_links_of_other_parts_have_no_place_in_the_copy() -> None:
    plan = plan_of(letter(keeping()))
    text_edits = [edit._replace(type="text/plain") for edit in plan.edits]
    assert tracked_links(text_edits) == ()


def test_a_copy_of_each_version_is_read() -> None:
    """Sample of docs/compatibility.md."""
    copy = of_file((SAMPLES / "html-copy-1.kept").read_bytes())
    assert (copy.campaign, copy.recipient, copy.links) == (
        "autumn",
        "ida@example.net",
        (CopiedLink(0, "top", "https://shop.example/first"),),
    )
    assert marks(copy.html) == [0]
