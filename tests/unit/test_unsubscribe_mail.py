"""Unsubscribing by mail: what comes to the mailto address of List-Unsubscribe (smtpapi bounce)."""

import time
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from engagement.bounces.unsubscribe_mail import token_in, wish_of_token
from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.links.keys import Ring
from engagement.links.model import Kind
from engagement.links.ring_file import save_ring
from engagement.shipper.wishes import wish_of
from engagement.spool.read import SpoolReader
from hop_mail import RING, TO, applied, mail, site
from smtpapi.commands import main
from smtpapi.model.outcome import Plan
from web.web_cases import RING as TRACKERS
from web.web_cases import token


def header_values() -> tuple[str, str]:
    """Address and subject of the mail that a program sends, from a mail with our fields."""
    options = 'list_unsubscribe_enabled = true list_unsubscribe_mailto = "leave@example.com"'
    sent = mail(site("untracked", options), recipients=TO[:1])
    made = sent.consider().outcome
    assert isinstance(made, Plan)
    (value,) = applied(sent.message, made).values("List-Unsubscribe")
    url = urlsplit(value.decode().rpartition("<")[2].rstrip(">"))
    return url.path, parse_qs(url.query)["subject"][0]


def sent_mail(subject: str, **fields: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.net", header_values()[0], subject
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message.as_bytes()


def run(folder: Path, data: bytes, ring: Ring | None = RING) -> Result:
    if ring is not None:
        save_ring(folder / "keys", ring)
    file = folder / "smtpapi.conf"
    file.write_text(f'spool {{ directory = "{folder}/spool" }}\nkeys {{ ring = "{folder}/keys" }}\n')
    return CliRunner().invoke(main, ["bounce", "--config", str(file)], input=data)


def hits(folder: Path) -> list[Hit]:
    events = [decode(entry.record) for entry in SpoolReader(folder / "spool").read()]
    return [event for event in events if isinstance(event, Hit)]


def test_mail_that_the_field_asks_for_is_a_wish(tmp_path: Path) -> None:
    address, subject = header_values()
    assert address == "leave@example.com"
    done = run(tmp_path, sent_mail(subject))
    assert (done.exit_code, done.output) == (0, "standard input: 1 event(s): list_unsubscribe\n")
    (hit,) = hits(tmp_path)
    wish = wish_of(hit)
    assert wish is not None
    assert (wish.recipient, wish.undo, wish.by_link) == (TO[0], False, False)
    assert abs(hit.at_ms / 1000 - time.time()) < 600


@pytest.mark.parametrize(
    "change",
    [
        lambda subject: subject.replace("unsubscribe", "Unsubscribe"),
        lambda subject: subject[:90] + "\r\n " + subject[90:],
        lambda subject: "=?utf-8?q?unsubscribe_?= =?utf-8?q?" + subject[12:] + "?=",
    ],
)
def test_what_mail_programs_do_to_a_long_subject_is_undone(tmp_path: Path, change: object) -> None:
    assert callable(change)
    data = b"Subject: " + change(header_values()[1]).encode() + b"\r\n\r\n"
    assert run(tmp_path, data).output.endswith("list_unsubscribe\n")


@pytest.mark.parametrize("subject", ["unsubscribe", "unsubscribe me", "Re: hello", f"unsubscribe {token()}"])
def test_other_mail_is_left_alone(tmp_path: Path, subject: str) -> None:
    done = run(tmp_path, sent_mail(subject), TRACKERS)
    assert done.exit_code == 0
    assert "left alone" in done.output
    assert hits(tmp_path) == []


def test_a_programs_answer_is_no_wish(tmp_path: Path) -> None:
    run(tmp_path, sent_mail(header_values()[1], Auto_Submitted="auto-replied"))
    assert hits(tmp_path) == []


def test_without_the_key_ring_it_is_tried_again(tmp_path: Path) -> None:
    assert run(tmp_path, sent_mail(header_values()[1]), None).exit_code == 75


@given(st.binary(max_size=300))
@example(b"Subject: unsubscribe \xff\n\n")
@example(b"Subject: =?x?q?unsubscribe?=\n\n")
def test_any_octets_are_a_wish_or_not(data: bytes) -> None:
    for raw in (data, b"Subject: unsubscribe " + data):
        assert wish_of_token(token_in(raw), RING, 1) is None


def test_only_a_link_to_leave_by_is_a_wish() -> None:
    assert wish_of_token(token().encode(), TRACKERS, 1) is None
    assert wish_of_token(token(Kind.LIST_UNSUBSCRIBE, None).encode(), TRACKERS, 1) is not None
