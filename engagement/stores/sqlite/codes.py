"""The numbers that stand for types, classes and ids in the file. They never change; new ones go last."""

from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from uuid import UUID

from engagement.events.classify import ReaderClass

TYPES: Final = (
    "",
    "click",
    "open",
    "initial_open",
    "amp_click",
    "amp_open",
    "amp_initial_open",
    "list_unsubscribe",
    "link_unsubscribe",
    "injection",
    "delivery",
    "delay",
    "bounce",
    "expiration",
    "out_of_band",
    "spam_complaint",
)
TYPE_CODES: Final = {name: code for code, name in enumerate(TYPES)}
SECOND: Final = TYPE_CODES["link_unsubscribe"]  # the second row of a click
HITS: Final = tuple(code for code in range(1, SECOND))  # the rows that have a hit's record of their own
LABELLED: Final = (*HITS, SECOND)  # those that have a class
CLASSES: Final = ("", "human", "proxy", "prefetch", "scanner", "probe", "unknown")
CLASS_CODES: Final = {name: code for code, name in enumerate(CLASSES)}
assert {each.value for each in ReaderClass} <= set(CLASSES), "a class without a number"
PROBE: Final = CLASS_CODES["probe"]

RUN_BITS: Final = 17  # places of one run of `lookup`: some 40,000 messages


class Lookup(IntEnum):
    """What a row of `lookup` leads from."""

    RECIPIENT = 1  # tenant and address in lower case
    TRANSMISSION = 2
    QUEUE_ID = 3  # whatever host gave it
    MESSAGE_ID_HEADER = 4
    EVENT_ID = 5  # of events whose id tells another time than their own


NAMES: Final = {"queue_id": Lookup.QUEUE_ID, "message_id_header": Lookup.MESSAGE_ID_HEADER}


def hashed(*parts: str) -> int:
    """Return 64 bits that stand for texts, as SQLite's integers are; never 0."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True) or 1


def signed(number: int) -> int:
    """Return an unsigned number of 64 bits as SQLite holds it. Raises OverflowError for a larger one."""
    if number >> 64:
        raise OverflowError("more than 64 bits")
    return number - (1 << 64) if number >> 63 else number


@lru_cache(maxsize=4096)  # the events of a message come soon after each other
def recipient_hash(tenant: str, recipient: str) -> int:
    """Return what a recipient is found by, 0 for none. recipient: in lower case."""
    return hashed(tenant, recipient) if recipient else 0


def event_ref(at_ms: int, event_id: bytes) -> bytes:
    """Return the reference of an event in `lookup`."""
    return at_ms.to_bytes(8, "big") + event_id


def event_key(event_id: str) -> bytes:
    """Return an event's id as its 16 bytes. Raises ValueError for a text that is no id."""
    digits = event_id.replace("-", "")
    if len(digits) == 32 and digits.isalnum() and digits.isascii():
        return bytes.fromhex(digits)
    return UUID(event_id).bytes  # of the other forms that it knows
