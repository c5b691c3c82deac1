"""One private Postfix with one filter, for all tests that need a real MTA."""

import os
import shutil
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from mta_site import DOMAIN, Filter, free_port

from demo.postfix import PrivatePostfix, Smtpd

_POLICY = '''
"""Sets what the sender asks for in X-Test-Policy, so that a test can turn policy on for one message."""
from smtpapi.policy import core

def validate_data_spool(msg, ac, vctx):
    for value in msg.header("X-Test-Policy"):
        for word in value.split():
            name, _, text = word.partition("=")
            vctx.set(core.VCTX_MESS, name, text)
'''


@dataclass
class Mta:
    """The running pair. ports: by what they are for."""

    postfix: PrivatePostfix
    filter: Filter
    ports: dict[str, int]

    def send(self, port: str, recipients: list[str], message: bytes, sender: str = "a@sender.test") -> None:
        with smtplib.SMTP("127.0.0.1", self.ports[port], timeout=30) as smtp:
            smtp.sendmail(sender, recipients, message)

    def delivered(self, recipient: str, seconds: float = 15.0) -> bytes:
        """The octets that follow Postfix's own delivery lines, CRLF, of the mail to this recipient."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for file in self.postfix.delivered():
                lines = file.read_bytes()
                if f"X-Original-To: {recipient}\n".encode() in lines:
                    return lines.replace(b"\n", b"\r\n")
            time.sleep(0.03)
        raise AssertionError(f"nothing came for {recipient}: {self.postfix.last_lines(10)}")


@pytest.fixture(scope="session")
def mta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mta]:
    if os.geteuid() != 0 or shutil.which("postfix", path="/usr/sbin") is None:
        pytest.fail("a real Postfix is needed, and root to start it: run `make test` as root")
    folder = tmp_path_factory.mktemp("mta")
    folder.chmod(0o755)
    for parent in list(folder.parents)[:3]:
        parent.chmod(0o755)  # pytest makes them for the user alone; Postfix delivers as another
    names = ("on", "off", "untrusted", "down", "accept-down", "manual", "context")
    ports = {name: free_port() for name in names}
    milters = "unix:milter/milter.sock"
    smtpds = [
        Smtpd(ports[name], {"smtpd_milters": milters}) for name in ("on", "off", "untrusted", "context")
    ]
    smtpds.append(Smtpd(ports["down"], {"smtpd_milters": "unix:milter/nobody.sock"}))
    smtpds.append(
        Smtpd(ports["accept-down"], {"smtpd_milters": "{ unix:milter/nobody.sock, default_action=accept }"})
    )
    postfix = PrivatePostfix(folder / "postfix", smtpds, maildir=folder / "maildir")
    (folder / "policy.py").write_text(_POLICY)
    listener = f"""
policy {{ file = "{folder}/policy.py" }}
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}"
  Listen ":{ports["on"]}" {{ click_tracking_enabled = true open_tracking_enabled = true }}
  Listen ":{ports["off"]}" {{ click_tracking_enabled = false open_tracking_enabled = false }}
  Listen ":{ports["untrusted"]}" {{
    Relay_Hosts = ( "192.0.2.0/24" ) click_tracking_enabled = true open_tracking_enabled = true
  }}
  Listen ":{ports["context"]}" {{
    SMTP_Extensions = (XSETCONTEXT) click_tracking_enabled = true open_tracking_enabled = true
  }}
}}
"""
    with postfix:
        site = Filter(folder / "filter", listener, workers=2, socket_path=postfix.milter_socket)
        with site:
            yield Mta(postfix, site, ports)
