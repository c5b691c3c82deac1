"""What the injection record says of subject and sender, whatever they hold (contract.md 7.2, 10)."""

import json

import pytest

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
