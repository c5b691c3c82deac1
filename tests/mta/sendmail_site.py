"""A real Sendmail with the filter before a sink, for the tests of both ways a mail can go through it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mta.mta_site import SMTPAPI, Filter, free_port, until
from mta.site_parts import four_listeners, hand_in
from mta.smtp_sink import Sink
from private_mta.sendmail import PrivateSendmail

READDRESS = 'several_recipients = "readdress" split_listener = "127.0.0.1:{split}"'


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
        return hand_in(self.sendmail.ports[port], sender, recipients, message, mail=mail, rcpt=rcpt)

    def idle(self, seconds: float = 20.0) -> None:
        """Wait until nothing is in the queue."""
        until(lambda: self.sendmail.waiting() == 0, seconds, f"the queue: {self.sendmail.queued()}")


@contextlib.contextmanager
def running(
    folder: Path,
    rewriting: str = "",
    more: str = "",
    *,
    features: str = "",
    filter_more: str = "",
    queue_run: str = "1s",
    workers: int = 1,
    program: tuple[str, ...] = (str(SMTPAPI),),
) -> Iterator[Site]:
    """Sendmail, filter and sink. rewriting: options of that stanza, {split} stands for the second port.

    features, more: lines of mc before the mailers and after all others. filter_more: configuration of the
    filter.
    """
    ports = {name: free_port() for name in ("on", "off", "untrusted", "context")}
    split, last = free_port(), free_port()
    listener = four_listeners(ports)
    stanza = f"rewriting {{ {rewriting.replace('{split}', str(split))} }}"
    site = Filter(
        folder / "filter", listener, workers=workers, more=f"{stanza}\n{filter_more}", program=program
    )
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
