"""Mail that came back, in every transfer encoding and with labels that are wrong (engagement.bounces)."""

import base64
import quopri
import time
from collections.abc import Callable

import pytest

from engagement.bounces.returned import read
from engagement.events.model import recipient_mark
from engagement.events.record import decode, encode

STATUS = (
    b"Reporting-MTA: dns; mx.example.net\r\n\r\n"
    b"Original-Recipient: rfc822; ida@" + b"long." * 20 + b"example.net\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 " + b"no such user " * 9 + b"here\r\n\r\n"
    b"Final-Recipient: rfc822; tom@example.net\r\nAction: failed\r\nStatus: 5.2.2\r\n"
)
BROUGHT = (
    b"Received: from " + b"a.long.name." * 9 + b"example\r\n\tby mx\r\n"
    b"Message-ID: <CA+k=3Dx=41b@example.org>\r\n"
)
ENCODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"7bit": bytes,
    b"base64": base64.encodebytes,
    b"quoted-printable": quopri.encodestring,
}


def report(kind: bytes, brought: bytes, encoding: bytes, status: bytes, fields: bytes) -> bytes:
    label = b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nno\r\n"
        b"--b\r\nContent-Type: " + kind + label + status + b"\r\n"
        b"--b\r\nContent-Type: " + brought + label + fields + b"\r\n--b--\r\n"
    )


def named(data: bytes) -> list[tuple[str, str, int, str]]:
    events = read(data, 1_795_946_400_000).events
    return [
        (each.message_id_header, each.enhanced_code, each.recipient_mark, each.raw_reason) for each in events
    ]


HEADER = "<CA+k=3Dx=41b@example.org>"
IDA, REASON = f"ida@{'long.' * 20}example.net", "550 " + "no such user " * 9 + "here"
NAMED = [
    (HEADER, "5.1.1", recipient_mark("", "", IDA), REASON),
    (HEADER, "5.2.2", recipient_mark("", "", "tom@example.net"), ""),
]


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (b"message/global-delivery-status", "idä@exämple.net".encode()),
        (b"message/delivery-status", rb"id\x{E4}@ex\x{e4}mple.net"),  # where 7 bits are all
    ],
)
def test_recipients_and_message_ids_of_international_mail_are_read(kind: bytes, address: bytes) -> None:
    """RFC 6533 3: an address of the type utf-8."""
    status = b"Final-Recipient: utf-8; " + address + b"\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    status += "Diagnostic-Code: smtp; 550 grüße\r\n".encode()
    fields = "Message-ID: <ä@exämple.org>\r\n".encode()
    (found,) = named(report(kind, b"message/global-headers", b"8bit", status, fields))
    assert found == ("<ä@exämple.org>", "5.1.1", recipient_mark("", "", "idä@exämple.net"), "550 grüße")


def test_octets_that_are_no_utf_8_stay_readable() -> None:
    status = b"Final-Recipient: utf-8; ida\\x{D800}@example.net\r\nAction: failed\r\nStatus: \xfc5.1.1\r\n"
    status += b"Diagnostic-Code: smtp; 550 gr\xfc\r\n"
    (found,) = named(report(b"message/delivery-status", b"message/rfc822", b"8bit", status, BROUGHT))
    assert (found[1], found[3]) == ("5.1.1", "550 gr\ufffd")
    (event,) = read(report(b"message/delivery-status", b"message/rfc822", b"8bit", status, BROUGHT), 0).events
    assert decode(encode(event)) == event


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("brought", [b"text/rfc822-headers", b"message/global", b"message/global-headers"])
def test_a_report_is_read_in_every_transfer_encoding(encoding: bytes, brought: bytes) -> None:
    """RFC 6533 4: what is message/global* may be encoded, unlike other messages in a message."""
    encode = ENCODINGS[encoding]
    data = report(b"message/global-delivery-status", brought, encoding, encode(STATUS), encode(BROUGHT))
    assert named(data) == NAMED


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b"7bit", b"8bit", b"x-unheard"])
def test_a_label_that_is_wrong_hides_no_report(encoding: bytes) -> None:
    """RFC 2046 5.2.1: such parts are never encoded."""
    assert named(report(b"message/delivery-status", b"message/rfc822", encoding, STATUS, BROUGHT)) == NAMED
    encoded = report(
        b"message/delivery-status", b"message/rfc822", b"base64",
        base64.encodebytes(STATUS), base64.encodebytes(BROUGHT),
    )  # fmt: skip
    assert named(encoded) == NAMED


def test_a_report_of_very_many_groups_takes_no_time() -> None:
    status = b"Status: 5.0.0\r\n\r\n" * 300_000
    began = time.process_time()
    read(report(b"message/global-delivery-status", b"text/rfc822-headers", b"7bit", status, BROUGHT), 0)
    assert time.process_time() - began < 3
