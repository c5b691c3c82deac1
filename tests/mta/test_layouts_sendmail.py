"""How mail can come back to a real Sendmail, times whose mail it is; and what goes past its filter."""

import contextlib
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.mta_site import DOMAIN, until
from mta.sendmail_layouts import by_program, layouts, own_address, program
from mta.sendmail_site import Site
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta

_VICTIM = '{"campaign_id": "stolen", "bcc": ["victim@rcpt.test"]}'
_FORGED = (
    b"Received: from laptop (laptop [127.0.0.1])\r\n\tby mail.example.test (8.17.1/8.17.1) with ESMTPSA id 4;"
    b" Sun, 29 Nov 2026 10:00:00 +0000\r\n"
)
_GARBAGE = (
    b"Received: from \xff\xfe (x [127.0.0.1]) by mail.example.test (8.17.1/8.17.1) with ESMTPA id 1; x\r\n"
)
STRANGERS = {
    "plain": html_mail(),
    "with-orders": html_mail(X_MSYS_API=_VICTIM),
    "with-a-forged-login": _FORGED + html_mail(X_MSYS_API=_VICTIM),
    "with-garbage": _GARBAGE + html_mail(X_MSYS_API=_VICTIM),
}
_CELLS = [f"{way}-{kind}" for way in ("pipe", "strip") for kind in STRANGERS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with layouts(folder, _CELLS) as site:
        for cell in _CELLS:
            _from_outside(site, f"{cell}@pipe.test", STRANGERS[cell.partition("-")[2]])
        with contextlib.suppress(AssertionError):  # the cell's test misses its mail
            until(lambda: all(site.sink.all_for(f"{cell}@rcpt.test") for cell in _CELLS), 15)
        yield site


def _from_outside(site: Site, recipient: str, mail: bytes) -> None:
    port = site.sendmail.ports["on"]
    with smtplib.SMTP("127.0.0.1", port, "client.test", 30, (own_address(), 0)) as smtp:
        smtp.sendmail("a@sender.test", [recipient], mail)


def _lines(site: Site, recipient: str) -> list[str]:
    return [line for line in site.filter.log_text().splitlines() if f"to=<{recipient}>" in line]


def _assert_theirs(site: Site, recipient: str, mail: bytes) -> None:
    (got,) = site.sink.all_for(recipient)
    assert got.body == HTML
    assert DOMAIN.encode() not in got.message
    if b"X-MSYS-API" in mail:
        assert got.field("X-MSYS-API") == _VICTIM
    assert site.sink.all_for("victim@rcpt.test") == []


@pytest.mark.parametrize("kind", STRANGERS)
def test_h3_alias_that_pipes_into_sendmail_ac(site: Site, kind: str) -> None:
    _assert_theirs(site, f"pipe-{kind}@rcpt.test", STRANGERS[kind])
    (line,) = _lines(site, f"pipe-{kind}@rcpt.test")
    assert f"reason=untrusted, note=came in from {own_address()} before" in line


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_script_that_strips_the_trace(site: Site, kind: str) -> None:
    """Sendmail runs it by an account that sends no mail of its own."""
    _assert_theirs(site, f"strip-{kind}@rcpt.test", STRANGERS[kind])
    (line,) = _lines(site, f"strip-{kind}@rcpt.test")
    assert "note=was handed in by the account daemon, which delivers mail" in line


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_content_filter_that_gives_mail_back_by_smtp(site: Site, kind: str) -> None:
    _from_outside(site, f"out-{kind}@rcpt.test", STRANGERS[kind])
    there = site.sink.wait_for(f"out-{kind}@rcpt.test").message
    site.send([f"back-{kind}@rcpt.test"], there)
    site.sink.wait_for(f"back-{kind}@rcpt.test")
    for way in ("out", "back"):
        _assert_theirs(site, f"{way}-{kind}@rcpt.test", STRANGERS[kind])
    assert f"came in from {own_address()} before" in _lines(site, f"back-{kind}@rcpt.test")[-1]


def test_an_alias_that_forwards(site: Site) -> None:
    _from_outside(site, "forward@pipe.test", STRANGERS["with-orders"])
    site.sink.wait_for("other@rcpt.test")
    _assert_theirs(site, "other@rcpt.test", STRANGERS["with-orders"])


def test_own_mail_is_tracked_in_the_same_layouts(site: Site, folder: Path) -> None:
    site.send(["program@rcpt.test"], html_mail())
    status, output = by_program(folder, html_mail(), f"-C{folder}/submit.cf", "-Ac", "-i", "cron@rcpt.test")
    assert status == 0, output
    for recipient in ("program@rcpt.test", "cron@rcpt.test"):
        assert len(site.filter.links(site.sink.wait_for(recipient).body)) == 2
    passed = site.sink.wait_for("program@rcpt.test").message
    site.send(["program@rcpt.test"], passed)  # as a content filter gives it back: ours already
    until(lambda: len(site.sink.all_for("program@rcpt.test")) == 2)
    assert site.sink.all_for("program@rcpt.test")[1].body == site.sink.all_for("program@rcpt.test")[0].body
    off = site.sendmail.ports["off"]
    with smtplib.SMTP("127.0.0.1", off, timeout=30) as smtp:  # the filter behind the content filter alone
        smtp.sendmail("a@sender.test", ["later@rcpt.test"], html_mail())
    site.send(["tracked@rcpt.test"], site.sink.wait_for("later@rcpt.test").message)
    assert len(site.filter.links(site.sink.wait_for("tracked@rcpt.test").body)) == 2


def test_h30_sendmail_i_without_its_submission_program_goes_past_the_filter(site: Site, folder: Path) -> None:
    """docs/sendmail.md says so; should a Sendmail ask its filters here, that page is to be mended."""
    config = f"-C{site.sendmail.config}"
    status, output = by_program(folder, html_mail(), config, "-Am", "-i", "past-i@rcpt.test")
    assert status == 0, output
    assert site.sink.wait_for("past-i@rcpt.test").body == HTML
    assert _lines(site, "past-i@rcpt.test") == []


def test_h30_sendmail_bs_without_its_submission_program_is_nobody(site: Site, folder: Path) -> None:
    """The filter is asked, but told no address: as the same page says."""
    with program(folder, f"-C{site.sendmail.config}", "-Am", "-bs") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for line in (b"", b"HELO x", b"MAIL FROM:<a@sender.test>", b"RCPT TO:<past-bs@rcpt.test>", b"DATA"):
            running.stdin.write(line + b"\r\n" if line else b"")
            running.stdin.flush()
            assert running.stdout.readline()[:1] in b"23"
        running.communicate(html_mail(X_MSYS_API=_VICTIM) + b".\r\nQUIT\r\n", timeout=30)
    site.sink.wait_for("past-bs@rcpt.test")
    _assert_theirs(site, "past-bs@rcpt.test", STRANGERS["with-orders"])
    (output,) = _lines(site, "past-bs@rcpt.test")
    assert output.endswith("reason=untrusted")
