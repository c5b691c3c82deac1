"""What Momentum's own options change for a message: trust by Open_Relay, and variables in events."""

import time

import pytest

from engagement.events.fields import to_fields
from engagement.events.record import decode, encode
from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider

NOW = 1_795_501_800.0  # 2026-11-24 06:30:00 UTC
RING = Ring().rotated(b"k" * 32, 1)
BODY = b'<html><body><a href="http://x.example/">x</a></body></html>\r\n'


def run(
    text: str, *fields: Field, client: str = "192.0.2.7", context: dict[str, str] | None = None
) -> MessageResult:
    listener = 'ESMTP_Listener { tracking_domain = "t.example.net"  click_tracking_enabled = true }'
    site = Site.build(load_text(f"smtpapi {{ }} {listener} {text}"), RING)
    date = Field("Date", b" Tue, 24 Nov 2026 06:29:50 +0000")
    message = Message((*fields, Field("Content-Type", b" text/html"), date), BODY)
    envelope = Envelope(Client(client), "a@example.org", ("b@example.net",), "Q1")
    return consider(site, envelope, message, context or {}, now=NOW, tick=time.monotonic)


PEER = 'ESMTP_Listener { Peer "192.0.2.0/24" { Open_Relay = %s } }'
RELAYED = Field("Received", b" from web1 (web1.example.org [%s]) by r.example.org (Postfix) with ESMTP id 4")


def received(address: bytes) -> Field:
    return RELAYED._replace(value=RELAYED.value % address)


def test_open_relay_trusts_the_clients_of_its_peer() -> None:
    assert isinstance(run(PEER % "true").outcome, Plan)
    assert run(PEER % "false").outcome == Leave(Why.UNTRUSTED)
    assert run(PEER % "true", client="198.51.100.7").outcome == Leave(Why.UNTRUSTED)


def test_what_such_a_client_relays_must_come_from_its_peer_too() -> None:
    assert isinstance(run(PEER % "true", received(b"192.0.2.80")).outcome, Plan)
    outcome = run(PEER % "true", received(b"203.0.113.80")).outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.UNTRUSTED


def test_open_relay_of_a_whole_listener_trusts_nobody_once_it_is_acknowledged() -> None:
    text = "ESMTP_Listener { Open_Relay = true } momentum { ignore = (open_relay) }"
    assert run(text).outcome == Leave(Why.UNTRUSTED)


@pytest.mark.parametrize(("prefix", "kept"), [("cust_", {"cust_a": "1"}), ("site_", {"site_b": "2"})])
def test_cust_prefix_says_which_variables_events_carry(prefix: str, kept: dict[str, str]) -> None:
    context = {"cust_a": "1", "site_b": "2", "subject": "3"}
    text = f'event_hydrant "events" {{ cust_prefix = "{prefix}" }}'
    (injection,) = run(text, client="127.0.0.1", context=context).injections
    fields = to_fields(decode(encode(injection)))
    assert {name: value for name, value in fields.items() if name in context} == kept
