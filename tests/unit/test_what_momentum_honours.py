"""What Momentum's own options change for a message: trust by Open_Relay, and variables in events."""

import time

import pytest

from engagement.events.fields import borrowed, join, to_fields
from engagement.events.model import Injection
from engagement.events.record import decode, encode
from engagement.events.rows import rows
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Kind, Link
from engagement.links.token import open_token
from engagement.settings import load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider
from unit.event_samples import hit, identity

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


@pytest.mark.parametrize(("prefix", "expected"), [("cust_", {"cust_a": "1"}), ("site_", {"site_b": "2"})])
def test_cust_prefix_says_which_variables_events_carry(prefix: str, expected: dict[str, str]) -> None:
    context = {"cust_a": "1", "site_b": "2", "subject": "3"}
    text = f'event_hydrant "events" {{ cust_prefix = "{prefix}" }}'
    (injection,) = run(text, client="127.0.0.1", context=context).injections
    fields = to_fields(decode(encode(injection)))
    assert {name: value for name, value in fields.items() if name in context} == expected


@pytest.mark.parametrize("included", [True, False])
def test_metadata_is_kept_out_of_the_click_event_too(included: bool) -> None:
    api = Field("X-MSYS-API", b' {"metadata": {"plan": "gold"}}')
    text = f"engagement_tracker {{ click_tracking_include_metadata = {str(included).lower()} }}"
    result = run(text, api, client="127.0.0.1")
    (injection,) = (decode(encode(each)) for each in result.injections)
    assert isinstance(injection, Injection)
    metadata = {"plan": "gold"}
    for kind, expected in (
        (Kind.CLICK, metadata if included else None),
        (Kind.AMP_CLICK, metadata if included else None),
        (Kind.OPEN, metadata),
    ):
        carried = "" if kind in CLICKS and not included else injection.metadata
        link = Link(b"http://x.example/", unsubscribe=True) if kind in CLICKS else None
        whose = identity(metadata=carried, message_id=injection.message_id)
        event = hit(kind, whose=whose, link=link)
        assert to_fields(event, injection).get("rcpt_meta") == expected
        for row in rows(event):
            joined = join(row.fields, borrowed(injection))
            assert joined.get("rcpt_meta") == expected
            assert "x_click_metadata" not in joined
    fields = to_fields(injection)
    assert fields["rcpt_meta"] == metadata
    assert "x_click_metadata" not in fields


@pytest.mark.parametrize(
    ("date", "first", "last"),
    [
        (b" Tue, 24 Nov 2026 06:29:50 +0000", NOW - 10, NOW - 10),
        (b" Tue, 24 Nov 2026 05:29:59 +0000", NOW, NOW + 3600),  # an hour and a second old
        (b" Sun, 22 Nov 2026 06:30:00 +0000", NOW, NOW + 3600),
        (b" Tue, 24 Nov 2026 07:15:00 +0000", NOW, NOW + 3600),  # in the future
        (b" nonsense", NOW, NOW + 3600),
    ],
)
def test_expiry_counts_from_the_moment_of_rewriting(date: bytes, first: float, last: float) -> None:
    listener = 'ESMTP_Listener { tracking_domain = "t.example.net"  click_tracking_enabled = true'
    settings = load_text(f"smtpapi {{ }} {listener} tracking_link_expiry = 600 }}")
    message = Message((Field("Content-Type", b" text/html"), Field("Date", date)), BODY)
    envelope = Envelope(Client("127.0.0.1"), "a@example.org", ("b@example.net",), "Q1")
    site = Site.build(settings, RING)
    outcomes = [
        consider(site, envelope, message, {}, now=NOW + t, tick=time.monotonic).outcome for t in (0, 900)
    ]
    (plan, again) = outcomes
    assert isinstance(plan, Plan)
    assert again == plan  # a retry within the hour
    (link,) = (edit.new for edit in plan.edits if edit.kind == "link")
    expiry = open_token(link.rsplit(b"/", 1)[1], RING).identity.expiry
    assert first + 600 <= expiry <= last + 600


@pytest.mark.parametrize(("pathway", "noted"), [("nowhere", 1), ("news", 0), ("default", 0)])
def test_a_pathway_of_policy_that_is_not_there_is_noted(pathway: str, noted: int) -> None:
    text = 'pathway "news" { } ESMTP_Listener { context = [ pathway = "%s" ] }'
    notes = run(text % pathway, client="127.0.0.1").notes
    assert len([note for note in notes if "variable pathway" in note]) == noted


@pytest.mark.parametrize(("seconds", "noted"), [("59", 1), ("60", 0), ("0", 1), ("-5", 1)])
def test_an_expiry_of_policy_under_a_minute_is_noted(seconds: str, noted: int) -> None:
    notes = run("", client="127.0.0.1", context={"smtpapi_tracking_link_expiry": seconds}).notes
    assert len([note for note in notes if "smtpapi_tracking_link_expiry is below 60 s" in note]) == noted
