"""What all sessions of one worker process share: what they ask, and where they are counted.

Not what stands behind it (`worker`), nor a session (`session`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Outcome, Why
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.pipeline.pass_through import Reads
from smtpapi.telemetry.counters import WorkerCounters


class Judged(Protocol):
    """What `transaction.consider` gives."""

    @property
    def outcome(self) -> Outcome:
        """What becomes of the message."""

    @property
    def connection_context(self) -> Mapping[str, str]:
        """The session's context variables, for its next message."""

    @property
    def notes(self) -> tuple[str, ...]:
        """For the log."""

    @property
    def counts(self) -> tuple[str, ...]:
        """Counters to add to, besides the outcome's."""


J = TypeVar("J", bound=Judged)


@dataclass(slots=True)
class SessionServices(Generic[J]):
    """Made after the fork.

    consider: facts to judgement. removable: the fields to take out of a message that a fault kept from being
    judged. record: writes the events of a message that was accepted. takes_context: whether XSETCONTEXT
    counts on a connection. max_size: octets of a body kept in memory; one octet more is kept, so that
    `consider` sees that it was too large. one_recipient: whether a client may name one recipient a
    transaction only; None where no client is asked to. resolves: whether to ask where recipients lead.
    passing: why a client's mail is known to pass as it comes, with the session's variables; None where it is
    to be collected. reads: what will be read of a body, by envelope, header and variables. without_room:
    what becomes of a message whose header alone is there. room: for all messages under way. missing: what of
    the actions that are needed here an MTA does not grant. told: those that the log has heard of.
    """

    consider: Callable[[Envelope, Message, Mapping[str, str], GrantedActions], J]
    removable: Callable[[Envelope, Message], tuple[HeaderChange, ...]]
    record: Callable[[J], None]
    takes_context: Callable[[Client], bool]
    tally: WorkerCounters
    tick: Callable[[], float]
    max_size: int
    passing: Callable[[Client, Mapping[str, str]], Why | None]
    reads: Callable[[Envelope, Message, Mapping[str, str]], Reads]
    without_room: Callable[[Envelope, Message, GrantedActions], Outcome]
    room: BodyMemory
    missing: Callable[[GrantedActions], str]
    one_recipient: Callable[[Client], bool] | None = None
    resolves: bool = False
    told: set[str] = field(default_factory=set)
    sessions: set[int] = field(default_factory=set)  # ids of those that are open
    underway: set[int] = field(default_factory=set)  # of those between MAIL and the answer to the message
    judging: set[int] = field(default_factory=set)  # of those whose message is whole and being answered
