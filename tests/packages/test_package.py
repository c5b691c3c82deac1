"""The package for Debian 12: its bytes, its files, and what judges of packages, pages and shells say."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from packages.machines import ROOT
from packages.made import MAKE, Made
from smtpapi.commands import _COMMANDS


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpacked(package: Path, folder: Path) -> Path:
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


def test_made_twice_all_files_have_the_same_bytes(made: Made, tmp_path: Path) -> None:
    """The second time under another mask, another language and time zone."""
    elsewhere = os.environ | {"LC_ALL": "C", "TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path)}
    subprocess.run(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", *MAKE, "--out", tmp_path / "again"],
        check=True, capture_output=True, env=elsewhere, timeout=280,
    )  # fmt: skip
    first = hashes(made.folder)
    assert {name.rpartition(".")[2] for name in first} == {"deb", "whl", "gz"}
    assert hashes(tmp_path / "again") == first


def test_wheels_are_of_the_many_linuxes_and_hold_libmilter(made: Made) -> None:
    wheels = {path.name.partition("-")[0]: path for path in (made.folder / "wheels").iterdir()}
    assert set(wheels) == {"smtpapi_engagement", "pymilter", "dkimpy"}
    assert wheels.pop("dkimpy").name.endswith("-none-any.whl")
    for wheel in wheels.values():
        assert "manylinux" in wheel.name
        shown = subprocess.run(
            [sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True, check=True
        ).stdout
        assert "manylinux_" in shown
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheels["pymilter"]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "pymilter.libs/libmilter" in listed


def test_lintian_finds_nothing_but_what_is_overridden_by_name(made: Made) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", made.package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_everything_is_roots_and_the_configuration_is_kept(made: Made, tmp_path: Path) -> None:
    data = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", made.package], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        members = archive.getmembers()
    assert {(each.uname or each.uid, each.gname or each.gid) for each in members} <= {
        ("root", "root"),
        (0, 0),
    }
    assert [each.name for each in members if each.mode & 0o022 and not each.issym()] == []
    conffiles = (unpacked(made.package, tmp_path / "u") / "DEBIAN/conffiles").read_text().split()
    assert conffiles == ["/etc/smtpapi/conf.d/10-tracking.conf", "/etc/smtpapi/smtpapi.conf"]


def test_each_command_has_a_manual_page_that_groff_takes(made: Made, tmp_path: Path) -> None:
    folder = unpacked(made.package, tmp_path / "u") / "usr/share/man"
    pages = list(folder.rglob("*.gz"))
    assert {page.name for page in pages} == {
        "smtpapi.conf.5.gz",
        "smtpapi.1.gz", *(f"smtpapi-{name}.1.gz" for name in _COMMANDS)
    }  # fmt: skip
    for page in pages:
        done = subprocess.run(
            ["groff", "-K", "utf8", "-man", "-Tutf8", "-ww", "-rLL=100n", "-z"],
            input=gzip.decompress(page.read_bytes()), capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b""), page.name


@pytest.mark.parametrize(
    ("shell", "file", "script"),
    [
        (
            "bash",
            "usr/share/bash-completion/completions/smtpapi",
            'source "$0"; COMP_WORDS=(smtpapi che); COMP_CWORD=1; _smtpapi_completion smtpapi; '
            'echo "${COMPREPLY[@]}"',
        ),
        (
            "zsh",
            "usr/share/zsh/vendor-completions/_smtpapi",
            'compdef() { :; }; compadd() { :; }; _describe() { print -l "${(@P)3}"; }; '
            'words=(smtpapi che); CURRENT=2; source "$0"; _smtpapi_completion',
        ),
        (
            "fish",
            "usr/share/fish/vendor_completions.d/smtpapi.fish",
            "source $argv[1]; complete -C 'smtpapi che'",
        ),
    ],
)
def test_shells_complete_commands(made: Made, tmp_path: Path, shell: str, file: str, script: str) -> None:
    program = shutil.which(shell)
    assert program is not None, f"{shell} is not installed: .ci/system test"
    path = unpacked(made.package, tmp_path / "u") / file
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)
    }  # fmt: skip
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": []}[shell]
    command = [program, *options, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "check-config" in done.stdout, done.stdout + done.stderr


def test_wheels_of_others_are_those_that_the_programs_need() -> None:
    """A requirement that setup.cfg or requirements.lock gains or raises is in the packages, too."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import lock; print(*lock.needed())"
    needed = subprocess.run(
        [sys.executable, "-c", script, ROOT / "packaging"], capture_output=True, text=True, check=True
    ).stdout.split()
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split())
    versions = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in locked.items()}
    files = [ROOT / "packaging" / name for name in ("wheels.lock", "build.lock")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    pinned = dict(line.partition(" ")[0].split("==") for line in lines if not line.startswith("#"))
    there = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    for name in ("pip", "setuptools", "wheel"):  # what installs and builds
        del there[name]
    assert there == {name: versions[name] for name in needed}, "run `python packaging/lock.py`"
