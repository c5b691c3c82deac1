"""Ids that a retry gets again, and the mark that tells our own work (contract.md 3.7, 5.8)."""

import hashlib
import hmac
import random
import re
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

import pytest

from engagement.events.ids import is_event_id
from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.hop import fingerprint
from smtpapi.hop.fingerprint import Fingerprint, event_id, issued_at, pseudonym
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Plan, Refuse, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider

NOW = 1_795_501_800.0  # 24 Nov 2026, 06:30 UTC
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RING = Ring().rotated(b"k" * 32, 1)
SITE = Site.build(
    load_text(
        'smtpapi { } ESMTP_Listener { click_tracking_enabled = true tracking_domain = "t.example.net" }'
    ),
    RING,
)
LABELS = (Field("Message-ID", b" <1@example.org>"), Field("Date", b" Tue, 24 Nov 2026 06:30:00 +0000"))
BODY = b"see http://x.example/ there\r\n"


def message(*fields: Field, body: bytes = BODY) -> Message:
    return Message((*fields, Field("Content-Type", b" text/plain")), body)


def envelope(
    recipient: str = "b@example.net", sender: str = "a@example.org", queue_id: str = "Q1"
) -> Envelope:
    return Envelope(Client("127.0.0.1"), sender, (recipient,), queue_id)


def run(mail: Message, to: Envelope | None = None, now: float = NOW, site: Site = SITE) -> MessageResult:
    return consider(site, to or envelope(), mail, now=now, tick=time.monotonic)


def why(considered: MessageResult) -> Why | None:
    assert not isinstance(considered.outcome, Refuse | Discard)
    return considered.outcome.why


def links(considered: MessageResult) -> list[bytes]:
    assert isinstance(considered.outcome, Plan)
    return [edit.new for edit in considered.outcome.edits]


def mark(considered: MessageResult) -> Field:
    assert isinstance(considered.outcome, Plan)
    values = [
        change.value
        for change in considered.outcome.headers
        if change.name == "X-Smtpapi-Id" and change.value
    ]
    assert len(values) == 1
    return Field("X-Smtpapi-Id", b" " + values[0].encode())


def test_a_retry_gets_the_same_links_and_the_same_event() -> None:
    first = run(message(*LABELS))
    retry = run(message(*LABELS), envelope(queue_id="Q2"), now=NOW + 3600)
    assert links(first) == links(retry)
    assert first.injections[0].id == retry.injections[0].id


def test_a_retry_after_an_hour_gets_a_later_expiry_under_the_same_ids() -> None:
    """Links live from their making (docs/decisions/0007)."""
    first = run(message(*LABELS))
    retry = run(message(*LABELS), envelope(queue_id="Q2"), now=NOW + 3 * 3600)
    assert links(first) != links(retry)
    assert first.injections[0].id == retry.injections[0].id
    assert first.injections[0].message_id == retry.injections[0].message_id


@pytest.mark.parametrize(
    "other",
    [
        (message(*LABELS), envelope("c@example.net")),
        (message(*LABELS), envelope(sender="z@example.org")),
        (message(*LABELS, body=BODY + b"x\r\n"), envelope()),
        (message(Field("Message-ID", b" <2@example.org>"), LABELS[1]), envelope()),
        (message(LABELS[0], Field("Date", b" Tue, 24 Nov 2026 06:29:59 +0000")), envelope()),
    ],
)
def test_another_message_or_recipient_gets_other_links(other: tuple[Message, Envelope]) -> None:
    ours, theirs = run(message(*LABELS)), run(*other)
    assert links(ours) != links(theirs)
    assert ours.injections[0].message_id != theirs.injections[0].message_id
    assert ours.injections[0].id != theirs.injections[0].id


def test_the_recipient_alone_does_not_change_the_transmission() -> None:
    ours, theirs = run(message(*LABELS)), run(message(*LABELS), envelope("c@example.net"))
    assert ours.injections[0].transmission_id == theirs.injections[0].transmission_id
    assert 0 <= ours.injections[0].transmission_id < 2**64


def test_parts_cannot_be_moved_from_one_field_into_another() -> None:
    def ids(sender: str, message_id: bytes) -> bytes:
        mail = Message((Field("Message-ID", message_id),), b"")
        return Fingerprint(envelope(sender=sender), mail).message_id(RING.signing, "r", 0)

    assert ids("ab", b"c") != ids("a", b"bc")


@pytest.mark.parametrize("labels", [(), LABELS, (*LABELS, *LABELS)])
def test_ids_are_what_the_decision_says(labels: tuple[Field, ...]) -> None:
    """docs/decisions/0007, by the standard library's own HMAC."""
    key, mail, recipient = RING.signing, message(*labels), "bé\udcff@example.net"

    def digest(*parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.blake2b(framed, digest_size=32).digest()

    def mac(purpose: bytes, *parts: bytes) -> bytes:
        return hmac.digest(key.derive(purpose), digest(*parts), "sha256")

    to = recipient.encode("utf-8", "surrogateescape")
    names = [
        b"\n".join(each.value for each in labels if each.name == name) for name in ("Message-ID", "Date")
    ]
    bare = () if labels else (b"Q1",)
    whole = digest(b"a@example.org", *names, hashlib.sha256(mail.body).digest(), *bare)
    ours = Fingerprint(envelope(), mail)
    issued = 1_795_501_800
    message_id = issued.to_bytes(4, "big") + mac(b"message-id", whole, to)[:12]
    assert ours.message_id(key, recipient, issued) == message_id
    assert ours.transmission_id(key) == int.from_bytes(mac(b"transmission-id", whole)[:8], "big")
    seal = mac(b"mark", message_id, to, digest(*names))[:16].hex()
    assert ours.mark(key, recipient, message_id) == f"{message_id.hex()} 1 {seal}"


def test_an_event_s_id_is_cut_from_a_hash_of_the_message_id() -> None:
    for number in range(200):
        message_id, issued = number.to_bytes(16, "big"), number * 7**number
        chance = hashlib.blake2b(message_id, digest_size=16, person=b"injection").digest()
        bits = (issued * 1000) % 2**48 << 80 | int.from_bytes(chance, "big") % 2**80
        bits = bits & ~(0xF << 76 | 0b11 << 62 | 0b11) | 7 << 76 | 0b10 << 62
        assert event_id(message_id, issued) == str(UUID(int=bits))


def test_bare_messages_are_told_apart_by_the_queue_alone() -> None:
    bare = message()
    assert links(run(bare, envelope(queue_id="Q1"))) != links(run(bare, envelope(queue_id="Q2")))
    dated = message(LABELS[1])
    assert links(run(dated, envelope(queue_id="Q1"))) == links(run(dated, envelope(queue_id="Q2")))


def test_another_key_makes_other_ids() -> None:
    other = Ring().rotated(b"o" * 32, 1).signing
    mail = Fingerprint(envelope(), message(*LABELS))
    assert mail.message_id(RING.signing, "r", 9) != mail.message_id(other, "r", 9)
    assert mail.transmission_id(RING.signing) != mail.transmission_id(other)


def test_ids_of_one_time_are_neighbours_whenever_and_however_often_they_are_made() -> None:
    def ids(date: bytes, now: float) -> set[bytes]:
        mail = message(LABELS[0], Field("Date", date))
        return {run(mail, envelope(f"{one}@example.net"), now).injections[0].message_id for one in "abc"}

    early, late = b" Tue, 24 Nov 2026 06:00:00 +0000", b" Tue, 24 Nov 2026 06:00:01 +0000"
    assert ids(early, NOW) == ids(early, NOW + 3 * 3600)
    assert len(ids(early, NOW)) == 3
    assert max(ids(early, NOW)) < min(ids(late, NOW))
    for false in (b" Mon, 1 Jan 1990 00:00:00 +0000", b" Mon, 1 Jan 2035 00:00:00 +0000", b" no date"):
        assert {each[:4] for each in ids(false, NOW)} == {(int(NOW) // 3600 * 3600).to_bytes(4, "big")}


def test_ids_stay_and_the_mark_goes_along_where_policy_gives_other_labels() -> None:
    key, other = RING.signing, (Field("Message-ID", b" <2@example.org>"), LABELS[1])
    first, again = (Fingerprint(envelope(), message(*labels)) for labels in (LABELS, other))
    changed = first.relabelled(message(*other))
    assert changed.message_id(key, "r", 9) == first.message_id(key, "r", 9) != again.message_id(key, "r", 9)
    made = changed.message_id(key, "r", 9)
    assert changed.mark(key, "r", made) == again.mark(key, "r", made) != first.mark(key, "r", made)
    assert changed.bound == again.bound != first.bound


# --- when it was issued


@pytest.mark.parametrize(
    ("date", "issued"),
    [
        (b" Tue, 24 Nov 2026 06:30:00 +0000", 1_795_501_800),
        (b" Tue, 24 Nov 2026 07:30:00 +0100 (CET)", 1_795_501_800),
        (b" Tue, 24 Nov 2026 06:30:00 -0000", 1_795_501_800),
        (b" Tue, 24 Nov 2026\r\n 06:30:00 +0000", 1_795_501_800),
        (b" Tue, 17 Nov 2026 06:30:00 +0000", 1_795_501_800 - 7 * 86400),
        (b" Tue, 24 Nov 2026 07:30:00 +0000", 1_795_501_800 + 3600),
    ],
)
def test_the_date_counts_within_a_week_before_and_an_hour_after(date: bytes, issued: int) -> None:
    assert issued_at(Message((Field("Date", date),), b""), NOW) == issued


@pytest.mark.parametrize(
    "date",
    [
        *(b"", b" yesterday", b" Tue, 17 Nov 2026 06:29:59 +0000", b" Tue, 24 Nov 2026 08:00:01 +0000"),
        *(
            b" Tue, 24 Nov 99999 06:30:00 +0000",
            b" Tue, 24 Nov 2026 06:30:00 +9999999999",
            b" \xff\xff",
            b" 1",
        ),
        *(b" Tue, 32 Nov 2026 25:61:61 +0000", b" " + b"(" * 3000, b" Tue, 24 Nov 0000 06:30:00 +0000"),
    ],
)
def test_else_the_hour_of_receipt_counts(date: bytes) -> None:
    mail = Message((Field("Date", date),), b"")
    assert issued_at(mail, NOW) == issued_at(mail, NOW + 1700) == 1_795_500_000


def test_a_plain_date_is_read_as_the_standard_library_reads_it() -> None:
    chance = random.Random(5)
    months = ["Jan", "Feb", "Jun", "Sep", "Nov", "Dec", "Now"]
    read = 0
    for _ in range(3000):
        clock = f"{chance.randrange(26):02}:{chance.randrange(62):02}:{chance.randrange(62):02}"
        day, year = (
            chance.choice(["1", "01", "29", "31", "32"]),
            chance.choice([0, 1, 1969, 2024, 2026, 9999]),
        )
        zone = f"{chance.choice('+-')}{chance.choice(['0000', '0100', '0530', '2359', '2400', '9999'])}"
        text = f"{chance.choice(['', 'Tue, '])}{day} {chance.choice(months)} {year:04} {clock} {zone}"
        try:
            parsed = parsedate_to_datetime(text)
            expected = int((parsed.replace(tzinfo=parsed.tzinfo or UTC) - EPOCH).total_seconds())
            read += 1
        except (ValueError, TypeError, OverflowError):
            expected = None
        try:
            found = fingerprint._seconds(b" " + text.encode())
        except (ValueError, TypeError, OverflowError):
            found = None
        assert found == expected, text
    assert read > 300


def test_a_date_of_unusual_length_is_read_but_not_kept_in_memory() -> None:
    long = b" Tue, 24 Nov 2026 06:00:00 +0000 (" + b"x" * 60_000 + b")"
    holders = sys.getrefcount(long)
    assert issued_at(message(Field("Date", long)), NOW) == 1_795_500_000
    assert sys.getrefcount(long) == holders


def test_no_date_is_no_error() -> None:
    assert issued_at(Message((), b""), NOW) == 1_795_500_000


# --- event ids and pseudonyms


def test_the_injections_id_has_the_form_of_all_event_ids() -> None:
    found = event_id(bytes(range(16)), 1_795_501_800)
    assert is_event_id(found)
    assert found[14] == "7"
    assert found[19] in "89ab"
    assert int(found[-1], 16) % 4 == 0
    assert int(found.replace("-", "")[:12], 16) == 1_795_501_800_000


def test_a_pseudonym_is_the_same_for_all_spellings_and_tells_nothing() -> None:
    one = pseudonym(RING.signing, "Ida@Example.net")
    assert one == pseudonym(RING.signing, "ida@example.net")
    assert one != pseudonym(RING.signing, "ide@example.net")
    assert re.fullmatch(r"[0-9a-f]{40}@pseudonym\.invalid", one)


# --- the mark


def test_mail_that_carries_our_mark_is_not_tracked_again() -> None:
    genuine = mark(run(message(*LABELS)))
    again = run(message(*LABELS, genuine))
    assert why(again) is Why.ALREADY_TRACKED
    assert again.injections == ()


def test_the_mark_survives_what_we_did_to_the_body() -> None:
    genuine = mark(run(message(*LABELS)))
    assert why(run(message(*LABELS, genuine, body=b"other\r\n"))) is Why.ALREADY_TRACKED


def test_a_marked_message_still_loses_the_header() -> None:
    genuine = mark(run(message(*LABELS)))
    outcome = run(message(*LABELS, genuine, Field("X-MSYS-API", b"{}"))).outcome
    assert isinstance(outcome, Plan)
    assert [(change.name, change.value) for change in outcome.headers] == [("X-MSYS-API", None)]


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"",
            b" x",
            b" 00 1 00",
            b" " + b"0" * 32 + b" 1 " + b"0" * 32,
            b" " + b"zz" * 16 + b" 1 " + b"0" * 32,
        ),
        *(b" " + b"0" * 32 + b" 9 " + b"0" * 32, b" " + b"0" * 32 + b" \xb2 " + b"0" * 32, b"\xff \xff \xff"),
        b" " + b"0" * 32 + b" 99999999999 " + b"0" * 32,
    ],
)
def test_a_forged_mark_is_removed_and_does_not_stop_tracking(value: bytes) -> None:
    considered = run(message(*LABELS, Field("x-smtpapi-id", value), Field("X-Smtpapi-Id", value)))
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.edits
    changes = [(change.name, change.index, change.value is None) for change in considered.outcome.headers]
    assert changes == [("X-Smtpapi-Id", 2, True), ("X-Smtpapi-Id", 1, True), ("X-Smtpapi-Id", 0, False)]


@pytest.mark.parametrize(
    ("mail", "to"),
    [
        (message(*LABELS), envelope("c@example.net")),
        (message(Field("Message-ID", b" <2@example.org>"), LABELS[1]), envelope()),
        (message(LABELS[0], Field("Date", b" Tue, 24 Nov 2026 06:29:00 +0000")), envelope()),
    ],
)
def test_a_mark_taken_from_another_message_is_forged(mail: Message, to: Envelope) -> None:
    stolen = mark(run(message(*LABELS)))
    outcome = run(Message((*mail.fields, stolen), mail.body), to).outcome
    assert isinstance(outcome, Plan)
    assert outcome.edits


def test_a_mark_of_an_older_key_still_counts_and_one_of_a_revoked_key_does_not() -> None:
    genuine = mark(run(message(*LABELS)))
    rotated = RING.rotated(b"n" * 32, 2)
    newer = Site.build(SITE.settings, rotated)
    assert why(run(message(*LABELS, genuine), site=newer)) is Why.ALREADY_TRACKED
    revoked = Site.build(SITE.settings, rotated.revoked(1))
    assert why(run(message(*LABELS, genuine), site=revoked)) is None


def test_no_links_no_mark() -> None:
    outcome = run(message(*LABELS, body=b"no link\r\n")).outcome
    assert isinstance(outcome, Plan)
    assert outcome.headers == ()


def test_ids_stay_the_same_from_release_to_release() -> None:
    """Retries across an upgrade, and pseudonyms in the store, depend on it: never change these."""
    fingerprint, key = Fingerprint(envelope(), message(*LABELS)), RING.signing
    message_id = fingerprint.message_id(key, "b@example.net", 1_795_501_800)
    assert message_id.hex() == "6b052ee849104d878200d38b54942fba"
    assert fingerprint.transmission_id(key) == 104231433615930003
    mark = "6b052ee849104d878200d38b54942fba 1 d9c91344b0365e3cbc074a4e3fd8866e"
    assert fingerprint.mark(key, "b@example.net", message_id) == mark
    assert pseudonym(key, "b@example.net") == "5303b2200a67404c8cb3893c734a3814b9181cf9@pseudonym.invalid"
    assert event_id(message_id, 1_795_501_800) == "01a20c3f-3a40-70d8-b953-75da79f4b1e8"
