"""Domains that links were made for are remembered, and missed by `check-config` while those links live."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.links import domains_file
from engagement.links.domains_file import DomainsFile, DomainUse, host_of, read
from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.ring_file import RingFile, save_ring
from engagement.settings import load_text
from smtpapi.commands.configuration.check_config import command
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.pipeline.transaction import MessageResult
from smtpapi.process.worker_services import WorkerServices
from smtpapi.request.decision import Decision
from smtpapi.telemetry.counters import Counters

NOW = 1_793_001_722.0


def _fail(text: str) -> None:
    raise AssertionError(text)


def test_a_domain_is_remembered_with_the_end_of_its_latest_link(tmp_path: Path) -> None:
    DomainsFile(tmp_path, _fail, lambda: NOW).used("Track.example:8443", 100)
    DomainsFile(tmp_path, _fail, lambda: NOW + 50).used("track.example:8443", 10)
    DomainsFile(tmp_path, _fail, lambda: NOW + 50).used("other.example", -1)
    assert set(read(tmp_path)) == {
        DomainUse("track.example:8443", int(NOW) + 50, int(NOW) + 100),
        DomainUse("other.example", int(NOW) + 50, int(NOW) + 50),
    }


def test_a_process_writes_a_domain_once_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(domains_file, "_note", lambda _, domain, *rest: written.append(domain))
    clock = [NOW]
    file = DomainsFile(tmp_path, _fail, lambda: clock[0])
    for seconds in (0, 1, 3599, 3601):
        clock[0] = NOW + seconds
        file.used("track.example", 100)
    file.used("track.example", 200)
    assert written == ["track.example"] * 3


def test_what_cannot_be_written_or_read_is_told_and_raises_nothing(tmp_path: Path) -> None:
    reports: list[str] = []
    (tmp_path / "file").touch()
    DomainsFile(tmp_path / "file", reports.append).used("track.example", 100)
    (tmp_path / domains_file.NAME).write_text("[]")
    DomainsFile(tmp_path, reports.append).used("track.example", 100)
    assert len(reports) == 2
    assert (tmp_path / domains_file.NAME).read_text() == "[]"


@pytest.mark.parametrize(
    ("domain", "host"),
    [("a.example:80", "a.example"), ("A.example", "a.example"), ("[::1]:80", "[::1]"), ("a.", "a")],
)
def test_the_port_is_no_part_of_the_host(domain: str, host: str) -> None:
    assert host_of(domain) == host


def _warnings(tmp_path: Path, more: str = "") -> list[str]:
    config = tmp_path / "smtpapi.conf"
    config.write_text(
        f'smtpapi {{ }}\nESMTP_Listener {{ tracking_domain = "new.example" Listen ":25" {{ }} }}\n'
        f'spool {{ directory = "{tmp_path}" }}\n{more}\n'
    )
    result = CliRunner().invoke(command, ["--json", str(config)])
    assert result.exit_code == 0
    return [each for each in json.loads(result.stdout)["warnings"] if "links to" in each]


def test_h31_check_config_misses_a_domain_while_links_with_it_live(tmp_path: Path) -> None:
    DomainsFile(tmp_path, _fail).used("new.example", 1000)
    assert _warnings(tmp_path) == []
    DomainsFile(tmp_path, _fail).used("old.example:8443", 86_400 * 3)
    DomainsFile(tmp_path, _fail, lambda: time.time() - 5000).used("dead.example", 4000)
    (warning,) = _warnings(tmp_path)
    assert "links to old.example were sent until" in warning
    assert 'add "old.example" to hosts in tracker { }' in warning
    assert _warnings(tmp_path, 'tracker { hosts = ( "Old.example" ) }') == []
    assert _warnings(tmp_path, "tracker { any_host = true }") == []


def test_check_config_says_when_it_cannot_know(tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}" }}\n')
    (tmp_path / domains_file.NAME).write_text("{")
    result = CliRunner().invoke(command, [str(config)])
    assert (result.exit_code, "cannot be read" in result.stderr) == (0, True)


def test_the_filter_notes_the_domain_of_the_links_it_made_and_no_other(tmp_path: Path) -> None:
    ring = tmp_path / "keys"
    save_ring(ring, Ring((Key(7, KeyStatus.SIGNING, int(NOW), bytes(range(32))),)))
    settings = load_text(f'spool {{ directory = "{tmp_path}" }}\n')
    services = WorkerServices(settings, None, RingFile(ring), Counters.create(2).row(1))
    left = Decision(True, True, False, "http", "http", "untouched.example", 77)
    services.record(MessageResult(Leave(Why.NO_LINK), left))
    services.record(MessageResult(Plan(), replace(left, domain="links.example")))
    services.close()
    assert [(each.domain, each.until - each.last) for each in read(tmp_path)] == [("links.example", 77)]
