"""README's quick start on Debian 13, which has another Python, another systemd and another Postfix."""

import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

from packages.machines import CERTBOT, MACHINE, ROOT, SERVER, Machine, quick_start

_BASE = ROOT / ".test/debian13"


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(1200)
def test_quick_start_on_debian_13(tmp_path: Path) -> None:
    """It needs a CPython 3.13 with headers here, of pyenv or on PATH."""
    if not _BASE.is_dir():
        subprocess.run([MACHINE, "make", _BASE, "trixie"], check=True, timeout=900)
    program = str(ROOT / "packaging/make_packages.py")
    make = [sys.executable, program, "debian13", "--out", str(tmp_path / "dist")]
    done = subprocess.run(make, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    with Machine(tmp_path / "machine", _BASE) as machine:
        (package,) = (tmp_path / "dist").glob("*.deb")
        copy(package, machine.root / "root")
        machine.start()
        machine.run(f"{SERVER}\ncd /root\n{CERTBOT}\n{quick_start()}")
        machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        machine.until("smtpapi events --type injection", lambda shown: "you@example.com" in shown)
        machine.run("systemctl reload smtpapi.target")
        machine.run("systemctl is-active smtpapi-tracker smtpapi-milter smtpapi-shipper smtpapi-web")
