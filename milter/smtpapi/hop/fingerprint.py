"""Who a copy is: ids that a retried message gets again, and the mark that tells our own work.

Not random: everything here is a keyed hash of the message, its envelope and the signing key
(docs/decisions/0007). So a message that comes twice, because a connection broke after the filter had
answered, carries the same links and makes the same injection event; and no two recipients share an id.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from engagement.links.keys import Key, Ring, derive
from smtpapi.model.envelope import Envelope
from smtpapi.model.message import Message

MARK = "X-Smtpapi-Id"
LONGEST_WAY = 30 * 86_400  # seconds that a mail may be under way, moderated lists included

_HOUR = 3600
# The form that nearly all Dates have; the rest is left to the standard library, ten times as slow.
_DATE = re.compile(
    rb"\s*(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) ([12]\d{3}) (\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\s*"
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}
_FRAME_32 = (32).to_bytes(8, "big")  # what `_frame` puts before a hash
_BLAKE = hashlib.blake2b(digest_size=32)
_INJECTION = hashlib.blake2b(digest_size=16, person=b"injection")
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_PART_0 = dict(zip("0123456789abcdef", "000044448888cccc", strict=True))
_USUAL_SIZE = 200  # bytes of a Date that is worth remembering
_PAST, _FUTURE = 7 * 24 * _HOUR, _HOUR  # a Date outside is no time of sending: mail queues give up after days


class Fingerprint:
    """What stays the same when one message is sent again, hashed once for all its recipients.

    digest: 32 bytes, which all ids are made of.
    """

    __slots__ = ("_body", "_framed", "_labels", "digest")

    def __init__(self, envelope: Envelope, message: Message) -> None:
        message_ids, dates = message.all("message-id"), message.all("date")
        self._labels = message_ids, dates
        self._body = message.body_digest()
        self._framed = _frame(b"\n".join(message_ids)) + _frame(b"\n".join(dates))
        framed = _frame(_octets(envelope.sender)) + self._framed + _FRAME_32 + self._body
        if not message_ids and not dates:
            # Two equal bare messages from one sender are two messages; only the queue tells them apart.
            framed += _frame(_octets(envelope.queue_id))
        self.digest = _blake(framed)

    def resumed(self, digest: bytes) -> "Fingerprint":
        """That of a message that was here before, with the ids it got then."""
        resumed = copy(self)
        resumed.digest = digest
        return resumed

    @property
    def bound(self) -> tuple[bytes, bytes, bytes]:
        """What a mark for the way through the MTA is bound to: Message-ID, Date (b"" without one) and body.

        Not the sender: MTAs complete and rewrite it between the passes. White space is left out.
        """
        message_ids, dates = self._labels
        return _bare(message_ids), _bare(dates), self._body

    def is_bound(self, bound: tuple[bytes, bytes, bytes]) -> bool:
        """Whether that message is this one; an MTA may have added a Message-ID or a Date meanwhile."""
        *labels, body = self.bound
        return hmac.compare_digest(body, bound[2]) and all(
            was in (b"", now) for was, now in zip(bound[:2], labels, strict=True)
        )

    def message_id(self, key: Key, recipient: str) -> bytes:
        """16 bytes: one recipient's copy."""
        return _hmac(key, b"message-id", _FRAME_32 + self.digest + _frame(_octets(recipient)))[:16]

    def transmission_id(self, key: Key) -> int:
        """Unsigned 64 bits, shared by all copies of the message (contract.md 3.7)."""
        return int.from_bytes(_hmac(key, b"transmission-id", _FRAME_32 + self.digest)[:8], "big")

    def mark(self, key: Key, recipient: str, message_id: bytes) -> str:
        """The value of the mark: `<message id> <key id> <mac>`, in hexadecimal but for the key's number."""
        return f"{message_id.hex()} {key.id} {self._mac(key, recipient, message_id)}"

    def is_marked(self, ring: Ring, recipient: str, value: bytes) -> bool:
        """Whether this value of the mark's field is ours, for this message and recipient."""
        found = _marked(value)
        key = None if found is None else ring.get(found[1])
        if found is None or key is None:
            return False
        return hmac.compare_digest(self._mac(key, recipient, found[0]).encode(), found[2])

    def _mac(self, key: Key, recipient: str, message_id: bytes) -> str:
        """Bound to the labels, which survive our own edits: not to the body."""
        framed = _frame(message_id) + _frame(_octets(recipient)) + _FRAME_32 + _blake(self._framed)
        return _hmac(key, b"mark", framed)[:16].hex()


def marked_id(value: bytes) -> bytes | None:
    """The message id that a mark names, which proves nothing yet; None for what is no mark."""
    found = _marked(value)
    return None if found is None else found[0]


def _marked(value: bytes) -> tuple[bytes, int, bytes] | None:
    """Message id, key id and mac of a mark's value."""
    words = value.split()
    if len(words) != 3 or not words[1].isdigit() or len(words[1]) > 5:
        return None
    try:
        message_id = bytes.fromhex(words[0].decode("ascii"))
    except ValueError:
        return None
    return (message_id, int(words[1]), words[2]) if len(message_id) == 16 else None


def event_id(message_id: bytes, issued: int) -> str:
    """The injection event's id: the same for a retry. UUID of RFC 9562 5.7's form, ordered by issue time."""
    digest = _INJECTION.copy()
    digest.update(message_id)
    milliseconds = max(issued, 0) * 1000 & (1 << 48) - 1
    digits = (milliseconds.to_bytes(6, "big") + digest.digest()[6:]).hex()
    # Version 7 and the variant go over digits of the hash; the lowest two bits are 0: part 0 of an event
    # (engagement.events.ids).
    variant, part = _VARIANT[digits[16]], _PART_0[digits[31]]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:31]}{part}"


def pseudonym(key: Key, recipient: str) -> str:
    """Stands for a recipient where the privacy mode keeps the address out: an address in no one's domain."""
    return f"{_hmac(key, b'pseudonym', _frame(_octets(recipient.lower())))[:20].hex()}@pseudonym.invalid"


def issued_at(message: Message, now: float) -> int:
    """When the message was sent, in Unix seconds: the same for a retry.

    Its Date, if that lies within a week before and an hour after now; else now, cut to the hour.
    """
    if values := message.all("date"):
        try:
            date = values[0]
            sent = _usual_seconds(date) if len(date) <= _USUAL_SIZE else _seconds(date)
        except (ValueError, TypeError, OverflowError, IndexError):
            sent = 0
        if now - _PAST <= sent <= now + _FUTURE:
            return sent
    return int(now) // _HOUR * _HOUR


def _seconds(date: bytes) -> int:
    """Unix seconds of a Date (RFC 5322 3.3). Raises what the standard library's parser does."""
    if (plain := _DATE.fullmatch(date)) and (month := _MONTHS.get(plain[2])):
        day, _, year, hour, minute, second, hours, minutes = plain.groups()
        east = int(hours) * _HOUR + int(hours[:1] + minutes) * 60
        if abs(east) < 24 * _HOUR:
            at = datetime(int(year), month, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
            return int(at.timestamp()) - east
    parsed = parsedate_to_datetime(date.decode("ascii", "replace"))
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int((parsed - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


# Where many mails come within a second, they share their Dates.
_usual_seconds = lru_cache(maxsize=256)(_seconds)


def _bare(values: Sequence[bytes]) -> bytes:
    return _digest(*(b"".join(value.split()) for value in values))[:16] if values else b""


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _frame(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def _digest(*parts: bytes) -> bytes:
    """One hash over parts, each with its length before it so that no two lists give the same input."""
    return _blake(b"".join(map(_frame, parts)))


def _blake(framed: bytes) -> bytes:
    digest = _BLAKE.copy()
    digest.update(framed)
    return digest.digest()


def _hmac(key: Key, purpose: bytes, framed: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of the hash over framed parts."""
    digest = _BLAKE.copy()
    digest.update(framed)
    mac = _prepared(key.secret, purpose).copy()
    mac.update(digest.digest())
    return mac.digest()


@lru_cache(maxsize=1024)
def _prepared(secret: bytes, purpose: bytes) -> hmac.HMAC:
    """With the key in it: a copy goes on in two thirds of the time of a new one."""
    return hmac.new(derive(secret, purpose, "", 32), digestmod="sha256")
