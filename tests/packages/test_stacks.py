"""What docs/stacks/ says of rspamd, amavis, several Postfix instances and services with milters of their own.

Each on a booted Debian 12 with the package, by README's quick start and the commands of the page, with mail
through it. No network is there, so rspamd and amavis do what they do without it.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from packages.machines import BASE, CERTBOT, ROOT, SERVER, Machine, quick_start
from packages.made import Made
from shell_blocks import script

pytestmark = [pytest.mark.long, pytest.mark.mta, pytest.mark.timeout(900)]
_DEBS = ROOT / ".test/stacks"
_PACKAGES = ("rspamd", "amavisd-new")
NEWS = "--from news@example.com /root/news.eml"  # of the domain that the signers sign for
AMAVIS = "docs/stacks/amavis.md"
FILTERED = "postconf -e 'content_filter"  # its first block
SCANNED = "(amavis, port 10024)"
# Who may take mail here, and where it ends: a mailbox each.
MAILBOXES = """
useradd -m ada; useradd -m ben
printf '%s@example.com %s\\n' you root ada ada ben ben >/etc/postfix/people
postmap /etc/postfix/people && postconf -e virtual_alias_maps=hash:/etc/postfix/people
postfix reload
"""


def debs() -> Path:
    """The packages, with all that the bare Debian lacks for them; fetched once."""
    if not (_DEBS / "done").exists():
        (_DEBS / "partial").mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "-y", "-qq", "--download-only", "--no-install-recommends",
             "-o", f"Dir::State::status={BASE}/var/lib/dpkg/status", "-o", f"Dir::Cache::archives={_DEBS}",
             "-o", "APT::Sandbox::User=root", "install", *_PACKAGES],
            check=True, timeout=400,
        )  # fmt: skip
        (_DEBS / "done").touch()
    return _DEBS


@pytest.fixture
def machine(made: Made, tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path / "machine") as found:
        copy(made.package, found.root / "root")
        (found.root / "debs").mkdir()
        for deb in debs().glob("*.deb"):
            copy(deb, found.root / "debs")
        found.start()
        found.run(f"{SERVER}\n{MAILBOXES}\ncd /root\n{CERTBOT}\n{quick_start()}")
        found.until("cat /var/mail/root", lambda text: "X-Smtpapi-Id" in text)
        found.run(
            "sed '1s/lighthouse.example/example.com/' /usr/share/smtpapi/newsletter.eml >/root/news.eml"
        )
        yield found


def install(machine: Machine, name: str) -> None:
    """Install one of the packages, with what it needs, from the folder of files."""
    machine.run(
        "cd /debs && apt-get -y -qq --no-install-recommends install "
        f"$(ls -d /debs/*.deb | grep -v '/rspamd_\\|/amavisd-new_') /debs/{name}_*.deb"
    )


def delivered(machine: Machine, user: str) -> str:
    """The one message of a mailbox."""
    text = machine.until(f"cat /var/mail/{user}", lambda found: "\nTo: " in found)
    assert text.count("\nFrom: ") == 1, text
    return text


def links(message: str) -> set[str]:
    return set(re.findall(r"https://track\.example\.com/f/a/[\w/-]+", message.replace("=\n", "")))


VERIFY = """
import sys, dkim
key = open('/var/lib/rspamd/dkim/example.com.txt').read()
import re
record = ''.join(re.findall(r'"([^"]*)"', key)).encode()
message = open(sys.argv[1], 'rb').read().partition(b'\\n')[2]
print(dkim.verify(message, dnsfunc=lambda name, timeout=5: record))
"""


def test_rspamd_signs_what_the_filter_made(machine: Machine) -> None:
    """docs/stacks/rspamd.md: it is a milter behind the filter, and signs the final octets."""
    install(machine, "rspamd")
    machine.run(
        "smtpapi setup postfix --undo\n" + script("docs/stacks/rspamd.md", "mkdir -p /var/lib/rspamd")
    )
    machine.until("ss -ltn", lambda text: ":11332 " in text, 240)  # it compiles its lists
    machine.run(script("docs/stacks/rspamd.md", "smtpapi setup postfix"))
    order = machine.run("postconf -h smtpd_milters")
    assert order.index("smtpapi_milter") < order.index("11332"), order
    machine.run(f"smtpapi send --server 127.0.0.1:25 --to ada@example.com {NEWS}")
    message = delivered(machine, "ada")
    assert links(message)
    assert "\nDKIM-Signature: " in message
    (machine.root / "root/verify.py").write_text(VERIFY)
    output = machine.run("/usr/lib/smtpapi/current/bin/python /root/verify.py /var/mail/ada")
    assert output == "True\n"
    print("rspamd", machine.run("rspamd --version").splitlines()[0], "signature holds:", output.strip())


def amavis(machine: Machine) -> None:
    install(machine, "amavisd-new")
    machine.run(
        "sed -i 's/^use strict;/&\\n$myhostname = \"mail.example.test\";/' /etc/amavis/conf.d/50-user"
    )
    machine.run("systemctl restart amavis")
    machine.until("ss -ltn", lambda text: ":10024 " in text, 120)


@pytest.mark.parametrize("place", ["before", "behind", "both"])
def test_amavis_scans_and_mail_is_tracked_once(machine: Machine, place: str) -> None:
    """docs/stacks/amavis.md: the filter before the content filter, behind it, or on both sides."""
    amavis(machine)
    before = script(AMAVIS, "smtpapi setup postfix --apply")
    behind = script(AMAVIS, "smtpapi setup postfix --apply\npostconf -e smtpd_milters=")
    machine.run(script(AMAVIS, FILTERED))
    for commands in {"before": [before], "behind": [behind], "both": [behind, before]}[place]:
        machine.run(commands)
    assert ("smtpapi" in machine.run("postconf -h smtpd_milters")) == (place != "behind")
    machine.run(f"smtpapi send --server 127.0.0.1:25 --to ada@example.com {NEWS}")
    message = delivered(machine, "ada")
    assert SCANNED in message
    assert links(message)
    assert message.count("\nX-Smtpapi-Id: ") == 1
    machine.until(
        "smtpapi stats --json", lambda text: '"count_injected": 2' in text
    )  # one by the quick start


def test_amavis_with_a_copy_for_each_recipient(machine: Machine) -> None:
    amavis(machine)
    machine.run(script(AMAVIS, FILTERED))
    machine.run(script(AMAVIS, "echo 'rewriting"))
    machine.run(f"smtpapi send --server 127.0.0.1:25 --to ada@example.com --to ben@example.com {NEWS}")
    ada, ben = delivered(machine, "ada"), delivered(machine, "ben")
    assert SCANNED in ada
    assert SCANNED in ben
    assert links(ada)
    assert links(ben)
    assert not links(ada) & links(ben)
    assert "X-Smtpapi-Split" not in ada + ben


def test_several_instances_share_a_filter(machine: Machine) -> None:
    """docs/stacks/instances.md: a chrooted smtpd sees the socket where its folder is mounted, too."""
    machine.run(script("docs/stacks/instances.md", "postmulti -e init"))
    status, output = machine.tried("smtpapi setup postfix --postfix /etc/postfix-out --apply")
    assert status == 1
    assert "chroot" in output
    machine.run(script("docs/stacks/instances.md", "mkdir -p"))
    machine.until("ss -ltn", lambda text: ":2526 " in text)
    machine.run(f"smtpapi send --server 127.0.0.1:2526 --to ada@example.com {NEWS}")
    machine.run(f"smtpapi send --server 127.0.0.1:25 --to ben@example.com {NEWS}")
    assert links(delivered(machine, "ada"))
    assert "(Postfix" in delivered(machine, "ada")
    assert links(delivered(machine, "ben"))


SIGNER = """
cd /root && openssl genrsa -out mail.private 2048 2>/dev/null
cat >dkim.conf <<END
Mode s
Domain example.com
Selector mail
KeyFile /root/mail.private
Socket inet:8899@127.0.0.1
UserID root
RequireSafeKeys no
END
opendkim -x /root/dkim.conf
"""


def test_services_with_milters_of_their_own_and_mail_of_sendmail(machine: Machine) -> None:
    """docs/stacks/services.md: setup puts the filter before each service's signer; an empty list stays."""
    machine.run(f"smtpapi setup postfix --undo\n{SIGNER}")
    machine.run(script("docs/stacks/services.md", "postconf -M 'submission"))
    own = machine.run("postconf -Ph submission/inet/smtpd_milters").strip()
    assert own.index("smtpapi_milter") < own.index("8899"), own
    assert machine.run("postconf -Ph smtps/inet/smtpd_milters").strip() == ""
    machine.run(f"smtpapi send --server 127.0.0.1:587 --to ada@example.com {NEWS}")
    message = delivered(machine, "ada")
    assert links(message)
    assert "\nDKIM-Signature: " in message
    machine.run("sendmail -f news@example.com ben@example.com </root/news.eml")
    assert links(delivered(machine, "ben"))
