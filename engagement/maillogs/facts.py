"""What a line of a mail log says, as plain values. Not which message it is about: that is `outcomes`."""

from enum import StrEnum
from typing import NamedTuple


class Line(NamedTuple):
    """A line of a log without its head.

    at_ms: Unix milliseconds. program: the syslog tag. text: the rest. pid: of the process that wrote
    it, "" if not known.
    """

    at_ms: int
    program: str
    text: str
    pid: str = ""


class Status(StrEnum):
    """How an attempt to deliver ended."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    DISCARDED = "discarded"


class Attempt(NamedTuple):
    """One attempt to deliver to one recipient.

    recipient: as it is delivered to, original: as it came in, before aliases, "" where the log does not say.
    reason: the text of the other side. enhanced: RFC 3463, or "". delay: with the process, what
    distinguishes two tries of one second, as the log has it. queue_time: milliseconds, -1 for not known.
    host, address, port: of the other side; of a socket the path is in address. method: how
    it is delivered. next_queue_id: what the other side calls the message, "" if it does not say.
    """

    queue_id: str
    recipient: str
    original: str
    status: Status
    reason: str = ""
    enhanced: str = ""
    delay: str = ""
    queue_time: int = -1
    host: str = ""
    address: str = ""
    port: int = 0
    method: str = ""
    next_queue_id: str = ""


class Expired(NamedTuple):
    """All recipients of a message that still wait are given up."""

    queue_id: str


class Began(NamedTuple):
    """A message comes into the queue. earlier: its queue id at the MTA that hands it in, "" if not known."""

    queue_id: str
    earlier: str


class Named(NamedTuple):
    """What a message is called. header: its Message-ID. recipients: how many, 0 for not known."""

    queue_id: str
    header: str
    recipients: int = 0


class Gone(NamedTuple):
    """A message left the queue; its queue id may come again for another."""

    queue_id: str


Fact = Attempt | Expired | Began | Named | Gone
