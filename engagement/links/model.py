"""What a tracked link says, as plain values. How it is packed and sealed: `token`."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, NamedTuple


class Kind(IntEnum):
    """What a request for the link means.

    It stands in the token's clear header and is authenticated with it.
    """

    CLICK = 1
    OPEN = 2
    INITIAL_OPEN = 3
    AMP_CLICK = 4
    AMP_OPEN = 5
    AMP_INITIAL_OPEN = 6
    LIST_UNSUBSCRIBE = 7

    # A member is equal to its number, so it may hash like it. Enum's own hash is a call in Python for each
    # look-up.
    __hash__ = int.__hash__


CLICKS = frozenset({Kind.CLICK, Kind.AMP_CLICK})
OPENS = frozenset({Kind.OPEN, Kind.INITIAL_OPEN, Kind.AMP_OPEN, Kind.AMP_INITIAL_OPEN})

RAW_URL = "Raw URL"  # the name of a link without one (contract.md 5.3)
_DAY = 86_400  # seconds
PSEUDONYM_DOMAIN = "@pseudonym.invalid"  # ends the address that stands for a recipient in mode hygiene


@dataclass(frozen=True, slots=True)
class Identity:
    """What all links of one recipient's copy share.

    message_id: 16 bytes, unique per recipient's copy. transmission_id: unsigned 64 bits, shared by copies.
    recipient: the envelope recipient as sent, "" where the privacy mode keeps it out of links.
    rcpt_type: "" for the original recipient, else "cc", "bcc" or "archive".
    issued, expiry: Unix seconds; expiry is absolute. metadata: compact JSON object text, or "".
    """

    message_id: bytes
    transmission_id: int
    recipient: str
    issued: int
    expiry: int
    rcpt_type: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: str = ""
    customer_id: str = ""
    transactional: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether this is of many messages (`shared_identity`), and says nothing of any of them."""
        return self.message_id == NO_MESSAGE and self.transmission_id == 0


NO_MESSAGE = bytes(16)


def shared_identity(campaign: str, customer_id: str, issued: int, life: int) -> Identity:
    """Return what all shared pixels of a campaign and customer hold that were sent on one day (UTC).

    issued: Unix seconds. life: seconds for which an individual pixel would count. This one counts as long,
    for the last message of the day too.
    """
    day = issued // _DAY * _DAY
    expiry = day + life + _DAY if life > 0 else day
    return Identity(NO_MESSAGE, 0, "", day, expiry, campaign=campaign, customer_id=customer_id)


class Link(NamedTuple):
    """One link of a copy.

    target: the author's URL, entities decoded once. name: "" means `RAW_URL`. ordinal: its place among the
    tracked links of its part, from 0; -1 where that is not recorded, as in tokens of format 1. part: "html",
    "text" or "amp", where the ordinal is recorded, else "".
    """

    target: bytes
    name: str = ""
    unsubscribe: bool = False
    ordinal: int = -1
    part: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a genuine token holds. link is None for pixels."""

    kind: Kind
    key_id: int
    identity: Identity
    link: Link | None
    packed: bytes = field(repr=False)  # the authenticated payload, for the event record


Reason = Literal["length", "encoding", "version", "kind", "key", "forged", "payload"]


class BadToken(Exception):
    """The token is not one of ours, or not for this place. `reason` is a short fixed word, safe to log."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class CannotSeal(ValueError):
    """Identity or link breaks a bound of the format: leave the link as the author wrote it."""
