"""An upgrade and a downgrade while mail and clicks come in without a pause: nothing is lost or noticed."""

import json
import re
import time
from pathlib import Path
from shutil import copy

import pytest

from packages.machines import CERTBOT, CERTIFICATE, SERVER, Machine, quick_start
from packages.made import Made

_AROUND = 3.0  # seconds of load before and after


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(900)
def test_nobody_notices_an_upgrade_or_a_downgrade(made: Made, tmp_path: Path) -> None:
    with Machine(tmp_path / "machine") as machine:
        copy(made.package, machine.root / "root")
        copy(made.later, machine.root / "root" / "later.deb")
        copy(Path(__file__).with_name("load.py"), machine.root / "root")
        machine.start()
        machine.run(f"{SERVER}\ncd /root\n{CERTBOT}\n{quick_start()}")
        delivered = machine.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        links = re.findall(r"https://track\.example\.com(/f/a/[\w/-]+)", delivered.replace("=\n", ""))

        clicks = accepted = 0
        for package in ("later.deb", made.package.name):
            counted = under_load(machine, links, f"apt-get install -y --allow-downgrades /root/{package}")
            print(package, counted)
            assert set(counted["clicks"]) == {"302"}
            assert set(counted["mail"]) == {"accepted"}
            clicks += counted["clicks"]["302"]
            accepted += counted["mail"]["accepted"]

        def counts(text: str) -> tuple[int, int]:
            found = json.loads(text)
            return found["count_injected"], found["x_count_recorded_clicked"]

        expected = (accepted + 1, clicks)  # one more by the quick start
        machine.until("smtpapi stats --json", lambda text: counts(text) == expected)


def under_load(machine: Machine, links: list[str], script: str) -> dict[str, dict[str, int]]:
    """Run a script in a machine under load; return what the load counted."""
    load = machine.process("python3", "/root/load.py", CERTIFICATE, *links[:2])
    assert load.stdin is not None
    assert load.stdout is not None
    assert load.stdout.readline() == "running\n"
    time.sleep(_AROUND)
    machine.run(script)
    time.sleep(_AROUND)
    printed, _ = load.communicate(timeout=120)
    counted = json.loads(printed)
    assert isinstance(counted, dict)
    return counted
