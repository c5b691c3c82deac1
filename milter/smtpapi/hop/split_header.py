"""The split header: it goes over the hop with a message and holds what only the first pass knows.

On the first pass the filter cannot give each recipient a separate body. It seals the facts that only this
pass knows (client, login, listener, time, the X-MSYS-API field) into X-Smtpapi-Split. Then the MTA's hop
brings the message back once for each recipient (design.md 5). The MTA's configuration routes it;
`smtpapi.pipeline` decides which messages take the hop.

Invariants: a split header opens only with a key of the ring, and only within the time that a message may wait
in the hop's queue. `FirstPass.bound` says which message it belongs to. It is encrypted, since it holds the
bcc list.
"""

import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from enum import Enum

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import Key, Ring
from smtpapi.model.envelope import Client

HEADER = "X-Smtpapi-Split"

_PURPOSE = b"split"
VERSION = b"1"
# Seconds. Postfix (maximal_queue_lifetime) and Sendmail (Timeout.queuereturn) give up after 5 days.
_LONGEST_WAIT = 10 * 86_400
_CLOCK_STEP = 86_400  # seconds by which the clock may have been set back since the first pass; a guess
_LINE = 72  # characters of base64 a line; Sendmail cuts unfolded lines on relaying (docs/quirks.md)
_BLANKS = re.compile(rb"[\s]+")
_NAME = 4  # bytes of a name's hash; a thousand names must fit into the field, and nobody gains by a collision
_LARGEST = 16 * 2**20  # bytes of an opened header; we made it, so this only limits a fault of ours


@dataclass(frozen=True, slots=True)
class FirstPass:
    """The facts that only the first pass knew.

    at: when it ran, Unix seconds. issued: when the message was sent, Unix seconds (`fingerprint.issued_at`).
    first: the first RCPT TO; an archive copy has the same links. bound, fingerprint: `bound` and `digest` of
    the message's `Fingerprint`. signatures: `signature_id` of each DKIM-Signature on entry. directive: the
    X-MSYS-API value that counts, b"" without one. named_twice: recipients who are also in its cc, bcc or
    archive lists; they keep the role of an original. context, message_context: variables of the session and
    of the message, before the hooks for each recipient. names: the joined `name_of` hashes of each
    recipient, their ORCPT and each copy; b"" where the MTA adds no recipients of its own.
    """

    client: Client
    at: int
    issued: int
    first: str
    bound: tuple[bytes, bytes, bytes]
    fingerprint: bytes
    signatures: tuple[bytes, ...] = ()
    directive: bytes = b""
    named_twice: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    message_context: Mapping[str, str] = field(default_factory=dict)
    names: bytes = b""

    def has(self, name: bytes) -> bool:
        """Return whether `names` holds this hash."""
        return any(self.names[at : at + _NAME] == name for at in range(0, len(self.names), _NAME))


def seal(first_pass: FirstPass, key: Key) -> str:
    """Return the split header's value, in folded lines."""
    values = [getattr(first_pass, each.name) for each in fields(first_pass)]
    values[0] = astuple(first_pass.client)
    values[-3:-1] = dict(first_pass.context), dict(first_pass.message_context)
    packed = msgpack.packb(values, unicode_errors="surrogateescape")
    sealed = _cipher(key).encrypt(zlib.compress(packed), None)
    text = binascii.b2a_base64(sealed, newline=False).decode("ascii")
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n ".join([f"{VERSION.decode()} {key.id}", *lines])


class Unopened(Enum):
    """Why a split header was not opened."""

    NOT_OURS = "not a mark of ours"
    NO_KEY = "its key is not in the ring any more"
    TOO_OLD = "it is too old"


def unseal(value: bytes, ring: Ring, now: float) -> tuple[FirstPass, Key] | Unopened:
    """Return the content of a split header and the key it was sealed with, or why it does not open.

    It may belong to another message: compare `FirstPass.bound`. now: Unix seconds.
    """
    parts = _BLANKS.split(value.strip())
    if len(parts) < 3 or parts[0] != VERSION or not parts[1].isdigit() or len(parts[1]) > 5:
        return Unopened.NOT_OURS
    key = ring.get(int(parts[1]))
    if key is None:
        return Unopened.NO_KEY
    try:
        sealed = binascii.a2b_base64(b"".join(parts[2:]), strict_mode=True)
        packed = _cipher(key).decrypt(sealed, None)
    except (InvalidTag, ValueError):
        return Unopened.NOT_OURS
    opened = zlib.decompressobj().decompress(packed, _LARGEST)
    client, at, issued, first, bound, *rest = msgpack.unpackb(
        opened, unicode_errors="surrogateescape", use_list=False
    )
    if not at - _CLOCK_STEP <= now <= at + _LONGEST_WAIT:
        return Unopened.TOO_OLD
    return FirstPass(Client(*client), at, issued, first, bound, *rest), key


def name_of(address: str) -> bytes:
    """Return a short hash of a recipient. Equal addresses must be spelled alike first (`copies.same`)."""
    return hashlib.blake2b(address.encode("utf-8", "surrogateescape"), digest_size=_NAME).digest()


def signature_id(value: bytes) -> bytes:
    """Return a hash that identifies a DKIM-Signature value, however it was folded since."""
    return hashlib.blake2b(b"".join(value.split()), digest_size=8).digest()


def _cipher(key: Key) -> AESSIV:
    return AESSIV(key.derive(_PURPOSE, size=64))
