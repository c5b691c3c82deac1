"""A real Postfix with the shipped hop, the filter, and a sink behind it that shows envelopes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engagement.links.model import Opened
from mta.mta_site import DOMAIN, Filter, free_port, open_folders, until
from mta.site_parts import hand_in, need_postfix
from mta.smtp_sink import Delivery, Sink
from private_mta.postfix import PrivatePostfix, Smtpd

FILTER = "{ unix:milter/milter.sock, content_timeout=20s, default_action=tempfail }"


@dataclass
class HopSite:
    """ports: in, untrusted, hop (the second pass). Mail for a.sink.test and the like goes to the sink."""

    postfix: PrivatePostfix
    filter: Filter
    sink: Sink
    ports: Mapping[str, int]
    added: str = "own"  # the filter's added_recipients

    def send(
        self,
        recipients: Sequence[str],
        mail: bytes,
        *,
        sender: str = "a@sender.test",
        port: str = "in",
        options: Sequence[str] = (),
        rcpt: Sequence[str] = (),
    ) -> None:
        """Raises smtplib's errors. rcpt: ESMTP parameters, {} stands for the recipient."""
        hand_in(self.ports[port], sender, recipients, mail, mail=options, rcpt=rcpt)

    def idle(self) -> None:
        until(lambda: self.postfix.queued() == 0, 30, "an empty queue")

    def copies(self, recipients: Sequence[str]) -> dict[str, Delivery]:
        """What the sink got for each of them: one transaction of their own, no more."""
        found = {recipient: self.sink.wait_for(recipient) for recipient in recipients}
        self.idle()
        for recipient in recipients:
            assert [each.recipients for each in self.sink.all_for(recipient)] == [(recipient,)]
        return found

    def local(self, recipient: str) -> list[bytes]:
        """What the Maildir has for one recipient, with CRLF."""
        self.idle()
        files = (file.read_bytes() for file in self.postfix.delivered())
        line = f"X-Original-To: {recipient}\n".encode()
        return [raw.replace(b"\n", b"\r\n") for raw in files if line in raw]

    def owner(self, delivered: bytes) -> str:
        """Whose links all links and pixels of a copy are."""
        (owner,) = {one.identity.recipient for one in self.links(delivered)}
        return owner

    def links(self, delivered: bytes) -> list[Opened]:
        found = self.filter.links(delivered)
        assert len(found) == 2, delivered  # a click and a pixel
        assert found[0].link is not None
        assert found[0].link.target == b"https://shop.example/a?b=1&c=2"
        return found


@contextmanager
def running(
    folder: Path,
    *,
    options: Mapping[str, str] | None = None,
    services: str = "",
    milters: str = FILTER,
    more: str = "",
    workers: int = 2,
) -> Iterator[HopSite]:
    """milters: of both passes. more: configuration of the filter. services: lines of master.cf."""
    need_postfix()
    folder.mkdir(parents=True, exist_ok=True)
    open_folders(folder)
    ports = {name: free_port() for name in ("in", "untrusted", "hop", "sink")}
    postfix = PrivatePostfix(
        folder / "postfix",
        [Smtpd(ports[name], {"smtpd_milters": milters}) for name in ("in", "untrusted")],
        maildir=folder / "maildir",
        options={
            "transport_maps": f"inline:{{ {{ sink.test = smtp:[127.0.0.1]:{ports['sink']} }} }}",
            "parent_domain_matches_subdomains": "transport_maps",
            "virtual_mailbox_domains": "rcpt.test",
            "non_smtpd_milters": FILTER,
            "smtpapi_hop_milters": milters,
            "queue_run_delay": "1s",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "1s",
            **(options or {}),
        },
        hop_port=ports["hop"],
    )
    postfix.more_services = services
    listener = f"""
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  Listen ":{ports["in"]}" {{ }} Listen ":{ports["hop"]}" {{ }}
  Listen ":{ports["untrusted"]}" {{ Relay_Hosts = ( "192.0.2.0/24" ) }}
}}
rewriting {{ several_recipients = split split_listener = "127.0.0.1:{ports["hop"]}" }}
{more}
"""
    filter_ = Filter(folder / "filter", listener, workers=workers, socket_path=postfix.milter_socket)
    with Sink(ports["sink"]) as sink, postfix, filter_:
        yield HopSite(postfix, filter_, sink, ports)
