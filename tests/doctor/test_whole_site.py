"""`smtpapi doctor` on a whole site that is well: it finds nothing but what this machine cannot have."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from doctor.dns_server import DnsServer, zone
from doctor.tls_server import authority, server_files
from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring
from engagement.settings import load_file
from engagement.stores import open_store
from mta.hop_site import HopSite, running
from mta.mta_site import DOMAIN, SECRET, SMTPAPI, free_port, until
from smtpapi.doctor.host import follow
from smtpapi.setup import nginx
from web.servers import stop, wait_for_port

pytestmark = pytest.mark.mta

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or ""


@contextmanager
def _program(*arguments: str, port: int = 0) -> Iterator[None]:
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if port:
            wait_for_port(port, process)
        yield
    finally:
        stop(process)


def _front(folder: Path, port: int, tracker: int, files: tuple[Path, Path]) -> Path:
    """The nginx file that setup writes, with TLS, on free ports of loopback."""
    text = nginx.configured((DOMAIN,), f"127.0.0.1:{tracker}", files, nginx.version_of(NGINX))
    text = "".join(line for line in text.splitlines(keepends=True) if "listen [::]" not in line)
    text = text.replace("listen 80;", "").replace("listen 443 ", f"listen 127.0.0.1:{port} ")
    (folder / "site.conf").write_text(text.replace("/var/log/nginx", str(folder)))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; {user}\n"
        f"events {{ worker_connections 64; }}\nhttp {{ {places}\ninclude {folder}/site.conf; }}\n"
    )
    return folder / "nginx.conf"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HopSite, str]]:
    """A site with all its programs; and the resolver to ask."""
    assert NGINX, "nginx is not installed: .ci/system test"
    root = authority("Root of tests")
    monkeypatch.setenv("SSL_CERT_FILE", str(root.pem(tmp_path / "root.pem")))
    tracker, front = free_port(), free_port()
    more = (
        f'tracker {{ listen = "127.0.0.1:{tracker}" workers = 1 trusted_proxies = ("127.0.0.1/32") }}\n'
        f'store {{ path = "{tmp_path}/events.db" }}\n'
        f'follow {{ log = "{tmp_path}/site/postfix.log" state = "{tmp_path}/follow.db" }}'
    )
    with ExitStack() as stack:
        one = stack.enter_context(running(tmp_path / "site", more=more))
        text = one.filter.config.read_text().replace(f'"{DOMAIN}"', f'"{DOMAIN}:{front}"')
        https = "click_tracking_scheme = https open_tracking_scheme = https"
        text = text.replace("open_tracking_enabled", f"{https} open_tracking_enabled")
        text = text.replace(f"{tmp_path}/site/postfix.log", str(one.postfix.log))
        one.filter.config.write_text(text)
        save_ring(one.filter.folder / "keys", Ring().rotated(SECRET, int(time.time())))  # of today
        one.filter.hup()
        settings = load_file(one.filter.config)
        open_store(settings, writing=True).close()
        config = str(one.filter.config)
        stack.enter_context(_program(sys.executable, "-m", "tracker_web", "--config", config, port=tracker))
        for role in ("ship", "follow"):
            stack.enter_context(_program(str(SMTPAPI), role, "--config", config))
        conf = _front(tmp_path, front, tracker, server_files(tmp_path, root, DOMAIN))
        arguments = (NGINX, "-p", str(tmp_path), "-c", str(conf), "-e", f"{tmp_path}/nginx.log")
        stack.enter_context(_program(*arguments, port=front))
        records = zone("example.test", (DOMAIN, "A", "127.0.0.1"))
        server = stack.enter_context(DnsServer(records))
        until(lambda: follow.read(settings).begun, 20, "the follower")
        yield one, f"127.0.0.1:{server.port}"


def _findings(site: HopSite, resolver: str) -> list[dict[str, str]]:
    port = resolver.rpartition(":")[2]
    arguments = ["--config", str(site.filter.config), "--postfix", str(site.postfix.config), "--json"]
    arguments += ["--resolver", resolver, "--authoritative-port", port, "--source", "127.0.0.7"]
    arguments += ["--probe", "ann@rcpt.test", "--probe", "bob@rcpt.test", "--sender", "a@sender.test"]
    arguments += ["--mailbox", str(site.postfix.maildir), "--server", f"127.0.0.1:{site.ports['in']}"]
    done = subprocess.run(
        [SMTPAPI, "doctor", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return found


def test_a_site_that_is_well(site: tuple[HopSite, str]) -> None:
    one, resolver = site
    found = _findings(one, resolver)
    bad = [each for each in found if each["level"] in ("error", "warning")]
    # A container's clock is its host's.
    assert {each["check"] for each in bad} <= {"clock"}, bad
    well = {each["check"] for each in found if each["level"] == "ok"}
    assert well >= {
        *("config", "versions", "keys", "processes", "spool", "store", "follow", "milters", "socket", "hop"),
        *("trust", "dns", "certificate", "proxy", "probe"),
    }, found
    assert any("the tracker saw the client's address, 127.0.0.7" in each["what"] for each in found)
