"""`smtpapi doctor --only proxy`: a real nginx with each mistake before a real tracker."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from doctor.reading import complete, only
from engagement.links.keys import Key, KeyStatus, Ring
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.web import asking, certificate, http, proxy
from web.servers import Site, free_port, make_site, running, stop, wait_for_port
from web.web_cases import HOST, RING

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
# What a proxy is, and who asks from where: 127.0.0.7 is a reader, 127.0.0.1 the proxy.
TRUSTED = ("127.0.0.1/32",)
READER = "127.0.0.7"
_HOST = "proxy_set_header Host $host;"
_GOOD = f"{_HOST} proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
_PASS = "location / {{ proxy_pass http://127.0.0.1:{tracker}; {lines} }}"
SERVERS = {
    "good": _PASS.replace("{lines}", _GOOD),
    "no-host": _PASS.replace("{lines}", _GOOD.removeprefix(_HOST)),
    "no-client": _PASS.replace("{lines}", _HOST),
    "believes": _PASS.replace("{lines}", f"{_HOST} proxy_set_header X-Forwarded-For $http_x_forwarded_for;"),
    "redirects": "return 301 https://$host$request_uri;",
    "no-tracker": "location / {{ proxy_pass http://127.0.0.1:{nobody}; }}",
    "default-site": "location / {{ default_type text/html; return 200 '<h1>Welcome to nginx!</h1>'; }}",
    "changes-location": _PASS.replace("{lines}", f"{_GOOD} proxy_redirect https://example.org/ https://other.test/;"),
    "changes-paths": "location /q/ {{ proxy_pass http://127.0.0.1:{tracker}; GOOD }} "
    "location / {{ proxy_pass http://127.0.0.1:{tracker}/x/; GOOD }}".replace("GOOD", _GOOD),
    "other-host": _PASS.replace("{lines}", "proxy_set_header Host tracker.internal;"),
    "emptied": _PASS.replace("{lines}", f'{_HOST} proxy_set_header X-Forwarded-For "";'),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, int]]]:
    assert NGINX is not None, "nginx is not installed: .ci/system test"
    folder = tmp_path_factory.mktemp("proxy")
    one = make_site(folder, tracker='trusted_proxies = ("127.0.0.1/32")')
    ports = {name: free_port() for name in SERVERS}
    nobody = free_port()
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{ports[name]}; {text.format(tracker=one.port, nobody=nobody)} }}"
        for name, text in SERVERS.items()
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; {user}\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off;\n{places}\n{servers}\n}}\n"
    )
    command = [NGINX, "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"]
    with running(one):
        nginx = subprocess.Popen(command)
        try:
            wait_for_port(ports["good"], nginx)
            yield one, ports
        finally:
            stop(nginx)


def _found(
    site: tuple[Site, dict[str, int]], name: str, *, ring: Ring = RING, source: str = READER
) -> list[Finding]:
    one, ports = site
    seen = asking.ask(HOST, "127.0.0.1", ports[name], ring, one.spool, tls=False, source=source)
    return complete(proxy.check(seen, TRUSTED, local=True, recorded=True))


def test_a_good_proxy_shows_the_tracker_host_and_client(site: tuple[Site, dict[str, int]]) -> None:
    found = _found(site, "good")
    assert [each.level for each in found] == [Level.OK, Level.OK]
    assert f"the tracker saw the client's address, {READER}" in found[1].what
    hits = [hit for hit in site[0].hits() if hit.user_agent == "smtpapi-doctor"]
    assert {hit.method for hit in hits} == {"HEAD"}, "recorded as probes, which no figure counts"


@pytest.mark.parametrize(
    ("name", "says", "level"),
    [
        ("other-host", "asked under a name that it does not know", Level.ERROR),
        ("no-host", "the tracker was told the host 127.0.0.1", Level.WARNING),
        ("no-client", "believed the address that the client named itself", Level.ERROR),
        ("emptied", f"the tracker saw 127.0.0.1 instead of the client's, {READER}", Level.ERROR),
        ("believes", "believed the address that the client named itself", Level.ERROR),
        ("redirects", "the proxy redirects to https://", Level.WARNING),
        ("no-tracker", "the proxy reaches no tracker (502)", Level.ERROR),
        ("default-site", "somebody else answers (200, text/html)", Level.ERROR),
        ("changes-location", "a link leads to https://other.test/", Level.ERROR),
        ("changes-paths", "a genuine link is answered with 404", Level.ERROR),
    ],
)
def test_each_mistake_of_a_proxy(
    site: tuple[Site, dict[str, int]], name: str, says: str, level: Level
) -> None:
    (finding,) = only(_found(site, name))
    assert (finding.level, says in finding.what) == (level, True), finding


def test_another_key_ring(site: tuple[Site, dict[str, int]]) -> None:
    strange = Ring((Key(9, KeyStatus.SIGNING, 0, bytes(range(2, 34))),))
    (finding,) = only(_found(site, "good", ring=strange))
    assert "a genuine link is answered with 404" in finding.what
    assert "key ring" in finding.why


def test_nobody_listens(site: tuple[Site, dict[str, int]]) -> None:
    seen = asking.ask(HOST, "127.0.0.1", free_port(), RING, None, tls=False)
    (finding,) = only(complete(proxy.check(seen, TRUSTED, local=True, recorded=True)))
    assert "nobody listens there" in finding.what


def test_an_address_of_a_family_that_this_host_does_not_have() -> None:
    away = http.Reply(trouble="Network is unreachable", unreachable=True)
    (finding,) = proxy.check(
        asking.Seen(HOST, "2001:db8::1", 80, False, away, away), TRUSTED, local=True, recorded=True
    )
    shown = certificate.Presented("2001:db8::1", trouble="Network is unreachable", unreachable=True)
    (other,) = certificate.check(HOST, 443, shown, 0, https=True)
    assert {finding.level, other.level} == {Level.SKIPPED}
    assert http.no_route(OSError(errno.ENETUNREACH, "x"))
    assert not http.no_route(ConnectionRefusedError(errno.ECONNREFUSED, "x"))


def test_from_the_proxys_own_address_the_client_cannot_be_seen(site: tuple[Site, dict[str, int]]) -> None:
    found = _found(site, "good", source="127.0.0.1")
    assert [each.level for each in found] == [Level.OK, Level.NOTE]
    assert "--source" in found[1].change


def test_a_hit_that_is_recorded_nowhere(site: tuple[Site, dict[str, int]]) -> None:
    one, ports = site
    seen = asking.ask(HOST, "127.0.0.1", ports["good"], RING, None, tls=False, source=READER)
    for local, level in ((True, Level.WARNING), (False, Level.NOTE)):
        found = complete(proxy.check(seen, TRUSTED, local=local, recorded=True))
        assert [each.level for each in found] == [Level.OK, level]
    assert [each.level for each in proxy.check(seen, TRUSTED, local=True, recorded=False)] == [Level.OK]
    assert one.spool.is_dir()


def test_a_host_or_an_address_between_that_is_another(site: tuple[Site, dict[str, int]]) -> None:
    one, ports = site
    seen = asking.ask(HOST, "127.0.0.1", ports["good"], RING, one.spool, tls=False, source=READER)
    assert seen.hit is not None
    record = seen.hit
    other = type(record)(**{**{name: getattr(record, name) for name in record.__struct_fields__},
                            "host": "10.0.0.1", "client_address": "203.0.113.8"})  # fmt: skip
    found = only(complete(proxy.check(replace(seen, hit=other), TRUSTED, local=True, recorded=True)))
    assert ["was told the host 10.0.0.1" in found[0].what, "saw 203.0.113.8" in found[1].what] == [True, True]


def test_the_tracker_itself(site: tuple[Site, dict[str, int]]) -> None:
    one, ports = site

    def findings(port: int) -> list[Finding]:
        reply = http.request(HOST, "127.0.0.1", port, "GET", "/q/doctor", tls=False)
        return complete(proxy.check_listener(f"127.0.0.1:{port}", reply))

    assert [each.level for each in findings(one.port)] == [Level.OK]
    assert "is not the tracker" in findings(ports["default-site"])[0].what
    assert "does not answer" in findings(free_port())[0].what
