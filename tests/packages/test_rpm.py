"""The .rpm, as rpm itself reads it, and as it installs, upgrades and removes it on a booted system.

No Red Hat can be had here. That system is Debian 12, whose Python is that of Red Hat 9's package, and Ubuntu
24.04, whose Python is that of Red Hat 10's; what is not seen is SELinux, dnf's resolving of dependencies, and
Red Hat's presets, which enable nothing.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from packages.machines import BASE, CERTBOT, CERTIFICATE, MACHINE, ROOT, SERVER, Machine, quick_start
from packages.made import Made

UNITS = " ".join(f"smtpapi-{name}.service" for name in ("tracker", "milter", "shipper", "web"))


def make(deb: Path, folder: Path, system: str, version: str) -> Path:
    """An .rpm of the wheels of a .deb for the same Python: 3.11 for Red Hat 9, which has it as a package."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, ROOT / "tests/packages/make_later.py", deb, folder, system, version],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(made.package, tmp_path_factory.mktemp("rpm"), "el9", "0.1.1")


def ubuntu(folder: Path) -> tuple[Path, Path]:
    """The bare Ubuntu 24.04, and its .deb: of the folder SMTPAPI_PACKAGES, else made below this one."""
    base = ROOT / ".test/ubuntu24.04"
    if not base.is_dir():
        subprocess.run([MACHINE, "make", base, "noble"], check=True, timeout=900)
    dist = Path(os.environ.get("SMTPAPI_PACKAGES") or folder / "dist")
    if not any(dist.glob("*+ubuntu24.04_*.deb")):
        program = ROOT / "packaging/make_packages.py"
        done = subprocess.run(
            [sys.executable, program, "ubuntu24.04", "--out", dist],
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    (deb,) = dist.glob("*+ubuntu24.04_*.deb")
    return base, deb


def rpm(package: Path, *arguments: str) -> str:
    return subprocess.run(["rpm", *arguments, package], capture_output=True, text=True, check=True).stdout


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


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("system", ["el9", "el10"])
def test_it_is_installed_upgraded_and_removed_by_rpm(made: Made, system: str, tmp_path: Path) -> None:
    """Its scripts run; files, modes and owners are then as rpm has them written down."""
    base, deb = (BASE, made.package) if system == "el9" else ubuntu(tmp_path)
    first, second = (make(deb, tmp_path / each, system, each) for each in ("0.1.0", "0.1.1"))
    with Machine(tmp_path / "machine", base) as machine:
        machine.start()
        machine.run(SERVER)
        machine.rpm("-i", "--nodeps", first)  # what it needs is there, and comes from no rpm
        assert machine.rpm("-V", "--nodeps", "smtpapi") == ""
        machine.run("stat -c '%U %G %a' /etc/smtpapi/keys | grep -x 'root smtpapi-keys 640'")
        machine.run(f"systemctl enable --quiet --now smtpapi.target {UNITS}")
        machine.run(f"apt-get() {{ true; }}\n{CERTBOT}\n{quick_start()}")  # rpm has installed it
        delivered = machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        link, *_ = re.findall(r"https://track\.example\.com/f/a/[\w/-]+", delivered.replace("=\n", ""))

        def clicked() -> str:
            return machine.run(f"curl -s --cacert {CERTIFICATE} -o /dev/null -w '%{{redirect_url}}' '{link}'")

        assert clicked().startswith("https://lighthouse.example/")
        changed = machine.run("cat /etc/smtpapi/conf.d/10-tracking.conf")
        before = machine.run("readlink /usr/lib/smtpapi/current")

        machine.rpm("-U", "--nodeps", second)
        assert machine.rpm("-q", "smtpapi").strip() == f"smtpapi-0.1.1-1.{system}.x86_64"
        machine.run(f"systemctl is-active {UNITS}")
        assert machine.run("readlink /usr/lib/smtpapi/current") != before
        assert machine.run("cat /etc/smtpapi/conf.d/10-tracking.conf") == changed
        assert clicked().startswith("https://lighthouse.example/")

        machine.rpm("-e", "smtpapi")
        assert machine.run("postconf -h smtpd_milters non_smtpd_milters").split() == []
        assert machine.tried(f"systemctl is-active {UNITS}")[0] != 0
        preserved = (
            "/etc/smtpapi/keys /etc/smtpapi/conf.d/10-tracking.conf.rpmsave /var/lib/smtpapi/store/events.db"
        )
        machine.run(f"ls {preserved}")
        assert machine.tried("ls /usr/lib/smtpapi/current /usr/bin/smtpapi")[0] != 0
