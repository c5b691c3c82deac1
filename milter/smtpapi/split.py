"""The mark that sends a message for several recipients over the hop, and what it remembers.

On the first pass the filter cannot give each recipient their own body: it seals what only this pass knows
(client, login, listener, time) into the mark, and the MTA's hop brings the message back once for each
recipient (design.md 5). Not the routing, which is the MTA's configuration, and not the decision to split.

Invariants: a mark is opened only with a key of ours, only for the message it was made for, and only within
the time that a message may wait in the hop's queue; anything else is as good as no mark. What it holds cannot
be read on the way.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import Key, Ring
from smtpapi.envelope import Client

HEADER = "X-Smtpapi-Split"

_PURPOSE = b"split"
_VERSION = b"1"
# Postfix gives up queued mail after maximal_queue_lifetime, 5 days by default; clocks of one machine step.
_LONGEST_WAIT = 10 * 86_400
_CLOCK_STEP = 86_400
_LINE = 72  # characters of base64 a line: Sendmail cuts unfolded lines on relaying (docs/quirks.md)
_BLANKS = re.compile(rb"[\s]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the first pass knew. at: Unix seconds. signatures: DKIM-Signature fields on entry.

    first: the first RCPT TO, whose links an archive copy shares; named_twice: recipients that also stand in
    the header's cc, bcc or archive lists, and keep the role of an original.
    """

    client: Client
    at: int
    first: str
    signatures: int = 0
    queue_id: str = ""
    named_twice: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)


def seal(entry: Entry, key: Key, message: bytes) -> str:
    """The mark's value, in folded lines. message: digest of what must stay the same until the second pass."""
    client = entry.client
    packed = msgpack.packb(
        [
            [
                client.address,
                client.name,
                client.login,
                client.daemon_address,
                client.daemon_port,
                client.daemon_name,
            ],
            entry.at,
            entry.first,
            entry.signatures,
            entry.queue_id,
            list(entry.named_twice),
            dict(entry.context),
        ],
        unicode_errors="surrogateescape",
    )
    sealed = binascii.b2a_base64(_cipher(key).encrypt(packed, [message]), newline=False).decode("ascii")
    lines = [sealed[at : at + _LINE] for at in range(0, len(sealed), _LINE)]
    return "\n ".join([f"1 {key.id}", *lines])


def unseal(value: bytes, ring: Ring, message: bytes, now: float) -> Entry | None:
    """What a mark's value holds; None for every value that is not ours, not this message's, or too old."""
    words = _BLANKS.split(value.strip())
    if len(words) < 3 or words[0] != _VERSION or not words[1].isdigit() or len(words[1]) > 5:
        return None
    key = ring.get(int(words[1]))
    if key is None:
        return None
    try:
        packed = _cipher(key).decrypt(binascii.a2b_base64(b"".join(words[2:]), strict_mode=True), [message])
    except (InvalidTag, ValueError):
        return None
    client, at, first, signatures, queue_id, named_twice, context = msgpack.unpackb(
        packed, unicode_errors="surrogateescape"
    )
    if not at - _CLOCK_STEP <= now <= at + _LONGEST_WAIT:
        return None
    return Entry(Client(*client), at, first, signatures, queue_id, tuple(named_twice), context)


def _cipher(key: Key) -> AESSIV:
    return AESSIV(key.derive(_PURPOSE, size=64))
