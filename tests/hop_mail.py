"""A message's way through the filter and over the hop, without an MTA: what the MTA would do is done here."""

import binascii
import json
import re
import time
from dataclasses import dataclass, replace
from typing import Any

from engagement.links.keys import Ring
from engagement.links.model import Identity
from engagement.links.token import open_token, unpack
from engagement.links.urls import read_path
from engagement.settings import load_text
from smtpapi.model.edit import splice
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import MessageResult, Site, consider
from smtpapi.policy.hooks import parse as policy_of

NOW = 1_795_501_800.0
RING = Ring().rotated(b"k" * 32, 1)
CLIENT = Client("127.0.0.1", "localhost", "", "127.0.0.1", 25, "smtpd", "client.example")
STRANGER = Client("192.0.2.7", "x", "", "127.0.0.1", 25, "smtpd", "x")
HOP = Client("127.0.0.1", "localhost", "", "127.0.0.1", 10026, "split", "mx.example")
FIELDS = (
    Field("Content-Type", b" text/html"),
    Field("Date", b" Tue, 24 Nov 2026 06:30:00 +0000"),
    Field("Message-ID", b" <m@example.org>"),
)
BODY = b'<html><body><a href="http://x.example/">x</a></body></html>\r\n'
TO = ("ann@example.net", "bob@example.net")


def site(
    mode: str = "split",
    options: str = "",
    policy: str = "",
    ring: Ring | None = RING,
    added: str = "own",
    top: str = "",
) -> Site:
    settings = load_text(
        f"""smtpapi {{ }} {top}
        rewriting {{ several_recipients = {mode} added_recipients = {added} }}
        ESMTP_Listener {{
            Listen ":25" {{ }}
            click_tracking_enabled = true
            open_tracking_enabled = true
            tracking_domain = "t.example.net"
            {options}
        }}"""
    )
    return Site.build(settings, ring, policy_of(policy, "p.py") if policy else None)


def api(**members: Any) -> Field:
    return Field("X-MSYS-API", b" " + json.dumps(members).encode())


@dataclass
class Mail:
    """What is under way, as the MTA has it."""

    site: Site
    message: Message
    recipients: tuple[str, ...] = TO
    client: Client = CLIENT
    sender: str = "news@example.org"
    queue_id: str = "Q1"
    now: float = NOW
    originals: tuple[str, ...] = ()
    context: dict[str, str] | None = None

    def consider(self) -> MessageResult:
        envelope = Envelope(self.client, self.sender, self.recipients, self.queue_id, self.originals)
        return consider(
            self.site, envelope, self.message, self.context or {}, now=self.now, tick=time.monotonic
        )

    def queued(self) -> "Mail":
        """As it lies in the queue after the filter."""
        plan = self.consider().outcome
        assert isinstance(plan, Plan), plan
        gone = {each.instead_of for each in plan.recipients}
        recipients = [each for each in self.recipients if each not in gone]
        recipients += [each.address for each in plan.recipients]
        return replace(self, message=applied(self.message, plan), recipients=tuple(recipients))

    def hop(self, recipient: str, **facts: Any) -> "Mail":
        """The copy of one recipient, as the hop brings it in."""
        there = replace(
            self, recipients=(recipient,), client=HOP, queue_id=f"Q-{recipient}", now=self.now + 60
        )
        return replace(there, **facts)


def mail(where: Site, *fields: Field, body: bytes = BODY, **facts: Any) -> Mail:
    return replace(Mail(where, Message((*FIELDS, *fields), body)), **facts)


def applied(message: Message, plan: Plan) -> Message:
    """The message after the changes, as Postfix and Sendmail make them."""
    fields = list(message.fields)
    for change in sorted(plan.headers, key=lambda change: (change.value is not None, -change.index)):
        places = [at for at, each in enumerate(fields) if each.name.lower() == change.name.lower()]
        if change.value is None:
            del fields[places[change.index - 1]]
            continue
        value = change.value if change.value[:1] in (" ", "\t", "\n") else f" {change.value}"
        new = Field(change.name, value.encode())
        if change.index:
            fields[places[change.index - 1]] = new
        else:
            fields.append(new)
    return Message(tuple(fields), splice(message.body, plan.edits), message.eol)


def identities(body: bytes, ring: Ring = RING) -> set[Identity]:
    """Whom the links and pixels of a body are for, also of one that long lines made quoted-printable."""
    found = set()
    decoded = binascii.a2b_qp(body) if b"href=3D" in body else body
    for path in re.findall(rb"http://t\.example\.net(/[fq]/[^\"]+)", decoded):
        requested = read_path(path)
        assert requested is not None
        opened = open_token(requested.token, ring)
        found.add(unpack(opened.kind, opened.packed)[0])
    return found


def names(message: Message) -> list[str]:
    return [each.name for each in message.fields]
