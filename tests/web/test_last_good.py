"""A running tracker outlives files that are broken while it runs: links of mail already sent must lead on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Kind
from engagement.links.ring_file import save_ring
from engagement.settings import SettingsError, load_text
from tracker_web.server import last_good
from web.servers import Site, fetch, make_site, running
from web.web_cases import KEY, token

NEW = Key(8, KeyStatus.ACCEPTED, KEY.created, bytes(range(2, 34)))


def children(process: subprocess.Popen[bytes]) -> set[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {
        int(child) for child in text.split() if b"tracker_web" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def new_workers(process: subprocess.Popen[bytes], before: set[int], seconds: float = 20) -> None:
    """Wait until the workers are others, and answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError("the tracker ended")
        now = children(process)
        if now and not now & before:
            time.sleep(1)  # one that cannot start would be gone by then
            if children(process) & now:
                return
        time.sleep(0.1)
    raise AssertionError("no new workers")


def reload(process: subprocess.Popen[bytes]) -> None:
    before = children(process)
    process.send_signal(signal.SIGHUP)
    new_workers(process, before)


def kill_workers(process: subprocess.Popen[bytes]) -> None:
    before = children(process)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    new_workers(process, before)


def answers(site: Site) -> None:
    assert fetch(site.port, f"/f/a/{token()}").status == 302
    assert fetch(site.port, f"/q/{token(Kind.OPEN)}").status == 200


@pytest.mark.parametrize("renew", [reload, kill_workers])
def test_broken_configuration_keeps_the_old_one_and_says_so(
    tmp_path: Path, renew: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    site = make_site(tmp_path)
    with running(site) as process:
        site.config.write_text(site.config.read_text() + "\nbogus")
        renew(process)
        answers(site)
        log = (site.folder / "log").read_text()
    assert "Reconfigure failed. The last good configuration stays in use: " in log
    assert f"Syntax error in {site.config}" in log
    assert "Traceback" not in log
    assert len(site.hits()) == 2


def test_key_ring_that_is_away_costs_new_workers_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    ring = next(line for line in site.config.read_text().split('"') if line.endswith("keys"))
    with running(site) as process:
        Path(ring).rename(tmp_path / "away")
        reload(process)
        answers(site)
        (tmp_path / "away").rename(ring)
        time.sleep(1.2)
        answers(site)
    assert "key ring not loaded, the one in use stays" in (site.folder / "log").read_text()


def test_association_file_that_is_away_is_served_as_it_was(tmp_path: Path) -> None:
    links = tmp_path / "assetlinks.json"
    links.write_text("[1]")
    site = make_site(tmp_path, tracker=f'assetlinks = "{links}"')
    with running(site) as process:
        links.unlink()
        reload(process)
        assert fetch(site.port, "/.well-known/assetlinks.json").body == b"[1]"
        answers(site)


@pytest.mark.parametrize("renew", [reload, kill_workers])
def test_objections_hold_in_new_workers_while_the_list_cannot_be_read(
    tmp_path: Path, renew: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    objections = tmp_path / "objections"
    objections.write_text("ida.holm@example.net\n")
    site = make_site(tmp_path, more=f'privacy {{ objections = "{objections}" }}')
    with running(site) as process:
        objections.unlink()
        objections.mkdir()
        renew(process)
        answers(site)
        assert fetch(site.port, f"/f/a/{token(recipient='kim@example.net')}").status == 302
    assert len(site.hits()) == 1
    log = (site.folder / "log").read_text()
    assert f"objections: {objections}: Is a directory" in log
    assert "event not recorded" not in log


def test_list_of_a_reload_holds_and_not_that_of_the_start(tmp_path: Path) -> None:
    objections = tmp_path / "objections"
    objections.write_text("")
    site = make_site(tmp_path, more=f'privacy {{ objections = "{objections}" }}')
    with running(site) as process:
        objections.write_text("ida.holm@example.net\n")
        reload(process)
        objections.unlink()
        reload(process)
        answers(site)
    assert site.hits() == []


def test_good_configuration_is_taken_at_a_reload(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site) as process:
        assert fetch(site.port, "/q/x", host="later.example").status == 404
        site.config.write_text(
            site.config.read_text() + '\ntracker { hosts = ("track.example.com" "later.example") }\n'
        )
        reload(process)
        assert fetch(site.port, "/q/x", host="later.example").status == 200


def test_broken_configuration_after_a_good_reload_keeps_that_of_the_reload(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site) as process:
        good = site.config.read_text() + '\ntracker { hosts = ("track.example.com" "later.example") }\n'
        site.config.write_text(good)
        reload(process)
        site.config.write_text(good + "\nbogus")
        reload(process)
        assert fetch(site.port, "/q/x", host="later.example").status == 200
        answers(site)


def test_ring_of_a_good_reload_outlives_its_file(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    other = tmp_path / "other"
    save_ring(other, Ring((KEY, NEW)))
    with running(site) as process:
        site.config.write_text(site.config.read_text().replace(str(tmp_path / "keys"), str(other)))
        reload(process)
        other.unlink()
        reload(process)
        assert fetch(site.port, f"/f/a/{token(key=NEW)}").status == 302
        answers(site)


def test_where_nothing_was_kept_a_broken_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("bogus")
    assert last_good._remembered == []
    with pytest.raises(SettingsError):
        last_good.configured(path)


def test_small_files_that_are_lost_at_a_reload_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_good, "_remembered", [])
    links = tmp_path / "assetlinks.json"
    links.write_bytes(b"[]")
    save_ring(tmp_path / "keys", Ring((KEY,)))
    settings = load_text(
        f'keys {{ ring = "{tmp_path}/keys" }}\ntracker {{ assetlinks = "{links}" }}\n'
        f'spool {{ directory = "{tmp_path}/spool" }}\n'
    )
    last_good.remember(settings)
    links.unlink()
    with caplog.at_level("ERROR", "smtpapi.tracker"):
        assert last_good.files_of(settings)["/.well-known/assetlinks.json"] == ("application/json", b"[]")
    assert [str(links) in record.getMessage() for record in caplog.records] == [True]
