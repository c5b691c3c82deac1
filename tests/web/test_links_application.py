"""The answering path, as a bare callable (contract.md 6.2 to 6.5)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.events.signals import signal_names
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, OPENS, Kind, Link
from engagement.links.token import copy_sealer
from engagement.links.urls import refusal
from engagement.settings import load_text
from tracker_web.links.application import raw_path
from tracker_web.links.responses import PIXEL
from tracker_web.server import per_process
from web.web_cases import (
    HOST,
    KEY,
    NOW,
    RING,
    STRANGER,
    TARGET,
    Case,
    FixedKeys,
    MemorySpool,
    ask,
    cases,
    environ,
    hot,
    identity,
    token,
)


def hit(spool: MemorySpool) -> Hit:
    (record,) = spool.records
    event = decode(record)
    assert isinstance(event, Hit)
    return event


def click(**facts: Any) -> dict[str, Any]:
    return environ(f"/f/a/{token()}", **facts)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_table_of_requests(case: Case) -> None:
    spool = MemorySpool()
    path, _, query = case.path.partition("?")
    request = environ(unquote_to_bytes(path).decode("latin-1"), case.method, case.host, QUERY_STRING=query)
    answer = ask(hot(spool), request)
    assert answer.status == case.status
    for name, value in case.headers.items():
        assert answer.headers[name] == value
    if case.body is not None and "x-elsewhere" not in answer.headers:
        assert answer.body == case.body
    assert len(spool.records) == case.events


def test_record_says_what_the_request_said() -> None:
    spool = MemorySpool()
    request = click(HTTP_USER_AGENT="Mozilla/5.0 (X11)", HTTP_ACCEPT_LANGUAGE="nb-NO", host=f"{HOST}:443")
    ask(hot(spool), request)
    event = hit(spool)
    assert (event.kind, event.at_ms, event.method, event.host) == (Kind.CLICK, NOW * 1000 + 250, "GET", HOST)
    assert (event.user_agent, event.accept_language) == ("Mozilla/5.0 (X11)", "nb-NO")
    assert (event.client_address, event.spoiled, event.expired) == ("203.0.113.9", False, False)


def test_head_is_recorded_as_the_probe_it_is() -> None:
    """civicrm-core#35328, mautic#17263: HEAD was counted as a click. The method tells the classifier."""
    spool = MemorySpool()
    ask(hot(spool), click(method="HEAD"))
    assert hit(spool).method == "HEAD"


def test_spoiled_tail_redirects_and_is_flagged() -> None:
    """gophish#973: SafeLinks adds %27; a reader must arrive all the same."""
    spool = MemorySpool()
    answer = ask(hot(spool), environ(f"/f/a/{token()}'"))
    assert (answer.status, hit(spool).spoiled) == (302, True)


def test_expired_link_redirects_and_is_flagged() -> None:
    spool = MemorySpool()
    answer = ask(hot(spool), environ(f"/f/a/{token(issued=NOW - 5000, expiry=NOW - 4000)}"))
    assert (answer.headers["location"], hit(spool).expired) == (TARGET.decode(), True)


@pytest.mark.parametrize(
    ("issued", "expiry", "expired"),
    [
        (NOW - 1000, NOW + 1, False),
        (NOW - 1000, NOW - 200, False),  # within the slack for clocks that disagree
        (NOW - 1000, NOW - 301, True),
        (NOW + 250, NOW + 1000, False),  # sealed by a clock ahead of ours
        (NOW, NOW, True),  # tracking_link_expiry = 0: never record (contract.md 1.1)
        (NOW, NOW - 60, True),
    ],
)
def test_expiry_bears_clocks_that_disagree(issued: int, expiry: int, expired: bool) -> None:
    spool = MemorySpool()
    ask(hot(spool), environ(f"/f/a/{token(issued=issued, expiry=expiry)}"))
    assert hit(spool).expired is expired


@pytest.mark.parametrize("hosts", [frozenset({HOST}), None])
def test_h31_genuine_links_are_answered_whatever_host_they_came_by(hosts: frozenset[str] | None) -> None:
    for name in (HOST, "old.example", "[2001:db8::1]", "192.0.2.1:8080", "", None, "a b", "\xff"):
        spool = MemorySpool()
        answering = hot(spool, hosts=hosts)
        assert ask(answering, click(host=name)).status == 302
        assert ask(answering, environ(f"/q/{token(Kind.OPEN)}", host=name)).body == PIXEL
        assert ask(answering, environ(f"/f/a/{token()}>", host=name)).status == 302
        unsubscribe = token(Kind.LIST_UNSUBSCRIBE, None)
        assert ask(answering, environ(f"/f/a/{unsubscribe}", "POST", name)).status == 200
        assert len(spool.records) == 4


@pytest.mark.parametrize("name", ["old.example", "", None, f"{HOST}@evil.example"])
def test_what_is_no_token_is_not_found_under_another_name(name: str | None) -> None:
    for path in ("/q/x", f"/q/{token(Kind.OPEN, key=STRANGER)}", f"/f/a/{token(key=STRANGER)}"):
        for method in ("GET", "OPTIONS", "POST"):
            assert ask(hot(), environ(path, method, name)).status == 404
    assert ask(hot(hosts=None), environ("/q/x", host=None)).status == 404


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Old.Example:8443", "old.example"),
        ("old_name.example.", "old_name.example"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ("<script>", ""),
        ("a b", ""),
        ("evil.example/x", ""),
        ("\x1b[31m", ""),
        ("\xfc.example", ""),
        ("a" * 64 + ".example", ""),
        ("a." * 130 + "example", ""),
        ("[x]", ""),
        (None, ""),
    ],
)
def test_h31_host_of_an_event_is_a_name_or_nothing(host: str | None, expected: str) -> None:
    for hosts in (frozenset({HOST}), None):
        spool = MemorySpool()
        assert ask(hot(spool, hosts=hosts), click(host=host)).status == 302
        assert hit(spool).host == expected


def test_privacy_off_records_nothing_and_redirects() -> None:
    assert ask(hot(spool=None), click()).status == 302


def test_addresses_are_cut_before_the_spool() -> None:
    spool = MemorySpool()
    ask(hot(spool, truncate_addresses=True), click())
    assert hit(spool).client_address == "203.0.113.0"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy of ours: its word counts nothing
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the client's own claim stands left
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 127.0.0.2", "198.51.100.1"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "unknown", ""),
        ("127.0.0.1", "198.51.100.1, <script>", ""),
        ("127.0.0.1", "127.0.0.9", "127.0.0.9"),
        ("", "198.51.100.1", "198.51.100.1"),  # a unix socket
        ("", "", ""),
        ("127.0.0.1", "," * 5000, ""),
        ("127.0.0.1", "198.51.100.1, \xff", ""),
        ("127.0.0.1", "\xff, 198.51.100.1", "198.51.100.1"),
    ],
)
def test_forwarded_address_counts_as_far_as_its_writer_is_trusted(
    peer: str, forwarded: str, client: str
) -> None:
    spool = MemorySpool()
    request = click(REMOTE_ADDR=peer)
    if forwarded:
        request["HTTP_X_FORWARDED_FOR"] = forwarded
    ask(hot(spool), request)
    assert hit(spool).client_address == client


def test_missing_peer_address_is_answered() -> None:
    spool = MemorySpool()
    request = click()
    del request["REMOTE_ADDR"]
    assert (ask(hot(spool), request).status, hit(spool).client_address) == (302, "")


def test_failing_spool_changes_no_answer() -> None:
    class Full:
        def append(self, record: bytes) -> bool:
            return False

    class Broken:
        def append(self, record: bytes) -> bool:
            raise OSError("gone")

    reports: list[Exception] = []
    assert ask(hot(Broken(), lost=reports.append), click()).status == 302
    assert len(reports) == 1
    assert ask(hot(Full()), click()).status == 302
    assert ask(hot(Full()), environ(f"/q/{token(Kind.OPEN)}")).body == PIXEL


def test_record_stands_before_the_answer_starts() -> None:
    spool = MemorySpool()
    seen: list[int] = []

    def start(*_: object) -> Callable[[bytes], object]:
        seen.append(len(spool.records))
        return lambda _: None

    hot(spool)(click(), start)
    assert seen == [1]


def test_agent_of_any_bytes_becomes_valid_text_of_bounded_length() -> None:
    spool = MemorySpool()
    ask(hot(spool), click(HTTP_USER_AGENT="\xff\xfe" + "x" * 9000, HTTP_ACCEPT_LANGUAGE="\xc3\xa9"))
    event = hit(spool)
    assert event.user_agent.startswith("\xff\xfex"), "no UTF-8, so latin-1"
    assert len(event.user_agent) <= 2000
    assert event.accept_language == "\xe9"


def test_key_newer_than_the_last_look_opens_its_links() -> None:
    young = Ring((*RING.rotated(bytes(range(2, 34)), NOW).keys,))
    keys = FixedKeys(RING, after_refresh=young)
    assert ask(hot(keys=keys), environ(f"/f/a/{token(key=young.signing)}")).status == 302


def test_key_put_out_of_service_still_opens_and_a_revoked_one_does_not() -> None:
    """postal#915, direct_mail#391: links died in an upgrade. Old keys stay until someone revokes them."""
    rotated = RING.rotated(bytes(range(2, 34)), NOW)
    old = environ(f"/f/a/{token(key=KEY)}")
    assert ask(hot(keys=FixedKeys(rotated)), old).status == 302
    assert ask(hot(keys=FixedKeys(rotated.revoked(KEY.id))), old).status == 404


@pytest.mark.parametrize(
    "target",
    [
        b"javascript:alert(1)",
        b"//evil.example/",
        b"https://good.example@evil.example/",
        b"https:/\\evil.example/",
        b"https://good.example/\r\nSet-Cookie: a=b",
        b"https://good.example/a b",
        b"https://caf\xc3\xa9.example/",
    ],
)
def test_target_is_checked_again_at_the_redirect(target: bytes) -> None:
    """LeadOrbit#333: even a genuine token does not lead where no link of ours may lead."""
    spool = MemorySpool()
    assert refusal(target) is not None
    answer = ask(hot(spool), environ(f"/f/a/{token(target=target)}"))
    assert (answer.status, "location" in answer.headers, spool.records) == (404, False, [])


def test_well_known_files_are_served_as_json() -> None:
    files = {"/.well-known/assetlinks.json": ("application/json", b"[]")}
    answer = ask(hot(well_known=files), environ("/.well-known/assetlinks.json"))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"[]")


@given(st.text(max_size=80), st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "X"]), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_request_raises_and_none_but_the_genuine_redirects(tail: str, method: str, host: str) -> None:
    spool = MemorySpool()
    text = tail.encode().decode("latin-1")
    for path in (f"/f/a/{text}", f"/q/{text}", f"/{text}"):
        for name in (HOST, host.encode().decode("latin-1")):
            assert ask(hot(spool), environ(path, method, name)).status in {200, 204, 404, 405}
    assert spool.records == []


_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '\\"<>')


@given(
    st.sampled_from(["http://", "https://", "HTTPS://"]),
    st.from_regex(
        r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,8}){1,3}(:[1-9][0-9]{1,3})?", fullmatch=True
    ),
    st.text(_PRINTABLE, max_size=200),
)
@settings(max_examples=100, deadline=None)
def test_location_is_byte_for_byte_the_target(scheme: str, host: str, tail: str) -> None:
    """The reader lands where the author pointed (design rule 3); bench/redirects.py tries 100,000 URLs."""
    target = f"{scheme}{host}/{tail}".encode("ascii")
    assert refusal(target) is None
    answer = ask(hot(), environ(f"/f/a/{token(target=target)}"))
    assert answer.headers["location"].encode("latin-1") == target


def test_pixel_is_one_well_formed_gif() -> None:
    assert len(PIXEL) == 43
    assert PIXEL.startswith(b"GIF89a\x01\x00\x01\x00")
    assert PIXEL.endswith(b";")


def test_forged_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    bad = token(key=STRANGER)
    ask(hot(MemorySpool()), environ(f"/f/a/{bad}"))
    assert bad[:20] not in caplog.text


@given(
    st.integers(0, 90), st.sampled_from(["", "A", "=", "-", "_", ".", "/", "'", "%41", "%", "a/b", "\xe9"])
)
@example(0, "-")
@example(0, "_")
@settings(max_examples=100, deadline=None)
def test_quick_reading_of_a_path_agrees_with_the_whole_one(cut: int, tail: str) -> None:
    """Paths below /f/a/ and /q/ are read in a shorter way; those with a sublink or two slashes are not."""
    for kind, quick, whole in ((Kind.CLICK, "/f/a/", "/f/b/"), (Kind.OPEN, "/q/", "/q//")):
        genuine = token(kind)
        path = genuine[: len(genuine) - cut] + tail
        assert status_and_flags(quick + path) == status_and_flags(whole + path)


def status_and_flags(path: str) -> tuple[int, list[bool]]:
    """The answer's status, and of each recorded hit whether it says that the link was spoiled."""
    spool = MemorySpool()
    status = ask(hot(spool), environ(path)).status
    return status, [event.spoiled for event in map(decode, spool.records) if isinstance(event, Hit)]


@pytest.mark.parametrize(
    ("info", "path"),
    [
        ("/f/a/x%41", b"/f/a/x%2541"),
        ("/f/a/x?y", b"/f/a/x%3Fy"),
        ("/f/a/x#y", b"/f/a/x%23y"),
        ("/f/a/%?#", b"/f/a/%25%3F%23"),
        ("/f/a/x\xe9", b"/f/a/x\xe9"),
    ],
)
def test_path_as_the_server_decoded_it_is_spelled_so_that_it_is_not_decoded_twice(
    info: str, path: bytes
) -> None:
    assert raw_path(info) == path


def test_token_escaped_three_times_is_read_as_the_server_leaves_two() -> None:
    """PATH_INFO was decoded once; what is left must be decoded no more often than a wire's path is."""
    once = f"%{ord(token()[0]):02X}{token()[1:]}"
    assert ask(hot(), environ(f"/f/a/{once}")).status == 302
    assert ask(hot(), environ(f"/f/a/{once.replace('%', '%25')}")).status == 404


def test_broken_token_is_proved_like_any_other() -> None:
    forged, genuine = token(key=STRANGER), token()
    spool = MemorySpool()
    assert ask(hot(spool), environ(f"/f/a/{forged[:40]} {forged[40:]}")).status == 404
    assert ask(hot(spool), environ(f"/f/a/{genuine[:40]} x{genuine[40:]}")).status == 404
    assert ask(hot(spool), environ(f"/f/a/{genuine[:40]}\r\n{genuine[40:]} and more")).status == 302
    assert hit(spool).spoiled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", frozenset()),
        ("log_click = false", CLICKS),
        ("log_open = false", OPENS),
        ("log_click = off log_open = off", CLICKS | OPENS),
    ],
)
def test_event_hydrant_says_what_is_not_recorded(text: str, expected: frozenset[Kind]) -> None:
    assert per_process._unrecorded(load_text(f'event_hydrant "x" {{ {text} }}')) == expected


@pytest.mark.parametrize(
    ("off", "kind", "unsubscribe", "recorded"),
    [
        (CLICKS, Kind.CLICK, False, False),
        (CLICKS, Kind.AMP_CLICK, False, False),
        (CLICKS, Kind.OPEN, False, True),
        (OPENS, Kind.CLICK, False, True),
        (OPENS, Kind.OPEN, False, False),
        (OPENS, Kind.INITIAL_OPEN, False, False),
        (CLICKS | OPENS, Kind.CLICK, True, True),
    ],
)
def test_hits_that_are_not_to_be_recorded_are_answered_all_the_same(
    off: frozenset[Kind], kind: Kind, unsubscribe: bool, recorded: bool
) -> None:
    link = Link(TARGET, unsubscribe=unsubscribe) if kind in CLICKS else None
    sealed = copy_sealer(KEY, identity(), "").seal(kind, link).decode("ascii")
    request = environ(f"/{'q' if link is None else 'f/a'}/{sealed}")
    spool = MemorySpool()
    assert ask(hot(spool, unrecorded=off), request) == ask(hot(MemorySpool()), request)
    assert len(spool.records) == recorded


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "recorded"),
        ({"HTTP_ACCEPT_LANGUAGE": "nb", "HTTP_ACCEPT": "*/*"}, "recorded accept_any language"),
        ({"HTTP_SEC_PURPOSE": "prefetch\xff"}, "recorded prefetch"),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, "recorded http_1_0"),
        ({"SERVER_PROTOCOL": "HTTP/2"}, "recorded http_2"),
        # What a stranger tells of its protocol counts nothing, nor does the one that our own proxy speaks.
        ({"HTTP_X_FORWARDED_HTTP_VERSION": "HTTP/2.0"}, "recorded"),
        ({"HTTP_X_FORWARDED_HTTP_VERSION": "HTTP/2.0", "REMOTE_ADDR": "127.0.0.1"}, "recorded http_2"),
        ({"SERVER_PROTOCOL": "HTTP/1.0", "REMOTE_ADDR": "127.0.0.1"}, "recorded"),
        ({"SERVER_PROTOCOL": "HTTP/1.0", "REMOTE_ADDR": ""}, "recorded"),
    ],
)
def test_signals_are_recorded(facts: dict[str, str], expected: str) -> None:
    spool = MemorySpool()
    ask(hot(spool), click(**facts))
    assert signal_names(hit(spool).signals) == expected.split()
