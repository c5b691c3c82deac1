"""Bodies that never end, and idle connections, straight at `smtpapi web`: they hold up nobody else.

Nothing stands in front: what is asked here a stranger can do who reaches the program's port.
"""

from __future__ import annotations

import http.client
import json
import resource
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from api.api_site import ApiSite, make_api_site
from engagement.access.users import Role, Users
from engagement.registry import open_registry
from web.servers import TIMEOUT, running, web

MORE = 12  # than the program has threads


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    made = make_api_site(tmp_path_factory.mktemp("site"))
    with running(made.site, web):
        yield made


def head(path: str, *fields: str, length: int | None = 1000, media: str = "application/json") -> bytes:
    """A request whose body is still to come; length: None for one in chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {media}", size, *fields)
    return "\r\n".join((*lines, "", "")).encode()


def form(length: int | None = 1000) -> bytes:
    return head("/sign-in", length=length, media="application/x-www-form-urlencoded")


def with_key(site: ApiSite, length: int | None = 1000) -> bytes:
    return head("/api/v1/tracking-domains", f"Authorization: {site.key()}", length=length)


@contextmanager
def held(port: int, request: bytes, count: int = MORE) -> Iterator[list[socket.socket]]:
    """So many connections on which a request was begun."""
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
            connections.append(stack.enter_context(connection))
            connection.sendall(request)
        yield connections


def answered(port: int, path: str = "/sign-in", key: str = "") -> tuple[int, float]:
    """The status of a request, and the seconds that it took."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.request("GET", path, headers={"Authorization": key} if key else {})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def status_of(connection: socket.socket) -> int:
    """The status of the answer that comes on a connection."""
    return int(connection.recv(64).split()[1])


@pytest.mark.parametrize("kind", ["a key", "a key, in chunks", "a form", "a form, in chunks"])
def test_h34_more_slow_bodies_than_threads_hold_up_nobody(site: ApiSite, kind: str) -> None:
    length = None if "chunks" in kind else 1000
    request = with_key(site, length) if "key" in kind else form(length)
    key = site.key()
    with held(site.site.web, request + (b"1\r\n{\r\n" if length is None else b"{")):
        assert answered(site.site.web)[0] == 200
        assert answered(site.site.web, "/api/v1/tracking-domains", key)[0] == 200


def test_h34_a_hundred_trickling_bodies_and_two_thousand_idle_connections(site: ApiSite) -> None:
    """Other pages are answered within 100 ms more; the median, as others work on this machine too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4000)), hard))
    port = site.site.web
    alone = statistics.median(answered(port)[1] for _ in range(15))
    ended = threading.Event()
    with held(port, with_key(site, None)) as keyed, held(port, form(), 88) as forms, held(port, b"", 2000):

        def trickle() -> None:
            while not ended.wait(0.2):
                for connection in keyed:
                    connection.sendall(b"1\r\n \r\n")
                for connection in forms:
                    connection.sendall(b"x")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        try:
            found = [answered(port) for _ in range(15)]
        finally:
            ended.set()
            trickling.join()
    assert {status for status, _ in found} == {200}
    assert statistics.median(took for _, took in found) < alone + 0.1


def test_what_needs_no_body_is_answered_before_it_comes(site: ApiSite) -> None:
    key = site.key()
    few = site.key("events/view")
    for request, status in (
        (head("/api/v1/nowhere", f"Authorization: {key}"), 404),
        (head("/api/v1/tracking-domains"), 401),
        (head("/api/v1/tracking-domains", f"Authorization: {few}"), 403),
        (head("/api/v1/tracking-domains", f"Authorization: {key}", media="text/plain"), 415),
        (head("/api/v1/tracking-domains", f"Authorization: {key}", length=1_048_577), 413),
        (head("/sign-in", length=4097), 400),
        (head("/campaigns"), 401),
    ):
        with held(site.site.web, request, 1) as (connection,):
            assert status_of(connection) == status, request


@pytest.mark.parametrize("stated", [3, 1_048_577])
def test_length_of_chunks_is_counted_not_believed(site: ApiSite, stated: int) -> None:
    """Without end, they end at the limit: with the API's own answer."""
    piece = b" " * 65_536
    with held(site.site.web, with_key(site, None), 1) as (connection,):
        try:
            for _ in range(17):
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        except ConnectionError:
            pass
        assert status_of(connection) == 413


def test_client_that_goes_away_in_its_body_changes_nothing(site: ApiSite) -> None:
    body = b'{"domain": "half.example.com"}'
    with held(site.site.web, with_key(site, len(body) + 1) + body, 1):
        pass
    with held(site.site.web, with_key(site, len(body) - 1) + body + b"\n", 1) as (connection,):
        assert status_of(connection) == 400  # what it said it had is no JSON
    assert "half.example.com" not in site.get("/tracking-domains").get_data(as_text=True)


def test_body_in_pieces_is_the_body(site: ApiSite) -> None:
    key, port = site.key(), site.site.web
    body = b'{"domain": "pieces.example.com"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    begun = head("/api/v1/tracking-domains", f"Authorization: {key}", length=None)
    with held(port, begun + chunks, 1) as (one,):
        assert status_of(one) == 200
    assert "pieces.example.com" in site.get("/tracking-domains", key).get_data(as_text=True)


def test_curl_is_told_to_go_on_only_where_the_body_is_wanted(site: ApiSite, tmp_path: Path) -> None:
    """curl sends `Expect: 100-continue` with a large body, and waits."""
    mail = {"rfc822": "From: a@example.com\r\nSubject: x\r\n\r\n" + "x" * 1_500_000}
    (tmp_path / "body").write_text(json.dumps(mail))
    url = f"http://127.0.0.1:{site.site.web}/api/v1/tracking-domains"
    for key, status in ((site.key(), "413"), ("", "401")):
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{size_upload}",
             "--expect100-timeout", "20",
             "-H", f"Authorization: {key}", "-H", "Content-Type: application/json",
             "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path / 'body'}", url],
            capture_output=True, text=True, check=True, timeout=TIMEOUT,
        )  # fmt: skip
        assert done.stdout == f"{status} 0"


def test_where_there_is_no_room_the_oldest_end(site: ApiSite) -> None:
    """256 have room. Who comes with a body at once is answered all the same."""
    body = b"name=a&password=b"
    with held(site.site.web, form(), 300) as connections:
        with held(site.site.web, form(len(body)) + body, 1) as (quick,):
            assert status_of(quick) in (401, 429)
        statuses = [status_of(connection) for connection in connections[:12]]
    assert set(statuses) == {408}


@pytest.mark.long
def test_slow_body_gets_408_after_twenty_seconds_and_its_connection_ends(site: ApiSite) -> None:
    for request in (with_key(site), with_key(site, None), form()):
        with held(site.site.web, request, 1) as (connection,):
            connection.settimeout(60)
            began = time.monotonic()
            got = b""
            while part := connection.recv(4096):
                got += part
            assert 19 < time.monotonic() - began < 30
            assert got.startswith(b"HTTP/1.1 408 ")


def test_two_cookies_of_an_answer_stay_two(site: ApiSite) -> None:
    Users(open_registry(site.settings)).add("ida", "correct horse battery", Role.LOOKS)
    body = b"name=ida&password=correct+horse+battery"
    # From an address from which nothing wrong came in another test.
    elsewhere = ("127.9.9.9", 0)
    with socket.create_connection(("127.0.0.1", site.site.web), TIMEOUT, source_address=elsewhere) as one:
        one.sendall(form(len(body)) + body)
        got = one.recv(4096)
    assert got.startswith(b"HTTP/1.1 303 ")
    assert got.lower().count(b"\nset-cookie: smtpapi_") == 2
