"""The service files under etc/ and in the Vagrantfile: valid, and at one with the programs they start."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from engagement.settings.load import load_text
from smtpapi.commands import main

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "etc" / "systemd").glob("*.service"))
VAGRANTFILE = (ROOT / "Vagrantfile").read_text()
ANALYZE = shutil.which("systemd-analyze")
# What `verify` wants to find for units of this kind; each may be empty of meaning.
_TARGETS = ("sysinit", "basic", "shutdown", "network", "sockets", "multi-user")
TARGET = (ROOT / "etc" / "systemd" / "smtpapi.target").read_text()
MOST_EXPOSED = 20  # tenths: systemd calls all below 5.0 fit, below 2.0 safe


def options(unit: str) -> dict[str, list[str]]:
    """The values of each option, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def vagrant_units() -> dict[str, str]:
    """The units that the Vagrantfile writes, by name."""
    units = re.findall(r"cat >/etc/systemd/system/(\S+) <<UNIT\n(.*?)\n +UNIT\n", VAGRANTFILE, re.DOTALL)
    return {name: re.sub(r"(?m)^ +", "", text) + "\n" for name, text in units}


def verify(folder: Path, units: dict[str, str]) -> str:
    """What systemd has to say about units, in a root where all that they start is there."""
    assert ANALYZE is not None, "systemd is not installed: .ci/system test, or apt-get install systemd"
    for program in (
        "usr/bin/smtpapi",
        "bin/kill",
        "bin/sleep",
        "lib/systemd/systemd-socket-proxyd",
    ):
        (folder / program).parent.mkdir(parents=True, exist_ok=True)
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    system, place = folder / "usr/lib/systemd/system", folder / "etc/systemd/system"
    for each in (system, place):
        each.mkdir(parents=True)
    for target in _TARGETS:
        (system / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    for name, text in units.items():
        (place / name).write_text(text)
    complaints = []
    for name in units:
        done = subprocess.run(
            [ANALYZE, "verify", f"--root={folder}", "--man=no", f"/etc/systemd/system/{name}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        complaints.append(
            done.stdout + done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}\n")
        )
    return "".join(complaints)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    units = {unit.name: unit.read_text() for unit in UNITS} | {"smtpapi.target": TARGET}
    assert verify(tmp_path / "etc", units) == ""
    assert verify(tmp_path / "vagrant", vagrant_units()) == ""


def test_systemd_takes_the_drop_in_for_metrics(tmp_path: Path) -> None:
    text = (ROOT / "etc/systemd/metrics.conf").read_text()
    units = [unit for unit in UNITS if "\nPrivateNetwork=yes" in unit.read_text()]
    assert {unit.stem for unit in units} == {"smtpapi-milter", "smtpapi-follow"}
    for unit in units:
        together = re.sub(
            r"(?m)^\[Install\]", text.partition("[Service]")[2] + "\n[Install]", unit.read_text()
        )
        assert verify(tmp_path / unit.stem, {unit.name: together}) == ""


def test_verifying_would_tell_of_a_slip_of_the_pen(tmp_path: Path) -> None:
    broken = UNITS[0].read_text().replace("ProtectSystem=", "ProtectSystm=")
    assert "Unknown key 'ProtectSystm'" in verify(tmp_path, {"broken.service": broken})


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_starts_a_command_that_there_is(unit: Path) -> None:
    (start,) = options(unit.read_text())["ExecStart"]
    program, name, *arguments = shlex.split(start)
    assert program == "/usr/bin/smtpapi"
    command = main.get_command(click.Context(main), name)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)
    assert command is not None
    assert command.make_context(name, list(arguments)).params["config"] == Path("/etc/smtpapi/smtpapi.conf")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_has_a_user_of_its_own_and_may_write_where_the_package_says_and_nowhere_else(unit: Path) -> None:
    found = options(unit.read_text())
    assert found["User"] == found["Group"] == [unit.stem]
    assert (found["NoNewPrivileges"], found["CapabilityBoundingSet"]) == (["yes"], [""])
    assert found["ProtectSystem"] == ["strict"]
    settings = load_text((ROOT / "packaging/smtpapi.conf").read_text().replace('include "conf.d"', ""))
    spool, store = Path(settings.spool.directory), Path(settings.store.path).parent
    registry = Path(settings.registry.path).parent
    token, state = Path(settings.web.token_file).parent, Path(settings.follow.state).parent
    socket = Path(settings.milter.socket.removeprefix("unix:")).parent
    objections = Path("/var/lib/smtpapi/objections")
    expected = {
        "smtpapi-milter": {spool, socket},
        "smtpapi-follow": {spool, state},
        "smtpapi-shipper": {spool, store, registry, Path(settings.suppression.snapshot).parent, objections},
        "smtpapi-tracker": {spool},
        "smtpapi-web": {token, registry},
        "smtpapi-webhooks": {registry},
        "smtpapi-cluster": {Path(settings.smtpapi_cluster.directory), Path("/etc/smtpapi/ring"), objections},
    }[unit.stem]
    writable = {Path(path.lstrip("-")) for line in found["ReadWritePaths"] for path in line.split()}
    assert writable == expected


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_calls_the_unit_safe(unit: Path) -> None:
    assert ANALYZE is not None
    done = subprocess.run(
        [ANALYZE, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_tells_when_it_is_ready_and_that_it_is_alive(unit: Path) -> None:
    found = options(unit.read_text())
    assert found["Type"] == ["notify"]
    assert int(found["WatchdogSec"][0].removesuffix("s")) >= 60
    assert found["Restart"] == ["always"]


def test_users_and_groups_of_units_and_folders_are_made() -> None:
    users = (ROOT / "packaging/sysusers.d/smtpapi.conf").read_text()
    made = set(re.findall(r"^[ug] (\S+)", users, re.MULTILINE)) | {"root", "postfix"}
    folders = re.findall(
        r"^d \S+ +\d+ (\S+) +(\S+)$", (ROOT / "packaging/tmpfiles.d/smtpapi.conf").read_text(), re.MULTILINE
    )
    assert folders
    assert {name for pair in folders for name in pair} <= made
    assert {options(unit.read_text())["User"][0] for unit in UNITS} <= made
    assert {
        word for line in re.findall(r"^m (\S+ \S+)$", users, re.MULTILINE) for word in line.split()
    } <= made


def test_a_reload_of_the_target_reaches_all_that_can_reload_the_tracker_before_the_filter() -> None:
    (reached,) = options(TARGET)["PropagatesReloadTo"]
    can = {unit.name for unit in UNITS if "ExecReload" in options(unit.read_text())}
    assert set(reached.split()) == can
    after = options((ROOT / "etc/systemd/smtpapi-milter.service").read_text())["After"]
    assert "smtpapi-tracker.service" in " ".join(after).split()
    for unit in UNITS:
        assert options(unit.read_text())["PartOf"] == ["smtpapi.target"]


def test_filter_has_no_network() -> None:
    found = options((ROOT / "etc/systemd/smtpapi-milter.service").read_text())
    assert found["PrivateNetwork"] == ["yes"]
    assert found["RestrictAddressFamilies"] == ["AF_UNIX"]


def test_h5_filters_memory_holds_three_times_the_mail_under_way_and_the_workers() -> None:
    settings = load_text("")
    (most,) = options((ROOT / "etc" / "systemd" / "smtpapi-milter.service").read_text())["MemoryMax"]
    assert most == "1G"
    workers = 35_000_000 * 2 * settings.milter.workers  # twice: while a reload is under way
    assert 3 * settings.limits.max_memory + workers <= 2**30


@pytest.mark.parametrize("name", ["milter", "tracker"])
def test_programs_that_follow_a_changed_configuration_are_told_by_a_reload(name: str) -> None:
    found = options((ROOT / f"etc/systemd/smtpapi-{name}.service").read_text())
    assert found["ExecReload"][0] == "/bin/kill -HUP $MAINPID"


def test_vagrantfile_uses_targets_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make -C \S+ (\S+)$", VAGRANTFILE, re.MULTILINE)
    assert targets == ["packages"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
