"""What every site of a real MTA has: the mail that goes in, the client that hands it in, the listeners."""

import os
import shutil
import smtplib
from collections.abc import Mapping, Sequence

import pytest

DOMAIN = "track.example.test"
HTML = b'<html><body><p>See <a href="https://shop.example/a?b=1&amp;c=2">this</a>.</p></body></html>\r\n'


def html_mail(html: bytes = HTML, *, labels: bool = True, **fields: str) -> bytes:
    """An HTML mail. labels: whether it has a Date and a Message-ID. fields: X_Name for X-Name, at the end."""
    head = [
        b"From: sender@sender.test",
        b"To: someone@rcpt.test",
        b"Subject: Hello",
        *((b"Date: Tue, 24 Nov 2026 10:00:00 +0000", b"Message-ID: <1@sender.test>") if labels else ()),
        b"MIME-Version: 1.0",
        b"Content-Type: text/html; charset=utf-8",
        *(f"{name.replace('_', '-')}: {value}".encode() for name, value in fields.items()),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + html


def hand_in(
    port: int,
    sender: str,
    recipients: Sequence[str],
    message: bytes,
    *,
    mail: Sequence[str] = (),
    rcpt: Sequence[str] = (),
) -> bytes:
    """Send a message to every recipient or to none; gives the server's last line. Raises smtplib's errors.

    mail, rcpt: ESMTP parameters; {} stands for the recipient.
    """
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.ehlo("client.test")
        smtp.command_encoding = "utf-8"
        _expect(*smtp.mail(sender, mail))
        for recipient in recipients:
            _expect(*smtp.rcpt(recipient, [each.format(recipient) for each in rcpt]))
        code, answer = smtp.data(message)
        if code != 250:
            raise smtplib.SMTPDataError(code, answer)
        return answer


def _expect(code: int, answer: bytes) -> None:
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, answer)


def four_listeners(ports: Mapping[str, int]) -> str:
    """Stanzas of the filter for the ports on, off, untrusted and context."""
    return f"""
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


def need_postfix() -> None:
    """Fail the test where no Postfix can be started."""
    if os.geteuid() != 0 or shutil.which("postfix", path="/usr/sbin") is None:
        pytest.fail("a real Postfix is needed, and root to start it: run `make test` as root")
