"""README's quick start on Ubuntu and on later releases of Debian: another Python, systemd and Postfix.

SMTPAPI_PACKAGES names a folder that `make packages` filled, where those files are to be tested instead.
"""

import os
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
    ("folder", "release", "package", "ending"),
    [
        pytest.param("debian13", "trixie", "debian13", "deb13", id="Debian 13"),
        # Debian's next release has the Python of Ubuntu 26.04, and so its package.
        pytest.param("debian14", "forky", "ubuntu26.04", "ubuntu26.04", id="Debian 14 to be"),
        pytest.param("ubuntu24.04", "noble", "ubuntu24.04", "ubuntu24.04", id="Ubuntu 24.04"),
        pytest.param("ubuntu26.04", "resolute", "ubuntu26.04", "ubuntu26.04", id="Ubuntu 26.04"),
    ],
)
def test_quick_start_click_reboot_and_removal(
    folder: str, release: str, package: str, ending: str, tmp_path: Path
) -> None:
    """It needs the CPython of that release with headers here: of pyenv, on PATH or by .ci/python3.14."""
    base = ROOT / ".test" / folder
    if not base.is_dir():
        subprocess.run([MACHINE, "make", base, release], check=True, timeout=900)
    dist = Path(os.environ.get("SMTPAPI_PACKAGES") or tmp_path / "dist")
    if not any(dist.glob(f"*+{ending}_*.deb")):
        program = str(ROOT / "packaging/make_packages.py")
        make = [sys.executable, program, package, "--out", str(dist)]
        done = subprocess.run(make, capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
    with Machine(tmp_path / "machine", base) as machine:
        (made,) = dist.glob(f"*+{ending}_*.deb")
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
        request = (
            f"curl -s --cacert {CERTIFICATE} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' '{link}'"
        )
        assert machine.run(request).startswith("302 https://lighthouse.example/")
        machine.until("smtpapi events --type click", lambda shown: "you@example.com" in shown)
        exposure = machine.run(f"for each in {UNITS}; do systemd-analyze security $each | tail -n 1; done")
        found = [float(each) for each in re.findall(r"exposure level for .*: ([0-9.]+) ", exposure)]
        assert len(found) == len(UNITS.split())
        assert max(found) <= 2.0, exposure
        machine.run("apt-get remove -y smtpapi")
        assert "smtpapi" not in machine.run("postconf -h smtpd_milters non_smtpd_milters")
        machine.run("ls /etc/smtpapi/keys /var/lib/smtpapi/store/events.db")
        about = ". /etc/os-release; echo $PRETTY_NAME; postconf mail_version; systemctl --version | head -n 1"
        print(machine.run(about), exposure)
