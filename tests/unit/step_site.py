"""A site of one listener, and messages considered there. Not a test."""

import time

from engagement.links.keys import Ring
from engagement.settings import Settings, load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.pipeline.transaction import MessageResult, Site, consider
from smtpapi.policy.hooks import parse as policy_of

NOW = 1_795_501_800.0
RING = Ring().rotated(b"k" * 32, 1)
LOCAL = Client("127.0.0.1")
STRANGER = Client("192.0.2.7")
HTML = Field("Content-Type", b" text/html")
DATE = Field("Date", b" Tue, 24 Nov 2026 06:30:00 +0000")
BODY = b'<html><body><a href="http://x.example/">x</a></body></html>\r\n'
API = Field("X-MSYS-API", b' {"campaign_id":"c"}')


def configuration(options: str = "", top: str = "smtpapi { }") -> Settings:
    return load_text(
        f"""{top}
        ESMTP_Listener {{
            Listen ":25" {{ }}
            click_tracking_enabled = true
            open_tracking_enabled = true
            tracking_domain = "t.example.net"
            {options}
        }}"""
    )


def site(options: str = "", top: str = "smtpapi { }", policy: str = "", ring: Ring | None = RING) -> Site:
    return Site.build(configuration(options, top), ring, policy_of(policy, "p.py") if policy else None)


def run(
    where: Site,
    *fields: Field,
    client: Client = LOCAL,
    sender: str = "a@example.org",
    recipients: tuple[str, ...] = ("b@example.net",),
    body: bytes = BODY,
    context: dict[str, str] | None = None,
) -> MessageResult:
    message = Message((*fields, HTML, DATE), body)
    envelope = Envelope(client, sender, recipients, "Q1")
    return consider(where, envelope, message, context or {}, now=NOW, tick=time.monotonic)
