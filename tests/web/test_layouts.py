"""Nobody sees recipients without the token: each proxy and header habit, through the real programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from web.servers import Site, fetch, free_port, make_site, raw, running, stop, wait_for_port, web
from web.web_cases import token
from web.web_events import RECIPIENT, a_hit, an_injection, put

HABITS = {
    "nothing": b"",
    "unknown": b"X-Forwarded-For: unknown\r\n",
    "empty": b"X-Forwarded-For:\r\n",
    "eight-bit": b"X-Forwarded-For: 127.0.0.1\xff\r\n",
    "claims-loopback": (
        b"X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Host: localhost\r\n"
    ),
    "forwarded-only": b'Forwarded: for=127.0.0.1;host="localhost"\r\n',
}
PATHS = ("/", "/messages?type=click", "/live/new", "/live/new?after=0")
_HOST = "proxy_set_header Host $host;"
NGINX = {
    "proxy-pass-alone": "",
    "host-without-client": _HOST,
    "forwarded-for": f"{_HOST} proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "unknown-on-the-right": "proxy_set_header Host $host; proxy_set_header X-Forwarded-For unknown;",
    "emptied": 'proxy_set_header Host $host; proxy_set_header X-Forwarded-For "";',
    "forwarded": 'proxy_set_header Host $host; proxy_set_header Forwarded "for=$remote_addr";',
}
APACHE = {
    "mod-proxy": "ProxyPreserveHost On",
    "mod-proxy-silent": "ProxyPreserveHost On\nProxyAddHeaders Off",
}
HAPROXY = {"haproxy": "", "haproxy-forwardfor": "option forwardfor"}
LAYOUTS = ("direct", *NGINX, *APACHE, *HAPROXY)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found is not None, f"{name} is not installed: .ci/system test"
    return found


def _nginx(folder: Path, ports: dict[str, tuple[int, int]]) -> list[str]:
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{ports[name][0]}; location / "
        f"{{ proxy_pass http://127.0.0.1:{ports[name][1]}; {lines} }} }}"
        for name, lines in _each(NGINX, ports)
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; {user}\n"
        f"events {{ worker_connections 256; }}\nhttp {{ access_log off;\n{places}\n{servers}\n}}\n"
    )
    return [
        _program("nginx"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        f"{folder}/nginx.log",
    ]


def _each(kinds: dict[str, str], ports: dict[str, tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Each layout of a program, before the tracker and before the pages."""
    for name, lines in kinds.items():
        for target in ("tracker", "web"):
            if f"{name} {target}" in ports:
                yield f"{name} {target}", lines


def _apache(folder: Path, ports: dict[str, tuple[int, int]]) -> list[str]:
    modules = "/usr/lib/apache2/modules"
    names = ("mpm_event", "authz_core", "proxy", "proxy_http")
    loads = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names)
    hosts = "\n".join(
        f"Listen 127.0.0.1:{ports[name][0]}\n<VirtualHost 127.0.0.1:{ports[name][0]}>\n{lines}\n"
        f"ProxyPass / http://127.0.0.1:{ports[name][1]}/\n</VirtualHost>"
        for name, lines in _each(APACHE, ports)
    )
    (folder / "apache.conf").write_text(
        f"ServerRoot {folder}\nPidFile {folder}/apache.pid\nErrorLog {folder}/apache.log\nServerName x.test\n"
        f"DefaultRuntimeDir {folder}\nUser www-data\nGroup www-data\n{loads}\n{hosts}\n"
    )
    return [_program("apache2"), "-X", "-f", str(folder / "apache.conf")]


def _haproxy(folder: Path, ports: dict[str, tuple[int, int]]) -> list[str]:
    proxies = "\n".join(
        f"listen {name.replace(' ', '-')}\n  bind 127.0.0.1:{ports[name][0]}\n  {lines}\n"
        f"  server one 127.0.0.1:{ports[name][1]}"
        for name, lines in _each(HAPROXY, ports)
    )
    times = "timeout connect 5s\n  timeout client 10s\n  timeout server 10s"
    (folder / "haproxy.conf").write_text(f"defaults\n  mode http\n  {times}\n{proxies}\n")
    return [_program("haproxy"), "-db", "-f", str(folder / "haproxy.conf")]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, tuple[int, int]]]]:
    """A site with an event, and (door, behind it) by "layout target"."""
    site = make_site(tmp_path_factory.mktemp("site"))
    put(site, a_hit(), an_injection())
    folder = tmp_path_factory.mktemp("proxies")
    folder.chmod(0o755)
    behind = {"tracker": site.port, "web": site.web}
    ports = {
        f"{layout} {target}": (port if layout == "direct" else free_port(), port)
        for layout in LAYOUTS
        for target, port in behind.items()
    }
    with ExitStack() as stack:
        stack.enter_context(running(site))
        stack.enter_context(running(site, web))
        for command, layouts in ((_nginx, NGINX), (_apache, APACHE), (_haproxy, HAPROXY)):
            process = subprocess.Popen(command(folder, ports), stdin=subprocess.DEVNULL)
            stack.callback(stop, process)
            wait_for_port(ports[f"{next(iter(layouts))} web"][0], process)
        yield site, ports


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_h1_no_recipient_is_shown_without_the_token(
    doors: tuple[Site, dict[str, tuple[int, int]]], layout: str, habit: str
) -> None:
    _, ports = doors
    for target in ("tracker", "web"):
        for host in (b"localhost", b"127.0.0.1", b"track.example.com"):
            for path in PATHS:
                request = b"GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n"
                got = raw(ports[f"{layout} {target}"][0], request % (path.encode(), host, HABITS[habit]))
                assert got.startswith(b"HTTP/1."), (target, host, path, got)
                assert RECIPIENT.encode() not in got, (target, host, path)
                data = b" 200 " in got.split(b"\r\n", 1)[0] and (
                    target == "web" or path.startswith("/events")
                )
                assert not data, (target, host, path, got[:200])


def test_h1_the_token_opens_the_page_and_a_wrong_one_does_not(
    doors: tuple[Site, dict[str, tuple[int, int]]],
) -> None:
    site, _ = doors
    secret = (site.folder / "web-token").read_text().strip()
    assert (site.folder / "web-token").stat().st_mode & 0o077 == 0
    shown = fetch(site.web, "/", host="localhost", Authorization=f"Bearer {secret}")
    assert (shown.status, RECIPIENT.encode() in shown.body) == (200, True)
    signed_in = fetch(site.web, f"/?token={secret}", host="localhost")
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/")
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    again = fetch(site.web, "/", host="localhost", Cookie=cookie.partition(";")[0])
    assert (again.status, RECIPIENT.encode() in again.body) == (200, True)
    genuine = cookie.partition(";")[0]
    forged = genuine[:-9] + ("B" if genuine[-9] == "A" else "A") + genuine[-8:]
    assert fetch(site.web, "/", host="localhost", Cookie=forged).status == 401
    assert fetch(site.web, "/", host="rebound.example", Authorization=f"Bearer {secret}").status == 404
    statuses = [fetch(site.web, "/?token=wrong", host="localhost").status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert fetch(site.web, "/", host="localhost", Authorization=f"Bearer {secret}").status == 200


@pytest.mark.parametrize("layout", ["direct", "forwarded-for", "mod-proxy", "haproxy-forwardfor"])
def test_h1_headers_beyond_ascii_are_recorded_as_what_they_are(
    doors: tuple[Site, dict[str, tuple[int, int]]], layout: str
) -> None:
    site, ports = doors
    before = len(site.hits())
    request = b"GET /f/a/%s HTTP/1.1\r\nHost: track.example.com\r\nUser-Agent: M\xfcller/1.0\r\n%s"
    sent = request % (token().encode(), b"X-Forwarded-For: \xff\r\nConnection: close\r\n\r\n")
    assert b" 302 " in raw(ports[f"{layout} tracker"][0], sent)
    hit = site.hits()[before]
    assert hit.user_agent == "Müller/1.0"
    assert hit.client_address == "", "what is no address never counts as this machine"


def test_h11_the_tracker_has_nothing_of_the_pages_in_its_processes() -> None:
    """No store, no framework: what could take a second is another program's."""
    loaded = (
        "import sys, tracker_web.server.serve, tracker_web.server.build; "
        "foreign = ('flask', 'werkzeug', 'sqlite3', 'cassandra', 'tracker_web.pages', 'tracker_web.web'); "
        "print([name for name in foreign if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
