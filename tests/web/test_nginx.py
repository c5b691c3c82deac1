"""etc/nginx/smtpapi.conf as it is shipped, in a real nginx in front of the tracker."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from engagement.events.signals import signal_names
from engagement.links.model import Kind
from web.nginx import MAIN, MISSING, NGINX
from web.servers import (
    ROOT,
    Site,
    fetch,
    free_port,
    make_site,
    parse,
    raw,
    running,
    stop,
    wait_for_port,
    wire,
)
from web.web_cases import HOST, TARGET, Case, cases, token


@dataclass(frozen=True)
class Front:
    """nginx on `port` before the site's tracker."""

    port: int
    site: Site


def fragment(port: int, tracker: int, folder: Path) -> str:
    """The shipped file, on free ports of loopback."""
    text = (ROOT / "etc/nginx/smtpapi.conf").read_text().replace("#catch-all ", "")
    for old, new in (
        ("listen 80 default_server;", f"listen 127.0.0.1:{port} default_server;"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        (
            "server 127.0.0.1:8080 max_fails=0;\n    server 127.0.0.1:8080 ",
            f"server 127.0.0.1:{tracker} max_fails=0;\n    server 127.0.0.1:{tracker} ",
        ),
        ("/var/log/nginx/smtpapi.error.log", f"{folder}/smtpapi.error.log"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text.replace("listen [::]:80", "# listen [::]:80")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    assert NGINX is not None, MISSING
    site = make_site(tmp_path_factory.mktemp("site"))
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "smtpapi.conf").write_text(fragment(port, site.port, folder))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    with running(site):
        nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_for_port(port, nginx)
            yield Front(port, site)
        finally:
            stop(nginx)


REFUSED = {
    case.name for case in cases() if "example.com" not in case.host.lower() or "host-longer" in case.name
}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_table_of_requests_through_nginx(front: Front, case: Case) -> None:
    before = len(front.site.hits())
    got = raw(front.port, wire(case.path, case.method, case.host))
    if case.name in REFUSED:  # 444: closed without a word
        assert got == b""
        return
    answer = parse(got)
    assert answer.status == case.status
    for name, value in case.headers.items():
        assert answer.headers[name] == value
    if case.body is not None:
        assert answer.body == case.body
    assert len(front.site.hits()) - before == case.events


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /f/a/TOKEN HTTP/1.0\r\n\r\n", 0),
        (b"GET /f/a/TOKEN HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /f/a/TOKEN HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 400),
        (b"GET /f/a/TOKEN HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://HOST/f/a/TOKEN HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 302),
        (b"GET http://evil.example/f/a/TOKEN HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", 0),
        (b"GET /f/a/TOKEN HTTP/1.1\r\nHost: HOST:80\r\nConnection: close\r\n\r\n", 302),
        (
            b"GET /f/a/TOKEN HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-Host: x\r\nConnection: close\r\n\r\n",
            302,
        ),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 0),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", 200),
        (b"GET /events.json HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n", 404),
    ],
)
def test_host_matrix(front: Front, request_bytes: bytes, status: int) -> None:
    """0: closed without an answer. The token is genuine in all of them."""
    got = raw(front.port, request_bytes.replace(b"TOKEN", token().encode()).replace(b"HOST", HOST.encode()))
    assert (int(got.split()[1]) if got else 0) == status
    if status == 302:
        assert b"ocation: " + TARGET + b"\r\n" in got


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Forwarded_For": "6.6.6.6"},
        {"X_Forwarded_For": "6.6.6.6, 7.7.7.7"},
        {"X_Real_IP": "6.6.6.6"},
        {"Forwarded": "for=6.6.6.6"},
    ],
)
def test_client_cannot_forge_its_address(front: Front, headers: dict[str, str]) -> None:
    """nginx adds 127.0.0.1, the test's own address; all of loopback is trusted, so a claim left of it would
    be taken. From any other address nginx's own entry is the rightmost untrusted one."""
    before = len(front.site.hits())
    assert fetch(front.port, f"/f/a/{token()}", **headers).status == 302
    address = front.site.hits()[before].client_address
    assert address in ("127.0.0.1", headers.get("X_Forwarded_For", "").rpartition(",")[2].strip())
    if "X_Forwarded_For" not in headers:
        assert address == "127.0.0.1"


def test_signals_pass_through_nginx(front: Front) -> None:
    before = len(front.site.hits())
    fetch(front.port, f"/f/a/{token()}", Forwarded="for=6.6.6.6", Sec_Fetch_Mode="navigate")
    head = f"GET /f/a/{token(campaign='old')} HTTP/1.0\r\nHost: {HOST}\r\nAccept: */*\r\n\r\n"
    assert parse(raw(front.port, head.encode())).status == 302
    new, old = front.site.hits()[before:]
    assert signal_names(new.signals) == ["recorded", "mode_navigate", "forwarded"]
    assert signal_names(old.signals) == ["recorded", "accept_any", "http_1_0"]


def test_address_of_another_machine_is_the_one_recorded(tmp_path: Path) -> None:
    """127.0.0.2 stands for another machine: a site of its own trusts 127.0.0.1 alone."""
    site = make_site(tmp_path, tracker='trusted_proxies = ( "127.0.0.1/32" )')
    with running(site):
        for claim in ("6.6.6.6", "127.0.0.1", "6.6.6.6, 127.0.0.1"):
            fetch(site.port, f"/f/a/{token()}", X_Forwarded_For=f"{claim}, 127.0.0.2")
    assert [hit.client_address for hit in site.hits()] == ["127.0.0.2"] * 3


@pytest.mark.parametrize("length", [100, 500, 1000, 2000, 3000, 4000, 6000, 8000, 9000])
def test_long_urls_pass(front: Front, length: int) -> None:
    click = token()
    path = f"/f/a/{click}?".ljust(max(length, len(click) + 6), "u")
    answer = fetch(front.port, path)
    assert (answer.status, answer.headers["location"]) == (302, TARGET.decode())
    assert fetch(front.port, "/f/a/" + "B" * length).status == 404
    assert fetch(front.port, "/q/" + "B" * length).status == 200


def test_longest_target_fits_the_answer(front: Front) -> None:
    target = b"https://a.example.org/" + b"x" * 4074
    answer = fetch(front.port, f"/f/a/{token(target=target)}")
    assert (answer.status, answer.headers["location"]) == (302, target.decode())


def test_too_much_is_refused_by_nginx(front: Front) -> None:
    assert fetch(front.port, "/f/a/" + "B" * 20000).status == 414
    assert fetch(front.port, f"/f/a/{token()}", X_Long="y" * 20000).status == 400
    body = b"x" * 9000
    head = f"POST /f/a/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    assert parse(raw(front.port, head.encode() + body)).status == 413


@pytest.mark.parametrize(
    "path", ["/f/a/%00", "/f/a/%2e%2e/%2e%2e/", "/f/a/%zz", "/q/%ff%fe", "/f/../../etc/passwd"]
)
def test_odd_paths_get_an_answer_below_500(front: Front, path: str) -> None:
    assert fetch(front.port, path).status in {200, 400, 404}


@pytest.mark.parametrize(
    "tail", [">", "<", "`", '"', "^", "|", "\xe9", "\xff\xfe", "%3E", "%25", "%2525", "/.", "'", ")]"]
)
def test_what_stands_behind_a_link_by_mistake_does_not_matter(front: Front, tail: str) -> None:
    """The servers behind refuse some raw characters; nginx escapes them."""
    before = len(front.site.hits())
    assert fetch(front.port, f"/f/a/{token(campaign=repr(tail))}{tail}").status == 302
    assert front.site.hits()[before].spoiled


def test_nothing_of_a_token_is_logged(front: Front) -> None:
    fetch(front.port, f"/f/a/{token()}")
    fetch(front.port, f"/q/{token(Kind.OPEN)}")
    folder = Path(front.site.folder)
    for log in [*folder.parent.glob("nginx*/*.log"), folder / "log"]:
        assert token()[:16] not in log.read_text(errors="replace"), log


def test_tracker_away_is_a_502_and_comes_back(front: Front, tmp_path: Path) -> None:
    """nginx must not put the only tracker aside after a failure: the next request tries it again."""
    assert NGINX is not None, MISSING
    site, port = make_site(tmp_path), free_port()
    folder = tmp_path / "nginx"
    folder.mkdir()
    (folder / "smtpapi.conf").write_text(fragment(port, site.port, folder))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    nginx = subprocess.Popen([NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")])
    try:
        wait_for_port(port, nginx)
        for _ in range(5):
            assert fetch(port, f"/f/a/{token()}").status == 502
        with running(site):
            assert fetch(port, f"/f/a/{token()}").status == 302
    finally:
        stop(nginx)


def test_slow_client_is_let_go(front: Front) -> None:
    """Slowloris: nginx holds the slow one, the tracker's threads stay free."""
    slow = [socket.create_connection(("127.0.0.1", front.port)) for _ in range(40)]
    try:
        for each in slow:
            each.sendall(b"GET /f/a/x HTTP/1.1\r\nHo")
        assert fetch(front.port, f"/f/a/{token()}").status == 302
    finally:
        for each in slow:
            each.close()


def test_h19_shipped_fragment_and_debians_default_site_go_together(tmp_path: Path) -> None:
    """Both as they are, as an installation by the letter has them."""
    assert NGINX is not None, MISSING
    shipped = (ROOT / "etc/nginx/smtpapi.conf").read_text().replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "smtpapi.conf").write_text(shipped)
    user = "user root;" if os.geteuid() == 0 else ""
    main = MAIN.format(folder=tmp_path, user=user)
    default = Path("/etc/nginx/sites-available/default")
    assert "default_server" in default.read_text()
    (tmp_path / "nginx.conf").write_text(main.rstrip().removesuffix("}") + f"    include {default};\n}}\n")
    arguments = (
        "-t",
        "-p",
        str(tmp_path),
        "-c",
        str(tmp_path / "nginx.conf"),
        "-e",
        str(tmp_path / "error.log"),
    )
    checked = subprocess.run([NGINX, *arguments], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


def test_h6_nobody_is_refused_however_often_a_link_is_asked_for(front: Front) -> None:
    """Sixty at once for one link from one client, more than may wait. Another link does not wait."""
    path, other = f"/f/a/{token(campaign='flood')}", f"/f/a/{token(campaign='calm')}"
    before = len(front.site.hits())
    with ThreadPoolExecutor(61) as pool:
        started = time.monotonic()
        flood = [pool.submit(fetch, front.port, path) for _ in range(60)]
        time.sleep(0.1)
        began = time.monotonic()
        assert fetch(front.port, other).status == 302
        waited = time.monotonic() - began
        assert [one.result().status for one in flood] == [302] * 60
        lasted = time.monotonic() - started
    assert waited < lasted / 2  # the flood takes two seconds, and more on a busy machine
    assert len(front.site.hits()) - before == 61
