"""Addresses, places and header fields of transmissions hold for any text (hypothesis)."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smtpapi.request.x_msys_api import XMsysApi, parse
from tracker_web.api.transmissions.addresses import AddressError, mailbox, mailboxes, one_mailbox
from tracker_web.api.transmissions.api_header import api_header
from tracker_web.api.transmissions.fields_message import fields_message
from tracker_web.api.transmissions.model import CannotSend, Fields, Recipient
from tracker_web.api.transmissions.substitution import StatementError, template

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ODD = st.text(st.sampled_from('ab@<>",;:\\ ()=?{}\r\n\t\0é.'), max_size=40)


@given(ODD | TEXT)
def test_an_address_holds_no_break(text: str) -> None:
    for read in (mailbox, one_mailbox, mailboxes):
        try:
            found = read(text)
        except AddressError:
            continue
        for each in found if isinstance(found, tuple) else (found,):
            assert not set(each.address + each.name) & set("\r\n\0")
            assert "@" in each.address


@given(TEXT)
def test_a_name_makes_no_second_address(name: str) -> None:
    try:
        made = mailbox("a@example.test", name)
    except AddressError:
        return
    read = message_from_bytes(f"To: {made.field()}\r\n\r\n".encode(), policy=policy.default)["To"]
    assert [each.addr_spec for each in read.addresses] == ["a@example.test"]


@given(TEXT.filter(lambda text: "{{" not in text), TEXT)
def test_a_text_stands_around_its_places(text: str, value: str) -> None:
    assert template(text).render({"x": value}) == text
    assert template(f"{text} {{{{x}}}}{text}").render({"x": value}) == f"{text} {value}{text}"


@given(ODD)
def test_places_are_filled_or_an_error(text: str) -> None:
    try:
        found = template(text).render({})
    except StatementError:
        return
    assert "{{" not in found or "{{{" in text or text.count("{{") > 1


@given(TEXT | ODD, TEXT | ODD, TEXT | ODD)
def test_a_message_has_the_fields_that_it_was_given_alone(subject: str, name: str, value: str) -> None:
    to = Recipient(mailbox("a@example.test"), "", (), {}, {"v": value}, "")
    content = Fields(
        sender=template("s@sender.test"), sender_name=template(name, on=False),
        subject=template(subject, on=False), text=template("text"), html=None, amp_html=None, reply_to=None,
        headers=(("X-Own", template("x{{v}}")),), attachments=(), inline_images=(),
    )  # fmt: skip
    try:
        made = fields_message(content, to, NOW, "<1@sender.test>")
    except (CannotSend, AddressError):
        return
    head = made.partition(b"\r\n\r\n")[0]
    assert b"\r" not in head.replace(b"\r\n", b"")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert names == [
        b"From", b"To", b"Subject", b"X-Own", b"Date", b"Message-ID",
        b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version",
    ]  # fmt: skip


@given(
    TEXT.map(lambda text: text.replace("\0", "")[:16]),
    st.dictionaries(TEXT, TEXT | st.integers() | st.booleans(), max_size=4),
)
def test_the_filter_reads_what_the_api_writes(campaign: str, metadata: dict[str, Any]) -> None:
    made = api_header(
        transmission_id="7", campaign=campaign, metadata=metadata, tags=["a"], options={"x": True}
    )
    assert made.isascii()
    assert made.endswith(b"\r\n")
    found = parse([made.removeprefix(b"X-MSYS-API:").removesuffix(b"\r\n")])
    if "\r" in campaign or "\n" in campaign:
        return  # the call refuses it before
    assert isinstance(found, XMsysApi)
    assert (found.campaign or "", found.tags, found.transmission_id) == (campaign, ("a",), 7)
