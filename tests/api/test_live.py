"""The API as it is served: by granian, and behind nginx with the block that is shipped for it."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from api.api_site import ApiSite, make_api_site
from contract.store_samples import SampleRows
from web.nginx import MAIN, MISSING, NGINX
from web.servers import ROOT, free_port, running, stop, wait_for_port, web

SPAN = "from=2026-10-26T00:00&to=2026-10-28T00:00"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    made = make_api_site(tmp_path_factory.mktemp("site"))
    made.add(SampleRows().hit(recipient="a/b+c@example.net"))
    with running(made.site, web):
        yield made


def ask(
    port: int, method: str, path: str, key: str = "", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/api/v1{path}", body, named | ({"Authorization": key} if key else {}))
    answer = connection.getresponse()
    try:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_events_by_key_from_any_host_name(site: ApiSite) -> None:
    status, headers, body = ask(
        site.site.web, "GET", f"/events/message?{SPAN}", site.key(), Host="api.example"
    )
    assert (status, headers["content-type"]) == (200, "application/json")
    assert b"a/b+c@example.net" in body
    status, headers, body = ask(site.site.web, "GET", f"/events/message?{SPAN}")
    assert (status, headers["content-type"]) == (401, "application/json")
    assert b"example.net" not in body


def test_session_of_the_pages_is_no_key(site: ApiSite) -> None:
    token = (site.site.folder / "web-token").read_text().strip()
    assert ask(site.site.web, "GET", f"/events/message?{SPAN}", f"Bearer {token}")[0] in (401, 429)
    assert ask(site.site.web, "GET", f"/events/message?{SPAN}&token={token}")[0] == 401


@pytest.mark.parametrize("path", ["a/b+c@example.net", "a%2Fb%2Bc%40example.net"])
def test_addresses_in_paths_escaped_or_not(site: ApiSite, path: str) -> None:
    status, _, body = ask(site.site.web, "GET", f"/x/recipients/{path}", site.key())
    assert (status, body.count(b'"event_id"')) == (200, 1)


def test_limits_hold_for_bodies_without_a_length(site: ApiSite) -> None:
    """Whatever the server makes of chunks, no more than the limit is taken in."""
    key = site.key()
    chunks = b"100000\r\n" + b" " * 0x100000 + b"\r\n" + b"10\r\n" + b" " * 16 + b"\r\n0\r\n\r\n"
    head = (
        f"POST /api/v1/tracking-domains HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.site.web), timeout=30) as connection:
        connection.sendall(head.encode() + chunks)
        got = b""
        while part := connection.recv(65536):
            got += part
    assert int(got.split()[1]) in (413, 422)


def test_log_has_no_key_and_no_request(site: ApiSite) -> None:
    key = site.key()
    for path in ("/events/message", "/nowhere?secret=4711", "/events/message?cursor=x"):
        ask(site.site.web, "GET", path, key)
        ask(site.site.web, "GET", path, "smtpapi_wrong4711")
    text = (site.site.folder / "log").read_text()
    assert "start:" in text
    for secret in (key, "smtpapi_wrong", "4711", "/api/"):
        assert secret not in text


@pytest.fixture(scope="module")
def front(site: ApiSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """nginx with the block for pages and API taken out of its comments, without TLS."""
    assert NGINX is not None, MISSING
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    text = (ROOT / "etc/nginx/smtpapi.conf").read_text()
    block = "\n".join(line.removeprefix("#web ") for line in text.splitlines() if line.startswith("#web "))
    block = re.sub(r"^ *(listen \[::\]|ssl_certificate).*\n", "", block, flags=re.MULTILINE)
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8090;", f"127.0.0.1:{site.site.web};"),
    ):
        assert block.count(old) == 1, old
        block = block.replace(old, new)
    (folder / "smtpapi.conf").write_text(block + "\n")
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port, nginx)
        yield port
    finally:
        stop(nginx)


def test_nginxs_block_leads_to_the_api(site: ApiSite, front: int) -> None:
    key = site.key()
    assert ask(front, "GET", "/openapi.json")[0] == 200
    for path in ("a/b+c@example.net", "a%2Fb%2Bc%40example.net"):
        status, _, body = ask(front, "GET", f"/x/recipients/{path}", key)
        assert (status, body.count(b'"event_id"')) == (200, 1)
    large = b'{"email_rfc822": 7, "more": "' + b"x" * 1_500_000 + b'"}'  # over nginx's own limit of 1 MiB
    status, headers, _ = ask(front, "POST", "/x/preview", key, large, Content_Type="application/json")
    assert (status, headers["content-type"]) == (422, "application/json")
    assert ask(front, "GET", f"/events/message?{SPAN}", key)[0] == 200


def test_who_has_no_key_is_answered_before_the_body_and_holds_up_no_other(site: ApiSite) -> None:
    """More of them than the program has threads (8). Where a body is read: tests/web/test_slow_bodies.py."""
    key = site.key()
    head = (
        "POST /api/v1/tracking-domains HTTP/1.1\r\nHost: localhost\r\nAuthorization: wrong\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    held = [socket.create_connection(("127.0.0.1", site.site.web), timeout=60) for _ in range(12)]
    try:
        for connection in held:
            connection.sendall(head.encode())
        assert ask(site.site.web, "GET", "/tracking-domains", key)[0] == 200
        assert all(int(connection.recv(64).split()[1]) in (401, 429) for connection in held)
    finally:
        for connection in held:
            connection.close()


def test_nginx_gathers_bodies_so_that_slow_ones_hold_up_nobody(site: ApiSite, front: int) -> None:
    key = site.key()
    head = (
        f"POST /api/v1/tracking-domains HTTP/1.1\r\nHost: events.example.com\r\nAuthorization: {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    held = [socket.create_connection(("127.0.0.1", front), timeout=60) for _ in range(12)]
    try:
        for connection in held:
            connection.sendall(head.encode())
        assert ask(front, "GET", "/tracking-domains", key, Host="events.example.com")[0] == 200
        assert ask(site.site.web, "GET", "/tracking-domains", key)[0] == 200
    finally:
        for connection in held:
            connection.close()
