"""The mark that sends a message for several recipients over the hop, and what it remembers.

On the first pass the filter cannot give each recipient their own body: it seals what only this pass knows
(client, login, listener, time, the X-MSYS-API header) into the mark, and the MTA's hop brings the message
back once for each recipient (design.md 5). Not the routing, which is the MTA's configuration, and not the
decision to split.

Invariants: a mark opens only with a key of ours and only within the time that a message may wait in the hop's
queue; whether it is this message's, `Entry.bound` says. Nothing of what it holds can be read on the way: the
header's bcc list is in it.
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
_VERSION = b"1"
# Postfix gives up queued mail after maximal_queue_lifetime, 5 days by default; clocks of one machine step.
_LONGEST_WAIT = 10 * 86_400
_CLOCK_STEP = 86_400
_LINE = 72  # characters of base64 a line: Sendmail cuts unfolded lines on relaying (docs/quirks.md)
_BLANKS = re.compile(rb"[\s]+")
_NAME = 4  # bytes of a name's hash: a thousand recipients must fit into the field; nobody gains by a clash
_LARGEST = 16 * 2**20  # bytes of an opened mark; we made it, so this only bounds a fault of ours


@dataclass(frozen=True, slots=True)
class SplitRecipient:
    """What the first pass knew. at, issued: Unix seconds of that pass, and of sending (`identity.issued_at`).

    first: the first RCPT TO, whose links an archive copy shares. bound, fingerprint: `identity.Fingerprint`'s
    bound and digest. signatures: `signature_id` of each DKIM-Signature on entry. directive: the X-MSYS-API
    value that counts, b"" without one. named_twice: recipients that also stand in its cc, bcc or archive
    lists, and keep the role of an original. context, message_context: variables of the session and of the
    message, before the hooks for each recipient. names: `name_of` each recipient and copy, and of whom their
    ORCPTs name, where the MTA may add recipients of its own; b"" where it does not matter.
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
        """Whether `names` has this one."""
        return any(self.names[at : at + _NAME] == name for at in range(0, len(self.names), _NAME))


def seal(entry: SplitRecipient, key: Key) -> str:
    """The mark's value, in folded lines."""
    values = [getattr(entry, each.name) for each in fields(entry)]
    values[0] = astuple(entry.client)
    values[-3:-1] = dict(entry.context), dict(entry.message_context)
    packed = msgpack.packb(values, unicode_errors="surrogateescape")
    sealed = _cipher(key).encrypt(zlib.compress(packed), None)
    text = binascii.b2a_base64(sealed, newline=False).decode("ascii")
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n ".join([f"1 {key.id}", *lines])


class Unopened(Enum):
    """Why a mark was not opened."""

    NOT_OURS = "not a mark of ours"
    NO_KEY = "its key is not in the ring any more"
    TOO_OLD = "it is too old"


def unseal(value: bytes, ring: Ring, now: float) -> tuple[SplitRecipient, Key] | Unopened:
    """What a mark's value holds, and its key. Whether it belongs to a message, `Entry.bound` says."""
    words = _BLANKS.split(value.strip())
    if len(words) < 3 or words[0] != _VERSION or not words[1].isdigit() or len(words[1]) > 5:
        return Unopened.NOT_OURS
    key = ring.get(int(words[1]))
    if key is None:
        return Unopened.NO_KEY
    try:
        sealed = binascii.a2b_base64(b"".join(words[2:]), strict_mode=True)
        packed = _cipher(key).decrypt(sealed, None)
    except (InvalidTag, ValueError):
        return Unopened.NOT_OURS
    opened = zlib.decompressobj().decompress(packed, _LARGEST)
    client, at, issued, first, bound, *rest = msgpack.unpackb(
        opened, unicode_errors="surrogateescape", use_list=False
    )
    if not at - _CLOCK_STEP <= now <= at + _LONGEST_WAIT:
        return Unopened.TOO_OLD
    return SplitRecipient(Client(*client), at, issued, first, bound, *rest), key


def name_of(address: str) -> bytes:
    """Tells one recipient from another; equal addresses are to be given in one spelling."""
    return hashlib.blake2b(address.encode("utf-8", "surrogateescape"), digest_size=_NAME).digest()


def signature_id(value: bytes) -> bytes:
    """Tells one DKIM-Signature from another, however it was folded since."""
    return hashlib.blake2b(b"".join(value.split()), digest_size=8).digest()


def _cipher(key: Key) -> AESSIV:
    return AESSIV(key.derive(_PURPOSE, size=64))
