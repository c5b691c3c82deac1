"""The ids of a message and its copies, and the mark by which the filter recognises tracked mail.

Nothing is random: each id is a keyed hash of the message, its envelope and the signing key
(docs/decisions/0007). So a message that comes twice, because the connection broke after the filter had
answered, gets the same links and the same injection record. No two recipients share an id.
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
from engagement.links.model import PSEUDONYM_DOMAIN
from smtpapi.model.envelope import Envelope
from smtpapi.model.message import Message

MARK = "X-Smtpapi-Id"
# Seconds that a mail may be under way. Queues give up after days; a list moderator may take weeks.
LONGEST_WAY = 30 * 86_400

_HOUR = 3600
# The form of nearly all Dates. The standard library reads the others, and takes ten times as long.
_DATE = re.compile(
    rb"\s*(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) ([12]\d{3}) (\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\s*"
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}
_FRAME_32 = (32).to_bytes(8, "big")  # the prefix that `_frame` gives a hash
_BLAKE = hashlib.blake2b(digest_size=32)
_INJECTION = hashlib.blake2b(digest_size=16, person=b"injection")
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_PART_0 = dict(zip("0123456789abcdef", "000044448888cccc", strict=True))
_CACHED_SIZE = 200  # bytes of a Date that may be cached: enough for any real one; bounds the memory
# Seconds before and after now. A Date outside cannot be the time of sending, since mail queues give up after
# days.
_PAST, _FUTURE = 7 * 24 * _HOUR, _HOUR
_FAST = 60  # seconds that the clock of who wrote a Date may be ahead


class Fingerprint:
    """A hash over everything that stays the same when a message is sent again, made once for all recipients.

    digest: 32 bytes, from which all ids are made.
    """

    __slots__ = ("_body", "_framed", "_labels", "digest")

    def __init__(self, envelope: Envelope, message: Message) -> None:
        message_ids, dates = message.all("message-id"), message.all("date")
        self._labels = message_ids, dates
        self._body = message.body_digest()
        self._framed = _frame(b"\n".join(message_ids)) + _frame(b"\n".join(dates))
        framed = _frame(_octets(envelope.sender)) + self._framed + _FRAME_32 + self._body
        if not message_ids and not dates:
            # Without Message-ID and Date, only the queue id distinguishes two messages with equal text.
            framed += _frame(_octets(envelope.queue_id))
        self.digest = _blake(framed)

    def with_digest(self, digest: bytes) -> "Fingerprint":
        """Return this fingerprint with the digest of the first pass, so that the ids are those made then."""
        changed = copy(self)
        changed.digest = digest
        return changed

    def with_body(self, digest: bytes) -> "Fingerprint":
        """Return this fingerprint for the same mail with another body; the digest, and so the ids, stay."""
        changed = copy(self)
        changed.take_body(digest)
        return changed

    def take_body(self, digest: bytes) -> None:
        """Take the digest of another body."""
        self._body = digest

    def relabelled(self, message: Message) -> "Fingerprint":
        """Return this fingerprint for the same mail with another header; the digest, and so the ids, stay."""
        labels = message.all("message-id"), message.all("date")
        if labels == self._labels:
            return self
        changed = copy(self)
        changed.relabel(*labels)
        return changed

    def relabel(self, message_ids: Sequence[bytes], dates: Sequence[bytes]) -> None:
        """Take other values of Message-ID and Date."""
        labels = self._labels = message_ids, dates
        self._framed = _frame(b"\n".join(labels[0])) + _frame(b"\n".join(labels[1]))

    @property
    def bound(self) -> tuple[bytes, bytes, bytes]:
        """The facts that a split header is bound to: hashes of Message-ID and Date (b"" without one) and of
        the body.

        White space in the two fields does not count. The sender is left out, since MTAs complete and rewrite
        it between the passes.
        """
        message_ids, dates = self._labels
        return _bare(message_ids), _bare(dates), self._body

    def is_bound(self, bound: tuple[bytes, bytes, bytes]) -> bool:
        """Return whether `bound` fits this message. An MTA may have added Message-ID or Date meanwhile."""
        *labels, body = self.bound
        return hmac.compare_digest(body, bound[2]) and all(
            was in (b"", now) for was, now in zip(bound[:2], labels, strict=True)
        )

    def message_id(self, key: Key, recipient: str, issued: int) -> bytes:
        """Return the id of one recipient's copy, 16 bytes: 4 of the time, then a keyed hash.

        Ids of one time are neighbours, so a store writes to few places of its indexes. issued: Unix seconds,
        of `issued_at`.
        """
        unique = _hmac(key, b"message-id", _FRAME_32 + self.digest + _frame(_octets(recipient)))
        return time_of_id(issued) + unique[:12]

    def transmission_id(self, key: Key) -> int:
        """Return the id that all copies of the message share, unsigned 64 bits (contract.md 3.7)."""
        return int.from_bytes(_hmac(key, b"transmission-id", _FRAME_32 + self.digest)[:8], "big")

    def mark(self, key: Key, recipient: str, message_id: bytes) -> str:
        """Return the mark's value: `<message id> <key id> <mac>`, in hexadecimal except the key id."""
        return f"{message_id.hex()} {key.id} {self._mac(key, recipient, message_id)}"

    def is_marked(self, ring: Ring, recipient: str, value: bytes) -> bool:
        """Return whether this value of X-Smtpapi-Id is ours, for this message and recipient."""
        found = _marked(value)
        key = None if found is None else ring.get(found[1])
        if found is None or key is None:
            return False
        return hmac.compare_digest(self._mac(key, recipient, found[0]).encode(), found[2])

    def _mac(self, key: Key, recipient: str, message_id: bytes) -> str:
        """Return the MAC over Message-ID, Date and recipient. The body is left out, since we edit it."""
        framed = _frame(message_id) + _frame(_octets(recipient)) + _FRAME_32 + _blake(self._framed)
        return _hmac(key, b"mark", framed)[:16].hex()


def time_of_id(issued: int) -> bytes:
    """Return the 4 bytes that a message id begins with. issued: Unix seconds, in order until 2106."""
    return (max(issued, 0) & 0xFFFFFFFF).to_bytes(4, "big")


def marked_id(value: bytes) -> bytes | None:
    """Return the message id in a mark, None for a value that is not a mark. Its MAC is not checked."""
    found = _marked(value)
    return None if found is None else found[0]


def _marked(value: bytes) -> tuple[bytes, int, bytes] | None:
    """Return message id, key id and MAC of a mark's value."""
    parts = value.split()
    if len(parts) != 3 or not parts[1].isdigit() or len(parts[1]) > 5:
        return None
    try:
        message_id = bytes.fromhex(parts[0].decode("ascii"))
    except ValueError:
        return None
    return (message_id, int(parts[1]), parts[2]) if len(message_id) == 16 else None


def event_id(message_id: bytes, issued: int) -> str:
    """Return the injection event's id, the same for a retry: a UUID (RFC 9562 5.7), ordered by issue time.

    message_id: 16 bytes. issued: Unix seconds.
    """
    digest = _INJECTION.copy()
    digest.update(message_id)
    milliseconds = max(issued, 0) * 1000 & (1 << 48) - 1
    digits = (milliseconds.to_bytes(6, "big") + digest.digest()[6:]).hex()
    # Version 7 and the variant go over digits of the hash; the lowest two bits are 0: part 0 of an event
    # (engagement.events.ids).
    variant, part = _VARIANT[digits[16]], _PART_0[digits[31]]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:31]}{part}"


def pseudonym(key: Key, recipient: str) -> str:
    """Return the address that replaces a recipient's own where the privacy mode forbids to record that.

    Nobody can have an address in its domain.
    """
    return f"{_hmac(key, b'pseudonym', _frame(_octets(recipient.lower())))[:20].hex()}{PSEUDONYM_DOMAIN}"


def issued_at(message: Message, now: float) -> int:
    """Return when the message was sent, in Unix seconds: the same for a retry.

    That is its Date, if it lies between a week before now and an hour after; else now, cut to the hour.
    """
    sent = _date(message)
    if sent is not None and now - _PAST <= sent <= now + _FUTURE:
        return sent
    return int(now) // _HOUR * _HOUR


def promised_from(message: Message, now: float, *, whole: bool) -> int:
    """Return from when a link's life counts, in Unix seconds: the same for a retry within the hour.

    That is the message's Date, if it lies within the hour before now; else now, cut to the hour. whole: no
    life may be shorter than promised because of the cut, so the end of that hour is taken.
    """
    sent = _date(message)
    if sent is not None and now - _HOUR <= sent <= now + _FAST:
        return sent
    return int(now) // _HOUR * _HOUR + (_HOUR if whole else 0)


def _date(message: Message) -> int | None:
    """Return the Unix seconds of the Date field, None without one that can be read."""
    if not (values := message.all("date")):
        return None
    try:
        return _cached_seconds(values[0]) if len(values[0]) <= _CACHED_SIZE else _seconds(values[0])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _seconds(date: bytes) -> int:
    """Return the Unix seconds of a Date (RFC 5322 3.3).

    Raises ValueError, TypeError, OverflowError or IndexError, as the standard library's parser does.
    """
    if (found := _DATE.fullmatch(date)) and (month := _MONTHS.get(found[2])):
        day, _, year, hour, minute, second, hours, minutes = found.groups()
        east = int(hours) * _HOUR + int(hours[:1] + minutes) * 60
        if abs(east) < 24 * _HOUR:
            at = datetime(int(year), month, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
            return int(at.timestamp()) - east
    parsed = parsedate_to_datetime(date.decode("ascii", "replace"))
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int((parsed - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


# Many mails that come within one second have the same Date.
_cached_seconds = lru_cache(maxsize=256)(_seconds)


def _bare(values: Sequence[bytes]) -> bytes:
    return _digest(*(b"".join(value.split()) for value in values))[:16] if values else b""


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _frame(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def _digest(*parts: bytes) -> bytes:
    """Return one hash over parts. Each has its length before it, so no two lists give the same input."""
    return _blake(b"".join(map(_frame, parts)))


def _blake(framed: bytes) -> bytes:
    digest = _BLAKE.copy()
    digest.update(framed)
    return digest.digest()


def _hmac(key: Key, purpose: bytes, framed: bytes) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) of the hash over framed parts."""
    digest = _BLAKE.copy()
    digest.update(framed)
    mac = _prepared(key.secret, purpose).copy()
    mac.update(digest.digest())
    return mac.digest()


@lru_cache(maxsize=1024)
def _prepared(secret: bytes, purpose: bytes) -> hmac.HMAC:
    """Return an HMAC with its key set. A copy of it takes two thirds of the time that a new one does."""
    return hmac.new(derive(secret, purpose, "", 32), digestmod="sha256")
