"""docs/sendmail.md on a booted Debian: Postfix goes, Sendmail comes, and each of two recipients has links."""

import re
import subprocess
from pathlib import Path
from shutil import copy

import pytest

from packages.machines import BASE, ROOT, Machine
from packages.made import Made
from shell_blocks import script

_DEBS = ROOT / ".test/sendmail-debs"
PAGE = "docs/sendmail.md"
# Files that were fetched before stand in for Debian's servers.
APT = """
apt-get() {
    case "$*" in
    *sendmail*) command apt-get -y -qq --no-install-recommends install /debs/*.deb ;;
    *) command apt-get -y -qq "$@" ;;
    esac
}
"""
MAILBOXES = """
useradd -m me; useradd -m you
printf 'example.com\\nexample.net\\n' >>/etc/mail/local-host-names
"""

LENIENT = """\
define(`confREFUSE_LA', `0')dnl
define(`confQUEUE_LA', `0')dnl
FEATURE(`accept_unresolvable_domains')dnl
"""


def debs() -> Path:
    """The packages of Sendmail, with all that the bare Debian lacks for them; fetched once."""
    if not (_DEBS / "done").exists():
        (_DEBS / "partial").mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "-y", "-qq", "--download-only", "--no-install-recommends",
             "-o", f"Dir::State::status={BASE}/var/lib/dpkg/status", "-o", f"Dir::Cache::archives={_DEBS}",
             "-o", "APT::Sandbox::User=root", "install", "sendmail", "sendmail-cf", "m4"],
            check=True, timeout=400,
        )  # fmt: skip
        (_DEBS / "done").touch()
    return _DEBS


@pytest.mark.long
@pytest.mark.mta
@pytest.mark.timeout(900)
def test_the_page_ends_in_tracked_mail(made: Made, tmp_path: Path) -> None:
    page = (ROOT / PAGE).read_text("utf-8")
    configuration = re.findall(r"(?s)```ecelerity\n(.*?)```", page)[0]
    include = re.findall(r"(?s)```text\n(include.*?)```", page)[0]
    with Machine(tmp_path / "machine") as machine:
        copy(made.package, machine.root / "root")
        (machine.root / "debs").mkdir()
        for deb in debs().glob("*.deb"):
            copy(deb, machine.root / "debs")
        machine.start()
        machine.run("hostname mail.example.test; echo 127.0.0.1 mail.example.test >>/etc/hosts")
        machine.run(f"cd /root\n{APT}{script(PAGE, 'apt-get install sendmail')}{MAILBOXES}")
        (machine.root / "etc/smtpapi/conf.d/20-sendmail.conf").write_text(configuration)
        with (machine.root / "etc/mail/sendmail.mc").open("a") as file:
            # On a machine under load, and without a name server.
            file.write(include + LENIENT)
        machine.run("sed -i 's/= false/= true/' /etc/smtpapi/conf.d/10-tracking.conf")
        machine.run(script(PAGE, "smtpapi check-config"))
        machine.until("ss -ltn; journalctl -n 20 -u sendmail", lambda shown: ":25 " in shown)
        machine.run(script(PAGE, "printf"))
        found = [
            set(re.findall(r"https://track\.example\.com/f/a/[\w/-]+", text.replace("=\n", "")))
            for text in (
                machine.until(f"cat /var/mail/{user}", lambda text: "X-Smtpapi-Id" in text)
                for user in ("me", "you")
            )
        ]
        assert all(found)
        assert not found[0] & found[1]
        log = machine.run("journalctl -u smtpapi-milter -o cat")
        assert log.count("status=tracked") == 2
        assert "status=split, note=2 copies" in log
