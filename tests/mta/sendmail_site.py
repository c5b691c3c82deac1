"""A real Sendmail with the filter before a sink, for the tests of both ways a mail can go through it."""

import contextlib
import smtplib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta_site import DOMAIN, SMTPAPI, Filter, free_port, until
from smtp_sink import Sink

from demo.sendmail import PrivateSendmail

READDRESS = 'several_recipients = "readdress" split_listener = "127.0.0.1:{split}"'
HTML = b'<html><body><p>See <a href="https://shop.example/a?b=1&amp;c=2">this</a>.</p></body></html>\r\n'


@dataclass
class Site:
    sendmail: PrivateSendmail
    filter: Filter
    sink: Sink

    def send(
        self,
        recipients: Sequence[str],
        message: bytes,
        *,
        sender: str = "a@sender.test",
        port: str = "on",
        mail: Sequence[str] = (),
        rcpt: Sequence[str] = (),
    ) -> bytes:
        """Hands a message in; gives the server's last line.

        mail, rcpt: ESMTP parameters; {} stands for the recipient.
        """
        with smtplib.SMTP("127.0.0.1", self.sendmail.ports[port], timeout=30) as smtp:
            smtp.ehlo("client.test")
            _expect(*smtp.mail(sender, mail))
            for recipient in recipients:
                _expect(*smtp.rcpt(recipient, [each.format(recipient) for each in rcpt]))
            return _expect(*smtp.data(message))

    def idle(self, seconds: float = 20.0) -> None:
        """Wait until nothing is in the queue."""
        until(lambda: self.sendmail.waiting() == 0, seconds, f"the queue: {self.sendmail.queued()}")


def _expect(code: int, answer: bytes) -> bytes:
    if code // 100 not in (2, 3):
        raise smtplib.SMTPResponseException(code, answer)
    return answer


@contextlib.contextmanager
def running(
    folder: Path,
    rewriting: str = "",
    more: str = "",
    *,
    features: str = "",
    queue_run: str = "1s",
    workers: int = 1,
    program: tuple[str, ...] = (str(SMTPAPI),),
) -> Iterator[Site]:
    """Sendmail, filter and sink. rewriting: options of that stanza, {split} stands for the second port.

    features, more: lines of mc before the mailers and after all others.
    """
    ports = {name: free_port() for name in ("on", "off", "untrusted", "context")}
    split, last = free_port(), free_port()
    listener = f"""
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
    stanza = f"rewriting {{ {rewriting.replace('{split}', str(split))} }}"
    site = Filter(folder / "filter", listener, workers=workers, more=stanza, program=program)
    sendmail = PrivateSendmail(
        folder / "sendmail",
        ports=ports,
        split_port=split,
        next_hop=last,
        milter=site.socket,
        features=features,
        more=more,
        queue_run=queue_run,
    )
    with site, Sink(last) as sink, sendmail:
        yield Site(sendmail, site, sink)


def mail(html: bytes = HTML, *, labels: bool = True, **fields: str) -> bytes:
    """An HTML mail. labels: whether it has a Date and a Message-ID."""
    head = [
        b"From: sender@sender.test",
        b"To: someone@rcpt.test",
        b"Subject: Hello",
        b"MIME-Version: 1.0",
        b"Content-Type: text/html; charset=utf-8",
    ]
    if labels:
        head += [b"Date: Tue, 24 Nov 2026 10:00:00 +0000", b"Message-ID: <1@sender.test>"]
    head += [f"{name.replace('_', '-')}: {value}".encode() for name, value in fields.items()]
    return b"\r\n".join(head) + b"\r\n\r\n" + html
