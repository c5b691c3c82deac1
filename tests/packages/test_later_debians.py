"""README's quick start on later releases of Debian, which have another Python, systemd and Postfix."""

import re
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

from packages.machines import CERTBOT, CERTIFICATE, MACHINE, ROOT, SERVER, Machine, quick_start

UNITS = "smtpapi-tracker smtpapi-milter smtpapi-shipper smtpapi-web"


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("folder", "release", "package"),
    [
        pytest.param("debian13", "trixie", "debian13", id="Debian 13, Python 3.13"),
        # Debian's next release has the Python of Ubuntu 26.04, and so its package.
        pytest.param("debian14", "forky", "ubuntu26.04", id="Debian 14 to be, Python 3.14"),
    ],
)
def test_quick_start_click_and_reboot(folder: str, release: str, package: str, tmp_path: Path) -> None:
    """It needs the CPython of that release with headers here: of pyenv, on PATH or by .ci/python3.14."""
    base = ROOT / ".test" / folder
    if not base.is_dir():
        subprocess.run([MACHINE, "make", base, release], check=True, timeout=900)
    program = str(ROOT / "packaging/make_packages.py")
    make = [sys.executable, program, package, "--out", str(tmp_path / "dist")]
    done = subprocess.run(make, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    with Machine(tmp_path / "machine", base) as machine:
        (made,) = (tmp_path / "dist").glob("*.deb")
        copy(made, machine.root / "root")
        machine.start()
        machine.run(f"{SERVER}\ncd /root\n{CERTBOT}\n{quick_start()}")
        delivered = machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        machine.until("smtpapi events --type injection", lambda shown: "you@example.com" in shown)
        machine.run("systemctl reload smtpapi.target")
        machine.stop()
        machine.start()
        machine.run(f"systemctl is-active {UNITS}")
        link, *_ = re.findall(r"https://track\.example\.com/f/a/[\w/-]+", delivered.replace("=\n", ""))
        asked = f"curl -s --cacert {CERTIFICATE} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' '{link}'"
        assert machine.run(asked).startswith("302 https://lighthouse.example/")
        machine.until("smtpapi events --type click", lambda shown: "you@example.com" in shown)
        print(machine.run("cat /etc/debian_version; /usr/lib/smtpapi/current/bin/python --version"))
