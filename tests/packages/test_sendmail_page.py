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
# The server that mail for others goes to next: it keeps each mail in a file named for its recipient.
NEXT_SERVER = """
import pathlib, socketserver
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 next.example.test\\r\\n")
        recipient = ""
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = line.partition(b"<")[2].partition(b"@")[0].decode()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\\r\\n")
                text = b"".join(iter(self.rfile.readline, b".\\r\\n"))
                pathlib.Path("/root/mail", recipient).write_bytes(text)
            self.wfile.write(b"221 bye\\r\\n" if verb == b"QUIT" else b"250 next.example.test\\r\\n")
            if verb == b"QUIT":
                return
pathlib.Path("/root/mail").mkdir()
socketserver.ThreadingTCPServer(("127.0.0.1", 2525), Session).serve_forever()
"""
# A site whose mail goes out by that server, on a machine under load and without a name server.
SITE = """\
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h 2525')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
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
        machine.run("echo 192.0.2.1 example.com example.net >>/etc/hosts")  # Sendmail looks them up
        machine.run(f"cd /root\n{APT}{script(PAGE, 'apt-get install sendmail')}")
        (machine.root / "etc/smtpapi/conf.d/20-sendmail.conf").write_text(configuration)
        mc = machine.root / "etc/mail/sendmail.mc"
        head, mailers, rest = mc.read_text().partition("MAILER_DEFINITIONS\n")
        assert mailers
        mc.write_text(head + SITE + mailers + rest + include)
        (machine.root / "root/next.py").write_text(NEXT_SERVER)
        machine.run("systemd-run --quiet python3 /root/next.py")
        machine.run("sed -i 's/= false/= true/' /etc/smtpapi/conf.d/10-tracking.conf")
        machine.run(script(PAGE, "smtpapi check-config"))
        machine.until("ss -ltn; journalctl -n 20 -u sendmail", lambda shown: ":25 " in shown)
        machine.run(script(PAGE, "printf"))
        found = [
            set(re.findall(r"https://track\.example\.com/f/a/[\w/-]+", text.replace("=\n", "")))
            for text in (
                machine.until(
                    f"cat /root/mail/{user} || journalctl -o cat | tail -n 40",
                    lambda text: "X-Smtpapi-Id" in text,
                )
                for user in ("me", "you")
            )
        ]
        assert all(found)
        assert not found[0] & found[1]
        log = machine.run("journalctl -u smtpapi-milter -o cat")
        assert log.count("status=tracked") == 2
        assert "status=split, note=2 copies" in log
