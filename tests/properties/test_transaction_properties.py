"""What holds for every message, whatever is in it and whoever sent it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.events.record import decode, encode
from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider

_SITE = Site.build(
    load_text(
        """smtpapi { }
        ESMTP_Listener {
            Listen ":25" { }
            click_tracking_enabled = true
            open_tracking_enabled = true
            initial_open_tracking_enabled = true
            tracking_domain = "t.example.net"
        }"""
    ),
    Ring().rotated(b"k" * 32, 1),
)
_NAMES = st.sampled_from(
    [
        *("X-MSYS-API", "x-msys-api", "X-Smtpapi-Id", "Content-Type", "Content-Transfer-Encoding", "From"),
        *("Subject", "Date", "Message-ID", "MIME-Version", "DKIM-Signature", "ARC-Seal", "To"),
    ]
)
_PIECES = st.sampled_from(
    [
        *(
            b" ",
            b"\r\n ",
            b"\n\t",
            b"\xff",
            b"\xc3\xa9",
            b"\0",
            b"{}",
            b"{",
            b'"campaign_id":"c"',
            b'{"tags":[]}',
        ),
        *(
            b"text/html",
            b"text/plain",
            b"multipart/mixed; boundary=b",
            b"; charset=utf-8",
            b"quoted-printable",
        ),
        *(
            b"base64",
            b"<a@b.example>",
            b"=?utf-8?q?=C3?=",
            b"Tue, 24 Nov 2026 06:30:00 +0000",
            b"(",
            b'"',
            b"\\",
        ),
        *(
            b"\r\n--b\r\n",
            b"--b--",
            b"\r\n\r\n",
            b"<html><body>",
            b"</body>",
            b'<a href="http://x.example/?a=1&amp;b=2">',
        ),
        *(
            b"x</a>",
            b"http://y.example/",
            b"=3D",
            b"=\r\n",
            b"<!--",
            b"<script>",
            b"PGh0bWw+",
            b"[[data-msys-",
        ),
    ]
)
_BYTES = st.lists(_PIECES, max_size=12).map(b"".join)
_FIELDS = st.lists(st.builds(Field, _NAMES, _BYTES), max_size=8).map(tuple)
_MESSAGES = st.builds(Message, _FIELDS, _BYTES | st.binary(max_size=60))
_ADDRESSES = st.sampled_from(["a@b.example", "", "\udcff@x", '"q q"@x.example'])
_RECIPIENTS = st.lists(_ADDRESSES, max_size=2).map(tuple)


def run(message: Message, client: Client, sender: str, recipients: tuple[str, ...]) -> MessageResult:
    return consider(
        _SITE, Envelope(client, sender, recipients, "Q"), message, now=1_795_501_800.0, tick=lambda: 0.0
    )


@settings(max_examples=100)
@given(_MESSAGES, _ADDRESSES, _RECIPIENTS)
def test_mail_of_strangers_is_never_touched(
    message: Message, sender: str, recipients: tuple[str, ...]
) -> None:
    assert run(message, Client("192.0.2.7"), sender, recipients).outcome == Leave(Why.UNTRUSTED)


@settings(max_examples=100)
@given(_MESSAGES, _ADDRESSES, _RECIPIENTS)
def test_the_header_never_leaves_the_building(
    message: Message, sender: str, recipients: tuple[str, ...]
) -> None:
    considered = run(message, Client("127.0.0.1"), sender, recipients)
    outcome = considered.outcome
    if isinstance(outcome, Refuse):
        assert (outcome.code, outcome.text.isascii(), outcome.text.isprintable()) == ("550", True, True)
        return
    assert not isinstance(outcome, Discard)
    assert outcome.why is not Why.INTERNAL_ERROR, outcome.note
    there = sum(field.name.lower() == "x-msys-api" for field in message.fields)
    changes = outcome.headers if isinstance(outcome, Plan) else ()
    gone = [change.index for change in changes if change.name == "X-MSYS-API" and change.value is None]
    assert gone == list(range(there, 0, -1))


@settings(max_examples=100)
@given(_MESSAGES, _ADDRESSES, _RECIPIENTS)
def test_what_is_written_down_can_be_read_again(
    message: Message, sender: str, recipients: tuple[str, ...]
) -> None:
    for record in run(message, Client("127.0.0.1"), sender, recipients).injections:
        assert decode(encode(record)) == record
        record.subject.encode()


@settings(max_examples=50)
@given(_MESSAGES, _RECIPIENTS)
def test_equal_facts_give_equal_orders(message: Message, recipients: tuple[str, ...]) -> None:
    once = run(message, Client("127.0.0.1"), "a@b.example", recipients)
    again = run(replace(message), Client("127.0.0.1"), "a@b.example", recipients)
    assert once == again
