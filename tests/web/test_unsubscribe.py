"""The addresses by which readers leave a list: what is answered, and what is written down."""

import re
from html import unescape
from typing import Any
from urllib.parse import urljoin

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.erasures.reader_requests import ReaderRequest, request_of
from engagement.events.model import ASKS, Hit
from engagement.events.record import decode
from engagement.events.rows import rows
from engagement.links.keys import Ring
from engagement.links.model import Kind, Link
from engagement.links.token import copy_sealer
from engagement.settings.schema import PrivacyMode
from engagement.shipper.wishes import Wish, wish_of
from tracker_web.languages.choice import best
from tracker_web.links.about_page import RetentionPolicy
from tracker_web.links.privacy_spool import PrivacySpool, WishesSpool
from web.web_cases import (
    KEY,
    NOW,
    RING,
    STRANGER,
    TARGET,
    Answer,
    FixedKeys,
    MemorySpool,
    ask,
    environ,
    hot,
    identity,
    token,
)

READER = "Ida.Holm@Example.net"
LIST = Link(b"news.example.com", "Weekly <News>")


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Full:
    """A spool without room."""

    def append(self, _record: bytes) -> bool:
        return False


def one_click(link: Link | None = LIST, **changes: Any) -> str:
    return "/f/a/" + copy_sealer(KEY, identity(**changes)).seal(Kind.LIST_UNSUBSCRIBE, link).decode("ascii")


def marked() -> str:
    link = Link(TARGET, "leave", unsubscribe=True)
    return "/f/a/" + copy_sealer(KEY, identity()).seal(Kind.CLICK, link).decode("ascii")


def wishes(spool: MemorySpool) -> list[Wish]:
    hits = [decode(record) for record in spool.records]
    found = [wish_of(hit) for hit in hits if isinstance(hit, Hit)]
    assert None not in found
    return [each for each in found if each is not None]


def buttons(answer: Answer) -> list[tuple[str, str]]:
    """Query and words of each button of a page."""
    found = re.findall(rb'<form method="post" action="\?([^"]+)"><button>(.*?)</button>', answer.body)
    return [
        (unescape(query.decode()), unescape(re.sub(r"<[^>]+>", "", text.decode()))) for query, text in found
    ]


def press(app: Any, path: str, query: str) -> Answer:
    return ask(app, environ(path, "POST", QUERY_STRING=query))


def test_page_says_who_leaves_what_and_nothing_is_changed_by_looking() -> None:
    spool = MemorySpool()
    app = hot(spool, sender="Example Ltd.")
    page = ask(app, environ(one_click()))
    text = unescape(re.sub(r"<[^>]+>", "", page.body.decode()))
    assert page.status == 200
    for word in (READER, "Weekly <News> (news.example.com)", "Example Ltd."):
        assert word in text
    assert [query for query, _ in buttons(page)] == ["list", "all"]
    assert ask(app, environ(one_click(), "HEAD")).body == b""
    assert spool.records == []


def test_page_needs_no_script_and_loads_nothing() -> None:
    page = ask(hot(), environ(one_click()))
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(rb"<(script|img|link|iframe)| on\w+=| style=|https?:", page.body)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_mail_of_no_list_has_one_choice() -> None:
    page = ask(hot(), environ(one_click(Link(b"", "Ann at Example"))))
    ((query, text),) = buttons(page)
    assert (query, text) == ("all", "Unsubscribe from mail of Ann at Example")
    assert [text for _, text in buttons(ask(hot(), environ(one_click(None))))] == [
        "Unsubscribe from mail of this sender"
    ]


@pytest.mark.parametrize("query", ["", "utm_source=x", "list%00", "%", "undone=1"])
def test_mail_program_leaves_the_list_at_once_whatever_a_gateway_adds(query: str) -> None:
    spool = MemorySpool()
    answer = press(hot(spool), one_click(), query)
    assert (answer.status, answer.body) == (200, b"")
    (wish,) = wishes(spool)
    assert (wish.undo, wish.recipient, wish.list_id, wish.by_link) == (
        False,
        READER,
        "news.example.com",
        False,
    )


def test_link_works_as_often_as_it_is_used_and_when_it_is_long_over() -> None:
    spool, clock = MemorySpool(), Clock()
    app = hot(spool, clock=clock)
    path = one_click(issued=NOW - 9000, expiry=NOW - 8000)
    for _ in range(3):
        clock.now += 40 * 86_400
        assert press(app, path, "").status == 200
        assert ask(app, environ(path)).status == 200
    assert len(wishes(spool)) == 3


@pytest.mark.parametrize(("query", "list_id"), [("list", "news.example.com"), ("all", "")])
def test_each_button_says_what_it_did_and_can_be_undone(query: str, list_id: str) -> None:
    spool, clock = MemorySpool(), Clock()
    app = hot(spool, clock=clock)
    path = one_click()
    done = press(app, path, query)
    ((undo, _),) = buttons(done)
    clock.now += 599
    undone = press(app, path, undo)
    assert (done.status, undone.status) == (200, 200)
    first, second = wishes(spool)
    assert (first.undo, first.list_id, second.undo, second.list_id) == (False, list_id, True, list_id)
    assert second.at_ms > first.at_ms


def test_undo_is_later_than_what_it_undoes_though_its_host_has_a_slow_clock() -> None:
    spool, clock = MemorySpool(), Clock()
    app = hot(spool, clock=clock)
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    clock.now -= 30
    assert press(app, one_click(), undo).status == 200
    first, second = wishes(spool)
    assert second.at_ms > first.at_ms


def test_undo_is_over_after_ten_minutes() -> None:
    spool, clock = MemorySpool(), Clock()
    app = hot(spool, clock=clock)
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    clock.now += 660
    assert press(app, one_click(), undo).status == 410
    assert len(spool.records) == 1


def test_undo_holds_over_a_rotation_and_not_with_a_revoked_key() -> None:
    keys, clock = FixedKeys(), Clock()
    spool = MemorySpool()
    app = hot(spool, keys=keys, clock=clock)
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    keys.ring = RING.rotated(bytes(range(2, 34)), NOW)
    assert press(app, one_click(), undo).status == 200
    keys.ring = Ring((STRANGER,))
    assert press(app, one_click(), undo).status == 405
    assert len(spool.records) == 2


@given(st.text(max_size=80))
def test_undo_that_we_did_not_offer_changes_nothing(text: str) -> None:
    spool = MemorySpool()
    app = hot(spool)
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    for query in (f"undo={text}", undo[:-1] + "g", undo.replace("all", "list"), undo.replace(".17", ".18")):
        assert press(app, one_click(), query).status == 410
    assert press(app, one_click(recipient="bob@example.net"), undo).status == 410
    assert len(spool.records) == 1


@pytest.mark.parametrize("spool", [Full(), None])
def test_wish_that_cannot_be_written_down_is_not_called_done(spool: Any) -> None:
    app = hot(spool)
    for query in ("", "list", "all"):
        answer = press(app, one_click(), query)
        assert (answer.status, answer.headers["retry-after"]) == (503, "120")


def test_page_shows_nothing_without_a_genuine_token() -> None:
    forged = f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None, key=STRANGER)}"
    for method in ("GET", "POST", "HEAD"):
        assert ask(hot(), environ(forged, method)).status == (405 if method == "POST" else 404)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        *(("", "en"), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("en-GB,de;q=0.5", "en")),
        *(("fr,de;q=0.2", "de"), ("de;q=x", "en"), ("de;q=0", "en"), ("*", "en"), (",;=", "en")),
    ],
)
def test_page_is_in_german_for_who_wants_it(accepted: str, language: str) -> None:
    page = ask(hot(), environ(one_click(), HTTP_ACCEPT_LANGUAGE=accepted))
    assert f'<html lang="{language}">'.encode() in page.body
    assert best(accepted, ("en", "de"), "en") == language


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_page_is_whole_in_each_language(language: str) -> None:
    clock = Clock()
    app = hot(MemorySpool(), clock=clock)

    def shown(query: str, way: Any = app) -> Answer:
        return ask(way, environ(one_click(), "POST", QUERY_STRING=query, HTTP_ACCEPT_LANGUAGE=language))

    done = [shown("list"), shown("all")]
    ((undo, _),) = buttons(done[0])
    pages = [ask(app, environ(one_click(), HTTP_ACCEPT_LANGUAGE=language)), *done, shown(undo)]
    clock.now += 900
    pages += [shown(undo), shown("all", hot(Full()))]
    assert len({page.body for page in pages}) == 6
    for page in pages:
        assert f'lang="{language}"'.encode() in page.body
        assert b"{" not in re.sub(rb"<style>.*?</style>", b"", page.body)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_name_writes_markup(name: str, recipient: str) -> None:
    link = Link(b"news.example.com", name)
    answer = ask(
        hot(sender="z" if name else ""), environ(one_click(Link(b"news.example.com", "x"), recipient="y"))
    )
    page = ask(hot(sender=name), environ(one_click(link, recipient=recipient)))
    assert tags(page.body) == tags(answer.body)


def tags(body: bytes) -> list[str]:
    tree = html5lib.parse(body.decode(), namespaceHTMLElements=False)
    return [element.tag for element in tree.iter()]


def test_undo_makes_no_event_and_leaving_makes_one() -> None:
    spool = MemorySpool()
    app = hot(spool)
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    press(app, one_click(), undo)
    made = [[row.type for row in rows(decode(record))] for record in spool.records]
    assert made == [["list_unsubscribe"], []]


def test_marked_link_leads_to_the_authors_page_unless_ours_is_to_ask() -> None:
    spool = MemorySpool()
    assert ask(hot(spool), environ(marked())).headers["location"] == TARGET.decode()
    assert len(spool.records) == 1
    assert ask(hot(spool), environ(marked(), "POST")).status == 405


def test_marked_link_asks_on_a_page_with_the_way_on() -> None:
    spool = MemorySpool()
    app = hot(spool, confirm_unsubscribe=True)
    for path in (marked(), marked() + "'"):
        page = ask(app, environ(path))
        assert page.status == 200
        assert unescape(page.body.decode()).count(TARGET.decode()) == 1
    assert spool.records == []
    done = press(app, marked(), "all")
    ((undo, _),) = buttons(done)
    press(app, marked(), undo)
    first, second = wishes(spool)
    assert (first.by_link, first.undo, first.list_id, second.undo) == (True, False, "", True)
    events = [[row.type for row in rows(decode(record))] for record in spool.records]
    assert events == [["click", "link_unsubscribe"], []]
    assert ask(app, environ(f"/f/a/{token()}")).headers["location"] == TARGET.decode()


def test_form_leads_to_the_same_link() -> None:
    path = one_click()
    for query, _ in buttons(ask(hot(), environ(path))):
        assert (
            urljoin(f"https://track.example.com{path}?x=1", f"?{query}")
            == f"https://track.example.com{path}?{query}"
        )


def test_mode_off_keeps_wishes_alone_and_their_order() -> None:
    spool, clock = MemorySpool(), Clock()
    keep = WishesSpool(
        PrivacySpool(
            spool,
            PrivacyMode.HYGIENE,
            bytes(32),
            lambda ms: f"{ms:012x}"[:8] + "-0000-7000-8000-000000000001",
        )
    )
    app = hot(keep, clock=clock)
    ask(app, environ(f"/f/a/{token()}"))
    ask(app, environ(f"/q/{token(Kind.OPEN)}"))
    ask(app, environ(marked()))
    ((undo, _),) = buttons(press(app, one_click(), "all"))
    clock.now += 5
    press(app, one_click(), undo)
    first, second = wishes(spool)
    assert (first.recipient, first.undo, second.undo) == (READER, False, True)
    assert second.at_ms > first.at_ms


@pytest.mark.parametrize(("accepted", "title"), [("en", "What is kept about you"), ("de", "Was über Sie")])
def test_a_reader_is_told_what_is_kept_and_nothing_that_was_stored(accepted: str, title: str) -> None:
    spool = MemorySpool()
    app = hot(spool, sender="Example Ltd.", policy=RetentionPolicy(PrivacyMode.FULL, days=90))
    path = one_click()
    assert b'href="?about"' in ask(app, environ(path, HTTP_ACCEPT_LANGUAGE=accepted)).body
    page = ask(app, environ(path, QUERY_STRING="about", HTTP_ACCEPT_LANGUAGE=accepted))
    text = unescape(re.sub(r"<[^>]+>", "", page.body.decode()))
    assert page.status == 200
    for word in (title, READER, "Example Ltd.", "90"):
        assert word in text
    assert [query for query, _ in buttons(page)] == ["object", "export", "erase"]
    assert not re.search(rb"<(script|img|link|iframe)| on\w+=| style=|https?:", page.body)
    assert spool.records == []


@pytest.mark.parametrize("mode", list(PrivacyMode))
def test_what_is_kept_is_told_as_the_mode_has_it(mode: PrivacyMode) -> None:
    page = ask(hot(policy=RetentionPolicy(mode)), environ(one_click(), QUERY_STRING="about")).body.decode()
    assert ("internet address" in page) == (mode is PrivacyMode.FULL)
    assert "{" not in page.partition("</style>")[2]


@pytest.mark.parametrize("asks", ASKS)
def test_what_a_reader_asks_is_written_down_and_is_no_event(asks: str) -> None:
    spool = MemorySpool()
    answer = press(hot(spool, sender="Example Ltd."), one_click(), asks.lower())
    assert answer.status == 200
    assert b"Example Ltd." in answer.body or asks == "OBJECT"
    (hit,) = [decode(record) for record in spool.records]
    assert isinstance(hit, Hit)
    assert (hit.method, rows(hit), wish_of(hit)) == (asks, (), None)
    assert request_of(hit) == ReaderRequest(asks, READER, identity().customer_id, NOW * 1000 + 250)


@pytest.mark.parametrize("mode", [PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE])
def test_in_every_mode_it_is_known_who_asks(mode: PrivacyMode) -> None:
    inner = MemorySpool()
    spool = WishesSpool(PrivacySpool(inner, mode, bytes(16), lambda _: "x"))
    press(hot(spool), one_click(), "erase")
    (hit,) = [decode(record) for record in inner.records]
    assert isinstance(hit, Hit)
    found = request_of(hit)
    assert found is not None
    assert (found.recipient, hit.at_ms) == (READER, NOW * 1000 + 250)


def test_what_cannot_be_written_down_is_not_called_passed_on() -> None:
    answer = press(hot(Full()), one_click(), "erase")
    assert (answer.status, answer.headers["retry-after"]) == (503, "120")


@pytest.mark.parametrize("query", ["about", "object", "export", "erase"])
def test_without_a_genuine_token_nothing_is_told_of_anybody(query: str) -> None:
    forged = f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None, key=STRANGER)}"
    spool = MemorySpool()
    for path in (forged, "/f/a/", "/f/a/" + "A" * 80, "/"):
        for method in ("GET", "POST"):
            answer = ask(hot(spool), environ(path, method, QUERY_STRING=query))
            assert answer.status in (404, 405)
            assert b"What is kept" not in answer.body
    assert spool.records == []


def test_an_ordinary_link_leads_on_whatever_stands_behind_it() -> None:
    path = "/f/a/" + token(Kind.CLICK, TARGET)
    answer = ask(hot(), environ(path, QUERY_STRING="about"))
    assert (answer.status, answer.headers["location"]) == (302, TARGET.decode())
