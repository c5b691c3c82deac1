"""What the injection record says of a message, whatever its fields hold (contract.md 7.2, 10)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from engagement.events.model import Injection, recipient_mark
from hop_mail import BODY, CLIENT, FIELDS, HOP, TO, Mail, api, mail
from hop_mail import site as hop_site
from smtpapi.mime import encoded_words
from smtpapi.model.message import Field, Message
from smtpapi.pipeline.injection import decoded, from_address, message_size


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        (None, ""),
        (b"", ""),
        (b" plain ", "plain"),
        (b" folded\r\n and\r\n\tagain", "folded and\tagain"),
        (b" folded\n and", "folded and"),
        (b" =?utf-8?q?h=C3=A9?=", "hé"),
        (b" =?UTF-8?B?aMOp?= x", "hé x"),
        (b" =?utf-8*en?q?h=C3=A9?=", "hé"),
        (b" =?utf-8?b?4pyT?=\r\n =?utf-8?b?IGRvbmU=?=", "✓ done"),
        (b" =?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b" =?iso-8859-1?q?=E9?= =?utf-8?q?=C3=A9?=", "éé"),
        (b" =?utf-8?q?a_b?=", "a b"),
        (b" Re: =?utf-8?q?a?=, =?x-none?q?b?= =?utf-8?q?c?=", "Re: a, =?x-none?q?b?= c"),
        (b" =?gb2312?b?xOO6ww==?=", "你好"),
        (b" =?iso-2022-jp?b?GyRCJDMbKEI=?=", "こ"),
        (b" raw \xc3\xa9", "raw é"),
        (b" bad \xe9", "bad \ufffd"),
        (b' {"json": [1, "x"]} [2] "q"\ttab', '{"json": [1, "x"]} [2] "q"\ttab'),
        (b" nul \0 in", "nul \0 in"),
        (b" =?utf-7?q?+2AA-?=", "=?utf-7?q?+2AA-?="),
    ],
)
def test_a_subject_is_told_as_people_read_it(value: bytes | None, subject: str) -> None:
    found = decoded(value)
    assert found == subject
    assert json.loads(json.dumps({"subject": found}, ensure_ascii=False).encode()) == {"subject": subject}


def test_a_subject_has_no_line_ends_even_when_it_hides_them_in_a_fold() -> None:
    assert "\n" not in decoded(b" a\r\n\r\n b\n")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b" ida@example.net", "ida@example.net"),
        (b" Ida Holm <Ida@Example.NET>", "Ida@Example.NET"),
        (b' "Holm, Ida" <ida@example.net>', "ida@example.net"),
        (b' "Ida \\"Holm\\"" <ida@example.net>', "ida@example.net"),
        (b' "a@b.example" <ida@example.net>', "ida@example.net"),
        (b" J\xc3\xb6rg <joerg@example.net>", "joerg@example.net"),
        (b" Group: ida@example.net;", "ida@example.net"),
        (b" <@relay.example:ida@example.net>", "ida@example.net"),
        (b' <"odd one"@example.net>', '"odd one"@example.net'),
        (b" =?utf-8?q?I?= <ida@example.net>, other@example.net", "ida@example.net"),
        (b" ida@example.net (a comment)", "ida@example.net"),
        (b"\r\n <ida@example.net>", "ida@example.net"),
        (b"", ""),
        (b" (((((", ""),
        (b" " + b"(" * 9000, ""),
        (b" undisclosed:;", ""),
    ],
)
def test_the_from_address_is_found_or_empty(value: bytes, address: str) -> None:
    assert from_address(Message((Field("From", value),), b"")) == address


def test_no_from_is_no_error() -> None:
    assert from_address(Message((), b"")) == ""


def test_the_size_is_that_of_the_whole_message() -> None:
    whole = b"A: 1\r\nB:\r\n two\r\n\r\nbody\r\n"
    assert message_size(Message((Field("A", b" 1"), Field("B", b"\r\n two")), b"body\r\n")) == len(whole)


def test_text_without_words_is_the_same_text() -> None:
    assert encoded_words.decode("a =? b ?= c") == "a =? b ?= c"
    assert not encoded_words.present("a =? b ?= c")
    assert encoded_words.present("=?us-ascii?Q?a?=")


# --- by what it is found again

HERE = replace(CLIENT, address="192.0.2.77", login="ida", host="mx.example.org")
THERE = replace(HOP, host="mx.example.org")
TWO_LINKS = BODY.replace(b"</body>", b'<a href="http://y.example/">y</a></body>')


def sent(options: str = "", **facts: Any) -> Mail:
    defaults: dict[str, Any] = {"client": HERE, "queue_id": "4dXyz", "recipients": TO[:1]}
    facts = defaults | facts
    where = hop_site("untracked", options, added="shared", top=facts.pop("top", ""))
    return mail(where, *facts.pop("fields", ()), **facts)


def only(message: Mail) -> Injection:
    (record,) = message.consider().injections
    return record


def test_a_record_says_by_what_the_world_outside_knows_the_message() -> None:
    record = only(sent(body=TWO_LINKS))
    assert (record.node_name, record.queue_id, record.message_id_header) == (
        "mx.example.org",
        "4dXyz",
        "<m@example.org>",
    )
    assert record.recipient_mark == recipient_mark("mx.example.org", "4dXyz", TO[0])
    assert (record.links, record.parts, record.client_address) == (2, 1, "192.0.2.77")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" <a@b>", "<a@b>"),
        (b"\r\n <a@b>\r\n (note)", "<a@b> (note)"),
        (b" <\xc3\xa9@b> ", "<\u00e9@b>"),
        (b" \xff", "\ufffd"),
        (b" " + b"x" * 5000, "x" * 998),
        (b"", ""),
    ],
)
def test_a_message_id_is_told_as_it_is(value: bytes, expected: str) -> None:
    message = sent()
    message.message = Message((*FIELDS[:2], Field("Message-Id", value)), BODY)
    assert only(message).message_id_header == expected


def test_untracked_mail_is_found_again_too() -> None:
    record = only(sent("click_tracking_enabled = false open_tracking_enabled = false"))
    assert record.outcome == "tracking-off"
    assert (record.queue_id, record.recipient_mark > 0, record.links, record.parts) == ("4dXyz", True, 0, 0)


def test_recipients_of_one_queue_id_are_told_apart() -> None:
    records = sent(recipients=TO).consider().injections
    assert [each.recipient_mark for each in records] == [
        recipient_mark("mx.example.org", "4dXyz", to) for to in TO
    ]
    assert len({each.recipient_mark for each in records}) == 2


def test_a_copy_is_known_by_the_queue_id_of_its_second_pass() -> None:
    """It is the one that goes outside; the client is the one that handed the mail in."""
    there = mail(hop_site(), client=HERE).queued()
    for to in TO:
        copy = there.hop(to, queue_id=f"2nd{to}")
        copy.client = THERE
        record = only(copy)
        assert (record.node_name, record.queue_id) == ("mx.example.org", f"2nd{to}")
        assert record.recipient_mark == recipient_mark("mx.example.org", f"2nd{to}", to)
        assert record.client_address == "192.0.2.77"


def test_a_copy_is_known_by_the_address_that_the_mta_has_for_it() -> None:
    """Archive copies, and recipients whom an alias leads elsewhere, have links of another address."""
    there = mail(hop_site(), api(archive=[{"email": "keep@example.net"}]), client=HERE).queued()
    copy = there.hop("keep@example.net")
    copy.client = THERE
    assert only(copy).recipient_mark == recipient_mark("mx.example.org", copy.queue_id, "keep@example.net")


@pytest.mark.parametrize(
    ("privacy", "expected"),
    [
        ('mode = "full"', "192.0.2.77"),
        ('mode = "full" truncate_addresses = true', "192.0.2.0"),
        ('mode = "aggregate"', ""),
        ('mode = "hygiene"', ""),
        ('mode = "off"', ""),
    ],
)
def test_the_client_is_told_as_far_as_privacy_lets_it(privacy: str, expected: str) -> None:
    record = only(sent(top=f"privacy {{ {privacy} }}"))
    assert record.client_address == expected
    assert record.recipient_mark > 0
