"""Cc and Bcc in the copies: who is named where, in which letters (contract.md 9, RFC 5322, RFC 2047)."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hop_mail import TO, Mail, api, mail, site
from smtpapi.mime import encoded_words
from smtpapi.model.message import Field
from smtpapi.request.copies import mailbox
from smtpapi.request.x_msys_api import Copy

CC = [{"email": "carol@example.net", "name": "Carol C."}, "dan@example.net"]
BCC = [{"email": "hidden@example.net", "name": "H"}, "two@example.net"]
ALL = (
    *TO,
    "carol@example.net",
    "dan@example.net",
    "hidden@example.net",
    "two@example.net",
    "box@example.net",
)


def fields(copy: Mail, name: str) -> list[bytes]:
    return [each.value for each in copy.queued().message.fields if each.name.lower() == name]


def queued(*given: Field) -> Mail:
    return mail(site(), *given, api(cc=CC, bcc=BCC, archive=["box@example.net"])).queued()


def test_cc_names_the_list_in_every_copy() -> None:
    there = queued()
    for recipient in ALL:
        assert fields(there.hop(recipient), "cc") == [b' "Carol C." <carol@example.net>,\n dan@example.net']


def test_bcc_is_told_to_no_one_but_its_own_recipient() -> None:
    there = queued(Field("Bcc", b" forgotten@example.net"), Field("BCC", b" another@example.net"))
    seen = {recipient: fields(there.hop(recipient), "bcc") for recipient in ALL}
    assert seen.pop("hidden@example.net") == [b' "H" <hidden@example.net>']
    assert seen.pop("two@example.net") == [b" two@example.net"]
    assert set(map(tuple, seen.values())) == {()}
    for recipient in set(ALL) - {"hidden@example.net"}:
        message = there.hop(recipient).queued().message
        assert not any(b"hidden@" in each.value for each in message.fields)


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (b" eve@example.net", b' eve@example.net,\n "Carol C." <carol@example.net>,\n dan@example.net'),
        (b" Eve\r\n\t<eve@example.net>  ", b' Eve\r\n\t<eve@example.net>,\n "Carol C." <carol@example.net>,\n'
         b" dan@example.net"),
        (b" D <dan@EXAMPLE.net>", b' D <dan@EXAMPLE.net>,\n "Carol C." <carol@example.net>'),
        (b" dan@example.net, carol@example.net", b" dan@example.net, carol@example.net"),
        (b"", b' "Carol C." <carol@example.net>,\n dan@example.net'),
    ],
)  # fmt: skip
def test_what_cc_says_stays_and_who_is_new_comes_after(there: bytes, then: bytes) -> None:
    assert fields(queued(Field("Cc", there)).hop(TO[0]), "cc") == [then]


def test_a_cc_that_cannot_be_written_back_stays_and_ours_stands_beside() -> None:
    """libmilter takes UTF-8 only (docs/quirks.md)."""
    latin = b" M\xfcller <m@example.net>"
    assert fields(queued(Field("Cc", latin)).hop(TO[0]), "cc")[0] == latin
    assert len(fields(queued(Field("Cc", latin)).hop(TO[0]), "cc")) == 2


def test_who_stands_in_two_cc_fields_is_not_named_again() -> None:
    there = queued(Field("Cc", b" dan@example.net"), Field("cc", b" carol@example.net"))
    assert fields(there.hop(TO[0]), "cc") == [b" dan@example.net", b" carol@example.net"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("CC 1", '"CC 1" <a@d.example>'),
        ("", "a@d.example"),
        ("  ", "a@d.example"),
        ('say "x"\\', '"say \\"x\\"\\\\" <a@d.example>'),
        ("Zoë", "=?utf-8?b?Wm/Dqw==?=\n <a@d.example>"),
        ("  two \t blanks ", '"two blanks" <a@d.example>'),
        ("\x7f", "=?utf-8?b?fw==?=\n <a@d.example>"),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?=\n <a@d.example>"),
    ],
)
def test_names_are_quoted_or_encoded(name: str, written: str) -> None:
    assert mailbox(Copy("a@d.example", name)) == written


_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)


@settings(max_examples=100, deadline=None)
@given(_NAMES)
def test_any_name_is_read_back_as_it_was_in_short_lines(name: str) -> None:
    written = mailbox(Copy("a@d.example", name))
    lines = f"Cc: {written}".split("\n")
    assert max(map(len, lines)) <= 78
    assert written.isascii()
    phrase, _, address = written.replace("\n ", " ").rpartition(" ")
    quoted = phrase.startswith('"')
    read = re.sub(r"\\(.)", r"\1", phrase[1:-1]) if quoted else encoded_words.decode(phrase)
    assert read == " ".join(name.split())
    assert address == ("<a@d.example>" if read else "a@d.example")
