"""Checks of this host, each fault made once: clock, keys, processes, spool, store, follower, versions."""

import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from doctor.reading import complete, only
from engagement.events.record import encode
from engagement.links.keys import SECRET_SIZE, Ring
from engagement.links.ring_file import save_ring
from engagement.maillogs.memory import QueueMemory
from engagement.settings import Settings, load_text
from engagement.shipper.status import ShipperStatus
from engagement.shipper.status import save as save_status
from engagement.spool.names import UNKNOWN_KEYS
from engagement.spool.write import SpoolWriter
from engagement.stores import open_store
from mta.mta_site import until
from smtpapi.doctor.finding import Finding, Level, status
from smtpapi.doctor.host import clock, follow, keys, processes, spool, store, versions
from smtpapi.doctor.mta import signer
from unit.event_samples import hit
from web.servers import make_site, own, running, web

NOW = 1_800_000_000.0
DAY = 86_400


def _levels(findings: list[Finding]) -> list[Level]:
    return [each.level for each in complete(findings)]


def test_the_kernel_is_asked_for_its_clock() -> None:
    assert clock.read(NOW).synchronized in (True, False)


@pytest.mark.parametrize(
    ("facts", "newest", "level"),
    [
        (clock.Clock(NOW, True, 0.01), NOW, Level.OK),
        (clock.Clock(NOW, True, 3.0), NOW, Level.WARNING),
        (clock.Clock(NOW, False, 0.0), NOW, Level.WARNING),
        (clock.Clock(NOW, None), NOW, Level.SKIPPED),
        (clock.Clock(NOW, True, 0.01), NOW + DAY, Level.ERROR),
    ],
    ids=["well", "coarse", "free", "silent", "behind the key"],
)
def test_clock(facts: clock.Clock, newest: float, level: Level) -> None:
    assert _levels(list(clock.check(facts, newest, "a key"))) == [level]


def test_the_clock_of_the_host_that_answers() -> None:
    date = "Fri, 15 Jan 2027 08:00:00 GMT"
    assert list(clock.check_other("t", date, NOW + 2)) == []
    assert list(clock.check_other("t", "", NOW)) == []
    (finding,) = complete(clock.check_other("t", date, NOW + 300))
    assert (finding.level, "-300 s from this one's" in finding.what) == (Level.WARNING, True)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "keys"
    path.parent.mkdir()
    save_ring(path, Ring().rotated(bytes(SECRET_SIZE), int(NOW)))
    return path


def _keys(path: Path, now: float = NOW, users: frozenset[str] = frozenset()) -> list[Finding]:
    return complete(keys.check(keys.read(path), users, now))


def test_a_good_ring(ring: Path) -> None:
    assert _levels(_keys(ring)) == [Level.OK]


def test_a_ring_that_others_may_read(ring: Path) -> None:
    ring.chmod(0o644)
    (finding,) = _keys(ring)
    assert (finding.level, "mode 0644" in finding.what) == (Level.ERROR, True)


def test_a_folder_that_anybody_may_write_to(ring: Path) -> None:
    ring.parent.chmod(0o777)
    assert _levels(_keys(ring)) == [Level.ERROR, Level.OK]


def test_no_ring(ring: Path) -> None:
    ring.unlink()
    (finding,) = _keys(ring)
    assert "smtpapi keys init" in finding.change


def test_an_old_key(ring: Path) -> None:
    (finding,) = _keys(ring, NOW + 500 * DAY)
    assert (finding.level, "500 days" in finding.what) == (Level.WARNING, True)


def test_a_ring_of_another_user_than_the_filters(ring: Path) -> None:
    (finding,) = only(_keys(ring, users=frozenset({"smtpapi"})))
    assert finding.change == f"chown smtpapi {ring}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_ring_that_the_filters_group_may_read(ring: Path) -> None:
    """As the packages have it: root's, and readable for the group of both programs."""
    found = pwd.getpwnam("nobody")
    os.chown(ring, 0, found.pw_gid)
    ring.chmod(0o640)
    assert _levels(_keys(ring, users=frozenset({"nobody"}))) == [Level.OK]
    assert only(_keys(ring, users=frozenset({"daemon"}))) != []


def test_a_tracker_of_an_older_configuration(tmp_path: Path) -> None:
    """A real tracker: found by its command line, warned of after a change, well again after a reload."""
    site = make_site(tmp_path)

    def found() -> list[Finding]:
        programs = [each for each in processes.running(site.config) if each.role == "tracker"]
        assert [each.pid for each in programs] == [process.pid]
        checked = complete(
            processes.check(programs, site.config.stat().st_mtime, str(site.config), 0.0, time.time())
        )
        return [each for each in checked if "`smtpapi tracker`" in each.what]

    earlier = time.time() - 100
    os.utime(site.config, (earlier, earlier))
    with running(site) as process:
        until(lambda: len(processes.running(site.config)[0].began) >= 1, 10, "workers")
        assert [each.level for each in found()] == [Level.OK]
        later = time.time() + 3
        os.utime(site.config, (later, later))
        (finding,) = found()
        assert (finding.level, "was changed after" in finding.what) == (Level.WARNING, True)
        os.utime(site.config, (time.time() - 2,) * 2)
        process.send_signal(signal.SIGHUP)
        until(lambda: [each.level for each in found()] == [Level.OK], 20, "new workers")
    assert processes.running(site.config) == []


def test_a_shipper_says_itself_when_it_began_anew(tmp_path: Path) -> None:
    settings = load_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}" }}\n')
    ship = processes.Running("ship", 7, "root", (100.0,))
    assert processes.as_reported(ship, settings) == ship
    for pid, began in ((8, (100.0,)), (7, (500.0,))):
        save_status(tmp_path, ShipperStatus(pid=pid, began=500.0))
        assert processes.as_reported(ship, settings).began == began
    tracker = replace(ship, role="tracker")
    assert processes.as_reported(tracker, settings) == tracker


def test_programs_that_do_not_run_and_workers_that_drain() -> None:
    old, new = NOW - 1000, NOW - 10
    milter = processes.Running("milter", 7, "smtpapi", (old, new))
    found = complete(processes.check([milter], NOW - 20, "x.conf", 0.0, NOW))
    missing = {each.what.split("`")[1] for each in found if "does not run" in each.what}
    assert missing == {"smtpapi tracker", "smtpapi ship", "smtpapi follow", "smtpapi web"}
    assert [each.level for each in found if "reloaded" in each.what] == [Level.NOTE]
    others = frozenset(("tracker", "ship", "follow", "web"))
    assert only(processes.check([milter], NOW - 2000, "x.conf", 0.0, NOW, others)) == []
    stale = complete(processes.check([milter], NOW - 20, "x.conf", 0.0, NOW + 1000))
    assert [each.level for each in stale if "x.conf" in each.what] == [Level.WARNING]
    updated = complete(processes.check([milter], 0.0, "x.conf", NOW, NOW + 1))
    assert [each.level for each in updated if "installed anew" in each.what] == [Level.WARNING]


@pytest.mark.parametrize(
    ("arguments", "role"),
    [
        (["/v/bin/python", "/v/bin/smtpapi", "milter", "--config", "/x"], "milter"),
        (["/v/bin/python", "-P", "-m", "tracker_web", "--config", "/x"], "tracker"),
        (["/v/bin/python", "-P", "-m", "tracker_web.web", "--config", "/x"], "web"),
        (["/v/bin/python", "/usr/bin/smtpapi", "ship", "--status"], ""),
        (["/v/bin/python", "/usr/bin/smtpapi", "webhooks"], "webhooks"),
        (["/v/bin/python", "/usr/bin/smtpapi", "webhook", "list"], ""),
        (["vi", "smtpapi.conf"], ""),
    ],
)
def test_roles_of_command_lines(arguments: list[str], role: str) -> None:
    assert processes.role_of(arguments) == role


def _settings(folder: Path, more: str = "") -> Settings:
    return load_text(
        f'smtpapi {{ }}\nspool {{ directory = "{folder}/spool" }}\nstore {{ path = "{folder}/events.db" }}\n'
        f'follow {{ log = "{folder}/mail.log" state = "{folder}/follow.db" }}\n{more}'
    )


def _spool(folder: Path, now: float = NOW, more: str = "") -> list[Finding]:
    return complete(spool.check(spool.read(_settings(folder, more), now)))


def test_an_empty_spool_and_one_that_is_not_there(tmp_path: Path) -> None:
    (finding,) = _spool(tmp_path)
    assert (finding.level, "cannot be read" in finding.what) == (Level.ERROR, True)
    (tmp_path / "spool").mkdir()
    assert only(_spool(tmp_path)) == []


def test_events_that_wait_and_nobody_ships(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    writer.append(encode(hit()))
    writer.close()
    (finding,) = only(_spool(tmp_path, hit().at_ms / 1000 + 3600))
    assert (finding.level, "no shipper runs" in finding.what) == (Level.ERROR, True)
    assert only(_spool(tmp_path, hit().at_ms / 1000 + 1)) == []


def test_what_else_a_spool_tells(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    (folder / "corrupt").mkdir(parents=True)
    (folder / "corrupt" / "one").write_bytes(b"x")
    (folder / f"{UNKNOWN_KEYS}17").write_text('{"9": 4}')
    failed = ShipperStatus.begun(NOW)
    failed.failed("the store is locked", NOW)
    save_status(folder, failed)
    says = " | ".join(each.what for each in only(_spool(tmp_path)))
    for text in ("the store is locked", "1 file(s) lie in", "answered with 404: 4"):
        assert text in says


@pytest.mark.parametrize(("size", "level"), [(90, Level.WARNING), (100, Level.ERROR)])
def test_a_spool_that_fills_and_a_disk_that_is_full(size: int, level: Level) -> None:
    facts = spool.SpoolFacts(Path("/s"), size=size, limit=100, free=0.01)
    assert _levels(list(spool.check(facts))) == [level, Level.WARNING]


def test_store(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    open_store(settings, writing=True).close()
    (finding,) = complete(store.check(*store.read(settings)))
    assert (finding.level, "schema as needed" in finding.what) == (Level.OK, True)


def test_a_store_that_is_none_and_one_of_a_later_program(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    (tmp_path / "events.db").write_bytes(b"no database at all, and long enough to be seen as none" * 40)
    (finding,) = complete(store.check(*store.read(settings)))
    assert (finding.level, "cannot be used" in finding.what) == (Level.ERROR, True)
    (tmp_path / "events.db").unlink()
    open_store(settings, writing=True).close()
    with sqlite3.connect(tmp_path / "events.db") as file:
        file.execute("PRAGMA user_version = 9999")
    (finding,) = complete(store.check(*store.read(settings)))
    assert finding.level is Level.ERROR


def test_a_cluster_that_is_not_there_or_of_an_older_schema() -> None:
    settings = load_text(
        "smtpapi { }\nstore { engine = cassandra }\n"
        'cassandra_client { uri = ("name=c;host=127.0.0.1;port=9") }'
    )
    (finding,) = complete(store.check(*store.read(settings)))
    assert (finding.level, "Cassandra" in finding.what) == (Level.ERROR, True)
    (finding,) = complete(store.check(["schema   7, needed 8"], False, ""))
    assert finding.change == "smtpapi store migrate"


def test_the_followers_position(tmp_path: Path) -> None:
    settings, log = _settings(tmp_path), tmp_path / "mail.log"

    def found(*, runs: bool) -> list[Finding]:
        return complete(follow.check(follow.read(settings), runs=runs))

    assert _levels(found(runs=False)) == [Level.NOTE]
    (waiting,) = found(runs=True)
    assert (waiting.level, "which the follower waits for" in waiting.what) == (Level.WARNING, True)
    assert "follow { log = journal }" in waiting.change
    log.write_bytes(b"x" * 100)
    assert "was never followed" in found(runs=False)[0].what
    memory = QueueMemory(Path(settings.follow.state))
    memory.commit(str(log), {"inode": log.stat().st_ino, "offset": 60, "head": 0, "digest": ""}, NOW)
    memory.close()
    assert follow.read(settings).behind == 40
    assert _levels(found(runs=True)) == [Level.OK]
    assert "no follower runs" in found(runs=False)[0].what
    log.write_bytes(b"x" * 5_000_000)
    assert "bytes behind" in found(runs=True)[0].what
    log.rename(tmp_path / "mail.log.1")
    log.write_bytes(b"")
    assert "rotated away" in found(runs=True)[0].what
    Path(settings.follow.state).write_bytes(b"no database" * 200)
    (finding,) = found(runs=True)
    assert (finding.level, "cannot be read" in finding.what) == (Level.ERROR, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Mode sv\nSignHeaders *,+List-Unsubscribe-Post\n", ""),
        ("Mode s\nOversignHeaders From,List-Unsubscribe-Post\n", ""),
        ("# SignHeaders *,+List-Unsubscribe-Post\nDomain x\n", "is not signed"),
        ("Mode v\n", "verifies and does not sign"),
    ],
)
def test_opendkim_signs_the_field_of_one_click(text: str, says: str) -> None:
    (finding,) = complete(signer.check_opendkim(text, "opendkim.conf"))
    assert (finding.level, says in finding.what) == (Level.WARNING if says else Level.OK, True)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("", Level.OK),
        ('sign_headers = "from:subject:(o)list-unsubscribe-post";', Level.OK),
        ('sign_headers = "from:subject";', Level.WARNING),
    ],
)
def test_rspamd_signs_the_field_of_one_click(text: str, level: Level) -> None:
    assert _levels(list(signer.check_rspamd(text, "dkim_signing.conf"))) == [level]


def test_versions_that_are_too_old() -> None:
    good = versions.Versions("1", (3, 12, 1), "3.40.1", "3.7.11")
    assert _levels(list(versions.check(good))) == [Level.OK]
    assert _levels(list(versions.check(replace(good, postfix="3.4.1")))) == [Level.OK, Level.WARNING]
    assert _levels(list(versions.check(replace(good, python=(3, 11, 2))))) == [Level.OK, Level.NOTE]
    assert _levels(list(versions.check(replace(good, in_python="no C")))) == [Level.OK, Level.WARNING]


def test_versions_here_without_the_parts_in_c() -> None:
    code = "from smtpapi.doctor.host import versions; print(versions.read('').in_python)"
    done = subprocess.run(
        [sys.executable, "-c", f"from engagement import extensions; extensions.leave_out_if_off(); {code}"],
        env={**os.environ, "SMTPAPI_NATIVE": "off"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "SMTPAPI_NATIVE=off" in done.stdout


def test_exit_status_follows_the_worst_finding() -> None:
    found = [Finding("x", level, "what") for level in Level]
    assert status(found) == 1
    assert status([each for each in found if each.level is not Level.ERROR]) == 3
    assert status([Finding("x", Level.NOTE, "w"), Finding("x", Level.SKIPPED, "w")]) == 0


def test_programs_are_known_as_they_are_started_here(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    assert [processes.role_of(arguments) for arguments in (own(site), web(site))] == ["tracker", "web"]
