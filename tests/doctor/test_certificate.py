"""`smtpapi doctor --only certificate`: each way a certificate can be wrong, shown by a real TLS server."""

import time
from pathlib import Path

import pytest

from doctor.reading import complete, only
from doctor.tls_server import Issuer, authority, server_files, serving
from mta.mta_site import free_port
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.web import certificate

HOST = "track.example.test"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    """An authority that this process trusts, and a store that has it."""
    made = authority("Root of tests")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.pem(tmp_path / "root.pem")))
    return made


def _found(files: tuple[Path, Path], *, https: bool = True, issuers: tuple[str, ...] = ()) -> list[Finding]:
    with serving(files) as port:
        shown = certificate.fetch(HOST, "127.0.0.1", port)
    return complete(certificate.check(HOST, port, shown, time.time(), https=https, issuers=issuers))


def test_a_good_certificate(tmp_path: Path, root: Issuer) -> None:
    (finding,) = _found(server_files(tmp_path, root, HOST))
    assert finding.level is Level.OK, finding
    assert "60 days left" in finding.what or "59 days left" in finding.what


def test_a_chain_through_an_authority_between(tmp_path: Path, root: Issuer) -> None:
    between = authority("Between", root)
    assert _found(server_files(tmp_path, between, HOST))[0].level is Level.OK


@pytest.mark.parametrize(
    ("name", "days", "says", "level"),
    [
        (HOST, (-90, -3), "ended 3 days ago", Level.ERROR),
        (HOST, (2, 90), "is not valid yet", Level.ERROR),
        (HOST, (-80, 9.5), "ends in", Level.WARNING),
        ("www.example.test", (-30, 60), "is for www.example.test, not for", Level.ERROR),
    ],
    ids=["ended", "not yet", "soon", "another name"],
)
def test_times_and_names(
    tmp_path: Path, root: Issuer, name: str, days: tuple[float, float], says: str, level: Level
) -> None:
    (finding,) = _found(server_files(tmp_path, root, name, days))
    assert (finding.level, says in finding.what) == (level, True), finding


def test_a_chain_that_is_not_whole(tmp_path: Path, root: Issuer) -> None:
    (finding,) = _found(server_files(tmp_path, authority("Between", root), HOST, chain=False))
    assert "the chain is not whole" in finding.what
    assert "fullchain.pem" in finding.change


def test_signed_by_itself(tmp_path: Path, root: Issuer) -> None:
    (finding,) = _found(server_files(tmp_path, None, HOST))
    assert "signed by itself" in finding.what


def test_no_tls_at_all_hurts_where_links_are_https() -> None:
    port = free_port()
    shown = certificate.fetch(HOST, "127.0.0.1", port)
    found = [complete(certificate.check(HOST, port, shown, 0, https=https)) for https in (True, False)]
    levels = [each.level for findings in found for each in findings]
    assert levels == [Level.ERROR, Level.NOTE]


def test_an_issuer_that_caa_no_longer_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = authority("Let's Encrypt")
    monkeypatch.setenv("SSL_CERT_FILE", str(issuer.pem(tmp_path / "root.pem")))
    files = server_files(tmp_path, issuer, HOST)
    (finding,) = only(_found(files, issuers=("digicert.com",)))
    assert "whom the CAA records" in finding.what
    assert only(_found(files, issuers=("letsencrypt.org",))) == []


@pytest.mark.parametrize("reachable", [True, False])
def test_hsts_of_a_parent_where_links_are_http(tmp_path: Path, root: Issuer, reachable: bool) -> None:
    with serving(server_files(tmp_path, root, "example.test"), "max-age=1000; includeSubDomains") as port:
        above = [(name, certificate.demand(name, "127.0.0.1", port)) for name in certificate.parents(HOST)]
    assert [name for name, _ in above] == ["example.test"]
    (finding,) = complete(certificate.check_hsts(HOST, "", above, https=False, https_usable=reachable))
    assert finding.level is (Level.NOTE if reachable else Level.ERROR)
    assert "example.test says max-age=1000; includeSubDomains" in finding.what


def test_hsts_of_the_host_itself_and_of_its_top_level_domain() -> None:
    (own,) = certificate.check_hsts(HOST, "max-age=5", [], https=False, https_usable=False)
    (top,) = certificate.check_hsts("track.example.dev", "", [], https=False, https_usable=False)
    assert (own.level, "browsers hold .dev to https" in top.what) == (Level.ERROR, True)


def test_hsts_that_traps_nobody() -> None:
    above = [("example.test", "max-age=1000")]
    assert list(certificate.check_hsts(HOST, "", above, https=False, https_usable=False)) == []
    assert list(certificate.check_hsts(HOST, "max-age=5", above, https=True, https_usable=True)) == []
