"""`smtpapi doctor` as a command: from names to the tracker in one run, its output, its exit status."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doctor.dns_server import DnsServer, zone
from doctor.tls_server import authority, server_files, serving
from engagement.links.domains_file import DomainsFile
from engagement.registry import open_registry
from engagement.settings import load_text
from smtpapi.commands import main
from smtpapi.commands.services import doctor
from smtpapi.doctor import examination
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.site import LinkHost, Site
from smtpapi.doctor.web import asking
from web.servers import Site as TrackerSite
from web.servers import make_site, running
from web.web_cases import HOST

ROOT = Path(__file__).parents[2]


def _run(site: TrackerSite, *arguments: str) -> Result:
    nowhere = str(site.folder / "no-mta")
    places = ["--config", str(site.config), "--postfix", nowhere, "--sendmail", nowhere]
    return CliRunner().invoke(main, ["doctor", *places, *arguments])


@pytest.fixture
def site(tmp_path: Path) -> TrackerSite:
    """A tracker's site whose links name the tracker's own port, as behind no proxy."""
    one = make_site(tmp_path)
    text = one.config.read_text()
    one.config.write_text(text.replace(f'"{HOST}"', f'"{HOST}:{one.port}"'))
    return one


def test_names_and_tracker_from_outside_in(site: TrackerSite) -> None:
    with running(site), DnsServer(zone("example.com", (HOST, "A", "127.0.0.1"))) as server:
        arguments = ["--resolver", f"127.0.0.1:{server.port}", "--authoritative-port", str(server.port)]
        done = _run(site, *arguments, "--only", "dns,proxy", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["status"]) == (0, 0), found
    findings = [each["what"] for each in found["findings"]]
    assert any(
        f"http://{HOST} at 127.0.0.1 port {site.port}: a pixel and a link" in each for each in findings
    )
    assert set(found["findings"][0]) == {"check", "level", "what", "why", "change"}


def test_a_name_that_is_not_there_leaves_the_rest_unchecked(site: TrackerSite) -> None:
    with DnsServer(zone("example.com")) as server:
        done = _run(site, "--resolver", f"127.0.0.1:{server.port}", "--authoritative-port", str(server.port),
                    "--only", "dns", "--only", "proxy")  # fmt: skip
    assert done.exit_code == 1
    assert f"{HOST}: there is no such name" in done.stdout
    assert re.search(r"^skipped +proxy +" + HOST, done.stdout, re.MULTILINE)
    assert "the tracker does not answer at" in done.stdout
    assert re.search(r"^\d+ error\(s\), ", done.stdout, re.MULTILINE)


def test_a_certificate_by_way_of_the_names(site: TrackerSite, tmp_path: Path) -> None:
    with (
        serving(server_files(tmp_path, authority("nobody knows"), HOST)) as port,
        DnsServer(zone("example.com", (HOST, "A", "127.0.0.1"))) as server,
    ):
        text = site.config.read_text().replace(
            f'{HOST}:{site.port}"', f'{HOST}:{port}" click_tracking_scheme = https'
        )
        site.config.write_text(text)
        arguments = ["--resolver", f"127.0.0.1:{server.port}", "--authoritative-port", str(server.port)]
        done = _run(site, *arguments, "--only", "certificate")
    assert done.exit_code == 1
    assert "the chain is not whole" in done.stdout


def test_links_that_name_no_host(tmp_path: Path) -> None:
    config = tmp_path / "x.conf"
    config.write_text('smtpapi { }\nESMTP_Listener { Listen ":25" { } }\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--only", "dns"])
    assert (done.exit_code, "names no host for links" in done.stdout) == (1, True)


@pytest.mark.parametrize(("stanza", "status"), [("", 1), ("smtpapi { }", 0)])
def test_a_configuration_that_tracks_nothing(tmp_path: Path, stanza: str, status: int) -> None:
    config = tmp_path / "x.conf"
    config.write_text(f'{stanza}\nspool {{ directory = "{tmp_path}" }}\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--only", "config"])
    assert done.exit_code == status, done.output


def test_warnings_alone_are_status_3(tmp_path: Path) -> None:
    config = tmp_path / "x.conf"
    config.write_text(f'smtpapi {{ }}\nkeys {{ ring = "{tmp_path}/none" }}\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--only", "config"])
    assert (done.exit_code, "no such file" in done.stdout) == (3, True)


def test_a_broken_configuration_and_a_check_that_is_none_are_status_2(tmp_path: Path) -> None:
    config = tmp_path / "x.conf"
    config.write_text("smtpapi {\n")
    assert CliRunner().invoke(main, ["doctor", "--config", str(config)]).exit_code == 2
    done = CliRunner().invoke(main, ["doctor", "--config", str(config), "--only", "dns,spam"])
    assert (done.exit_code, "spam: the checks are config, versions" in done.stderr) == (2, True)


def test_what_this_user_may_not_read_is_said(site: TrackerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def shut(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(site.spool))

    monkeypatch.setattr(asking, "ask", shut)
    with running(site), DnsServer(zone("example.com", (HOST, "A", "127.0.0.1"))) as server:
        done = _run(site, "--only", "proxy", "--resolver", f"127.0.0.1:{server.port}")
    assert (done.exit_code, "sudo smtpapi doctor" in done.stdout) == (0, True)


def test_what_only_root_may_read_is_no_error_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Site) -> Iterator[Finding]:
        yield Finding("keys", Level.ERROR, "/etc/smtpapi/keys: cannot read the key ring: Permission denied")

    monkeypatch.setitem(examination.CHECKS, "keys", denied)
    site = Site(tmp_path, load_text("smtpapi { }"), None, None)
    for user, level in ((0, Level.ERROR), (1000, Level.SKIPPED)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert [each.level for each in examination.run("keys", site)] == [level]


def test_a_tracker_on_another_host_is_not_missed(site: TrackerSite) -> None:
    with DnsServer(zone("example.com")) as server:
        done = _run(
            site, "--resolver", f"127.0.0.1:{server.port}", "--only", "proxy", "--elsewhere", "tracker"
        )
    assert "the tracker does not answer" not in done.stdout


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("t.example.com", LinkHost("t.example.com")),
        ("T.example.com:8443", LinkHost("t.example.com", 8443)),
        ("192.0.2.1:81", LinkHost("192.0.2.1", 81)),
        ("[2001:db8::1]:81", LinkHost("2001:db8::1", 81)),
    ],
)
def test_hosts_of_links(domain: str, host: LinkHost) -> None:
    settings = load_text(
        f'smtpapi {{ }}\nESMTP_Listener {{ tracking_domain = "{domain}" Listen ":25" {{ }} }}'
    )
    assert list(Site(Path("x"), settings, None, None).link_hosts()) == [host]


def test_hosts_of_tenants_and_of_links_sent(tmp_path: Path) -> None:
    settings = load_text(
        f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}" }}\nregistry '
        f'{{ path = "{tmp_path}/registry.db" }}\n'
        'ESMTP_Listener { tracking_domain = "t.example.com:8081" Listen ":25" { } }'
    )
    DomainsFile(tmp_path, print).used("old.example.com", 1000)
    DomainsFile(tmp_path, print).used("dead.example.com", -1000)
    DomainsFile(tmp_path, print).used("t.example.com:8081", 1000)
    with closing(open_registry(settings)) as registry:
        registry.put("tracking-domain", "links.tenant.example", {"tenant": "x", "secure": True})
    assert list(Site(Path("x"), settings, None, None).link_hosts()) == [
        LinkHost("links.tenant.example", https=True),
        LinkHost("old.example.com"),
        LinkHost("t.example.com", 8081),
    ]


def test_every_check_is_on_its_page_and_has_a_name_for_only() -> None:
    page = (ROOT / "docs/doctor.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(rows) == set(doctor._NAMES)
    assert set(doctor._NAMES) == {*examination.CHECKS, "config", "probe"}
