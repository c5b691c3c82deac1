"""A body that nothing will read is not kept: what becomes of the message is the same, to the last octet."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engagement.settings import load_text
from hop_mail import BODY, CLIENT, FIELDS, HOP, NOW, RING, STRANGER, TO, api, mail, site
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, HashedBody, Message
from smtpapi.pipeline.pass_through import Reads, reads
from smtpapi.pipeline.transaction import MessageResult, Site, consider
from smtpapi.rewrite import raw_message

GOLDEN = Path(__file__).parents[1] / "golden" / "messages"
OUTSIDE = Field("Received", b" from x (x [203.0.113.9]) by mx.example (Postfix) with ESMTP id A; date")
HOOK = "def validate_data_spool(msg, ac, vctx):\n    assert msg.body\n"
LARGE = "limits { max_message_size = 2000 }"
BODIES = (
    b"",
    BODY,
    b"[[data-msys-clicktrack=0]] https://shop.example/",
    b"--b\r\nContent-Type: text/html\r\n\r\n" + BODY + b"--b--\r\n",
    BODY * 50,
)


def typed(value: bytes) -> Field:
    return Field("Content-Type", b" " + value)


def outcome_of(where: Site, envelope: Envelope, message: Message, session: dict[str, str]) -> MessageResult:
    return consider(where, envelope, message, session, now=NOW, tick=lambda: 0.0)


def check(where: Site, envelope: Envelope, message: Message, session: dict[str, str]) -> Reads:
    """What will be read; and that the outcome stays what it is without what will not be."""
    found = reads(where, envelope, replace(message, body=b""), session)
    most = where.settings.limits.max_message_size
    message = replace(message, body=message.body[: most + 1])  # as the session has it
    size = len(message.body)
    if found is Reads.NOTHING or (found is Reads.WHAT_FITS and size > most):
        hashed = HashedBody(size, hashlib.sha256(message.body).digest())
        without = outcome_of(where, envelope, replace(message, body=b"", hashed=hashed), session)
        assert without == outcome_of(where, envelope, message, session)
    return found


ASKING = api(bcc=[{"address": "archive@example.org"}], campaign_id="c")
MODES = ("split", "readdress", "untracked", "shared")


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        ((typed(b"text/html"),), {}, Reads.WHAT_FITS),
        ((typed(b"multipart/mixed; boundary=b"),), {}, Reads.WHAT_FITS),
        ((), {"client": HOP}, Reads.WHAT_FITS),
        ((Field("X-Smtpapi-Id", b" 00112233445566778899aabbccddeeff 1 00"),), {}, Reads.ALL),
        ((Field("X-Smtpapi-Split", b" 1 1 abcd"),), {"client": HOP}, Reads.ALL),
        ((Field("X-Smtpapi-Split", b" 1 1 abcd"),), {"client": STRANGER}, Reads.NOTHING),
        ((), {"client": STRANGER}, Reads.NOTHING),
        ((OUTSIDE,), {}, Reads.NOTHING),
        ((OUTSIDE, Field("X-Smtpapi-Id", b" x")), {}, Reads.NOTHING),
        ((), {"sender": ""}, Reads.NOTHING),
        ((Field("DKIM-Signature", b" v=1"),), {}, Reads.NOTHING),
        ((Field("ARC-Seal", b" i=1"),), {}, Reads.NOTHING),
        ((Field("X-PGP-Sig", b" x"),), {}, Reads.NOTHING),
        ((Field("X-\udce4", b" x"),), {}, Reads.NOTHING),
        ((typed(b"multipart/signed; boundary=b"),), {}, Reads.NOTHING),
        ((typed(b"multipart/report; boundary=b"),), {}, Reads.NOTHING),
        ((typed(b"application/pkcs7-mime"),), {}, Reads.NOTHING),
        ((typed(b"application/pdf"),), {}, Reads.NOTHING),
        ((typed(b"text/x-amp-html"),), {}, Reads.NOTHING),
        ((typed(b"text/html"), typed(b"text/plain")), {}, Reads.NOTHING),
        ((typed(b"text/html"), Field("Content-Disposition", b" attachment")), {}, Reads.NOTHING),
        ((), {"context": {"__bypass_smtpapi": "true"}}, Reads.NOTHING),
    ],
)
def test_h5_what_a_header_settles_needs_no_body(
    fields: tuple[Field, ...], facts: dict[str, Any], expected: Reads, body: bytes
) -> None:
    if not any(field.name == "Content-Type" for field in fields):
        fields = (*fields, FIELDS[0])
    for mode in MODES:
        for options in ("", "click_tracking_enabled = false\n open_tracking_enabled = false"):
            where = site(mode, options)
            where = Site.build(replace(where.settings, limits=_LIMITS), RING)
            for header in ((), (ASKING,), (Field("X-MSYS-API", b" {"),)):
                for recipients in (TO, TO[:1]):
                    message = Message((*FIELDS[1:], *fields, *header), body)
                    given = replace(mail(where), **facts)
                    envelope = Envelope(given.client, given.sender, recipients, "Q1")
                    assert check(where, envelope, message, given.context or {}) is expected


_LIMITS = load_text(f"smtpapi {{ }} {LARGE}").limits


@pytest.mark.parametrize("fields", [(), (Field("DKIM-Signature", b" v=1"),), (typed(b"application/pdf"),)])
def test_h5_a_policy_may_look_at_any_body_but_a_strangers(fields: tuple[Field, ...]) -> None:
    where = site(policy=HOOK)
    message = Message((*FIELDS[1:], *fields), BODY)
    for client, expected in ((CLIENT, Reads.ALL), (STRANGER, Reads.NOTHING)):
        assert check(where, Envelope(client, "news@example.org", TO), message, {}) is expected


def test_h5_with_the_module_off_no_body_is_read() -> None:
    off = Site.build(load_text("smtpapi { enabled = false }"), RING)
    for header in ((), (ASKING,)):
        message = Message((*FIELDS, *header), BODY)
        assert check(off, Envelope(CLIENT, "news@example.org", TO), message, {}) is Reads.NOTHING


def test_h5_the_configuration_may_bypass_all() -> None:
    where = site(options='context = [ __bypass_smtpapi = "true" ]')
    message = Message((*FIELDS, ASKING), BODY)
    assert check(where, Envelope(CLIENT, "news@example.org", TO), message, {}) is Reads.NOTHING


def test_h5_signed_mail_that_may_be_tracked_is_kept() -> None:
    where = Site.build(load_text('smtpapi { } rewriting { dkim_signed_mail = "track" }'), RING)
    message = Message((*FIELDS, Field("DKIM-Signature", b" v=1")), BODY)
    assert check(where, Envelope(CLIENT, "news@example.org", TO), message, {}) is Reads.WHAT_FITS


def test_h5_golden_messages_come_out_the_same() -> None:
    found = []
    for path in sorted(GOLDEN.glob("*/in.eml")):
        text = path.with_name("settings.conf")
        facts = {"client": "127.0.0.1", "sender": "news@example.com", "recipients": ["reader@example.test"]}
        if (given := path.with_name("envelope.json")).exists():
            facts |= json.loads(given.read_text())
        where = site() if not text.exists() else Site.build(load_text(text.read_text(), str(text)), RING)
        message = raw_message.split(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")).message
        for sender in (str(facts["sender"]), ""):
            envelope = Envelope(Client(str(facts["client"])), sender, tuple(facts["recipients"]), "Q")
            found.append(check(where, envelope, message, {}))
    assert found.count(Reads.NOTHING) > 50
    assert found.count(Reads.WHAT_FITS) > 50
