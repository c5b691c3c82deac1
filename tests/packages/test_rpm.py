"""The .rpm, as rpm itself reads it. No Red Hat can be had here: its scripts are parsed and not run."""

import subprocess
import sys
from pathlib import Path

import pytest

from packages.machines import ROOT
from packages.made import Made


@pytest.fixture(scope="module")
def package(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .rpm of the wheels for Python 3.11, which Red Hat 9 has as a package."""
    folder = tmp_path_factory.mktemp("rpm")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/packages/make_later.py", made.package, folder, "el9"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


def rpm(package: Path, *words: str) -> str:
    return subprocess.run(["rpm", *words, package], capture_output=True, text=True, check=True).stdout


def test_rpm_reads_it_and_its_digests_hold(package: Path) -> None:
    assert "digests OK" in rpm(package, "-K", "--nosignature")
    assert rpm(package, "-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE}") == (
        "smtpapi 0.1.1 1.el9 GPL-3.0-or-later"
    )
    assert "python3.11" in rpm(package, "-qpR").split("\n")


def test_configuration_is_kept_and_all_is_roots(package: Path) -> None:
    assert rpm(package, "-qpc").split() == [
        "/etc/smtpapi/conf.d/10-tracking.conf", "/etc/smtpapi/smtpapi.conf"
    ]  # fmt: skip
    owners = rpm(package, "-qp", "--qf", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]").split()
    assert set(owners) == {"root:root"}
    flags = rpm(package, "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]").splitlines()
    assert "/etc/smtpapi/smtpapi.conf cn" in flags  # a configuration file, not replaced


def test_scripts_are_scripts(package: Path) -> None:
    for name in ("POSTIN", "PREUN", "POSTUN"):
        text = rpm(package, "-qp", "--qf", f"%{{{name}}}")
        assert text != "(none)"
        done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name
