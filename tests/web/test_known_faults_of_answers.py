"""Faults of other systems in what they answer to clicks and opens, by the rows of docs/known-faults.md."""

import re
import struct
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

import golden_cases as golden
from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.links.model import Kind
from made_links import made
from tracker_web.links.responses import PIXEL
from web.web_cases import HOST, STRANGER, TARGET, FixedKeys, MemorySpool, ask, environ, hot, token


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_a6_each_link_of_each_golden_message_leads_where_its_author_said(case: Path) -> None:
    answering = hot(hosts=None, keys=FixedKeys(golden.RING), clock=lambda: golden.NOW + 60)
    for link in made(case):
        place = urlsplit(link.url)
        answer = ask(answering, environ(place.path, host=place.netloc))
        if link.kind == "link":
            assert (answer.status, answer.headers["location"]) == (302, link.target)
        else:
            assert (answer.status, answer.body) == (200, PIXEL)


def test_a6_there_are_links_enough() -> None:
    assert sum(link.kind == "link" for case in golden.cases() for link in made(case)) > 200


def test_a13_location_is_the_whole_url_with_its_host() -> None:
    assert ask(hot(), environ(f"/f/a/{token()}")).headers["location"] == TARGET.decode()
    relative = token(target=b"/a?x=1")
    assert ask(hot(), environ(f"/f/a/{relative}")).status == 404


def test_b21_pixel_is_a_gif_that_decodes_to_one_clear_point() -> None:
    answer = ask(hot(), environ(f"/q/{token(Kind.OPEN)}"))
    assert answer.headers["content-type"] == "image/gif"
    assert int(answer.headers["content-length"]) == len(answer.body)
    magic, width, height, flags = struct.unpack_from("<6sHHB", answer.body)
    assert (magic, width, height) == (b"GIF89a", 1, 1)
    assert flags & 0x80, "a table of colours"
    at = 13 + 3 * 2 ** ((flags & 7) + 1)
    extension, clear_flags, clear = answer.body[at : at + 3], answer.body[at + 3], answer.body[at + 6]
    assert (extension, clear_flags & 1) == (b"\x21\xf9\x04", 1)
    at += 8
    assert answer.body[at : at + 1] == b","
    assert struct.unpack_from("<HHHHB", answer.body, at + 1) == (0, 0, 1, 1, 0)
    smallest, length = answer.body[at + 10 : at + 12]
    bits = int.from_bytes(answer.body[at + 12 : at + 12 + length], "little")
    codes = [bits >> shift & 7 for shift in (0, 3, 6)]
    assert (smallest, codes) == (2, [4, clear, 5]), "clear, the clear colour, end"
    assert answer.body[at + 12 + length :] == b"\0;"


@pytest.mark.parametrize("path", [f"/q/{token(Kind.OPEN)}", f"/q/{token(Kind.INITIAL_OPEN)}", "/q/x"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_b22_pixel_is_never_kept_by_caches(path: str, method: str) -> None:
    headers = ask(hot(), environ(path, method)).headers
    assert headers["cache-control"] == "no-store"
    assert not headers.keys() & {"etag", "last-modified", "expires"}


def test_b22_conditional_request_gets_the_pixel_and_is_an_open() -> None:
    spool = MemorySpool()
    request = environ(f"/q/{token(Kind.OPEN)}", HTTP_IF_NONE_MATCH="*", HTTP_IF_MODIFIED_SINCE="now")
    assert ask(hot(spool), request).status == 200
    assert len(spool.records) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_d1_one_click_address_does_nothing_when_only_looked_at(method: str) -> None:
    spool = MemorySpool()
    answer = ask(hot(spool), environ(f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None)}", method))
    assert answer.status in (200, 204)
    assert spool.records == []
    assert not answer.headers.keys() & {"location", "set-cookie", "refresh"}
    assert b"<script" not in answer.body


def test_d2_one_click_post_is_done_at_once_without_redirect_or_cookie() -> None:
    spool = MemorySpool()
    answer = ask(hot(spool), environ(f"/f/a/{token(Kind.LIST_UNSUBSCRIBE, None)}", "POST"))
    assert (answer.status, answer.body) == (200, b"")
    assert not answer.headers.keys() & {"location", "set-cookie", "refresh"}
    (record,) = spool.records
    event = decode(record)
    assert isinstance(event, Hit)
    assert event.kind is Kind.LIST_UNSUBSCRIBE


def test_d3_redirect_asks_nothing_of_the_target() -> None:
    """A tracker that looked at targets would itself use one-time links up. It imports no client for that."""
    source = (Path(__file__).parents[2] / "tracker_web/links/application.py").read_text("utf-8")
    assert not re.search(r"^(from|import) (http|urllib|socket|requests|httpx)", source, re.MULTILINE)


def test_f1_link_leads_on_by_http_and_by_https() -> None:
    """A link works by http and by https alike, so mail sent before a certificate came leads on."""
    for scheme in ("http", "https"):
        request = environ(f"/f/a/{token()}", **{"wsgi.url_scheme": scheme})
        assert ask(hot(), request).headers["location"] == TARGET.decode()


def test_f6_sub_path_of_an_app_leads_on_and_its_file_is_served() -> None:
    name = "/.well-known/apple-app-site-association"
    answering = hot(well_known={name: ("application/json", b"{}")})
    assert ask(answering, environ(f"/f/shop.app/{token()}")).headers["location"] == TARGET.decode()
    answer = ask(answering, environ(name))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"{}")


EVIL = "https://evil.example/"


@pytest.mark.parametrize(
    "path",
    [
        "/f/a/?url=https://evil.example/",
        "/f/a/https://evil.example/",
        "/f/a//evil.example/",
        "/f//evil.example/a",
        "//evil.example/f/a/",
        "/f/a/%2F%2Fevil.example",
        "/f/a/\\evil.example",
        "/q/?url=https://evil.example/",
        f"/f/a/{token(target=EVIL.encode(), key=STRANGER)}",
        f"/q/{token(target=EVIL.encode())}",
    ],
)
def test_f7_nobody_but_the_key_holder_names_a_target(path: str) -> None:
    path, _, query = path.partition("?")
    request = environ(unquote_to_bytes(path).decode("latin-1"), QUERY_STRING=query)
    assert "location" not in ask(hot(), request).headers


@pytest.mark.parametrize("query", ["url=https://evil.example/", "target=//evil.example", "u=\r\nX: y"])
def test_f7_genuine_link_leads_to_its_own_target_whatever_is_added(query: str) -> None:
    request = environ(f"/f/a/{token()}", QUERY_STRING=query, HTTP_X_FORWARDED_HOST="evil.example")
    assert ask(hot(), request).headers["location"] == TARGET.decode()


def test_f7_what_is_no_genuine_link_is_answered_under_our_own_hosts_alone() -> None:
    assert ask(hot(), environ("/q/x", host="evil.example")).status == 404
    assert ask(hot(), environ("/q/x", host=HOST)).status == 200
