"""The services that all sessions of one worker process share: functions to call, counters, memory.

Not how these functions are implemented (`worker`), nor a session (`session`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engagement.settings.scopes import ListenAddress
from smtpapi.hop.resume import is_at
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Outcome, Refuse, Why
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.pipeline.pass_through import Reads
from smtpapi.pipeline.site import MessageResult
from smtpapi.telemetry.counters import WorkerCounters


@dataclass(slots=True)
class SessionServices:
    """The services of a session. One object for each worker process, made after the fork.

    consider: `transaction.consider` with clock, keys and configuration bound to it; takes envelope, message,
    the session's context variables and the granted actions.
    removable: returns the header fields to remove from a message for which a fault left no result.
    record: writes the injection events of a message that was accepted.
    keep: takes such a message for a copy of its HTML, without waiting; None where no scope keeps any.
    takes_context: says whether a client may use XSETCONTEXT or XDUMPCONTEXT, by client and command
    (contract.md 4.3).
    customer_of: returns the id of the customer that a login belongs to, "" where there is none.
    max_size: octets of a body that are held in memory. One octet more is held, so that `consider` can see
    that the body was too large.
    passing: why a client's mail passes untouched whatever it holds, by client and context variables; None
    where that depends on the message.
    reads: says what `consider` reads of a body, by envelope, header and context variables.
    without_room: decides about a message of which only the header is in memory.
    body_memory: the memory that all messages of all workers share.
    missing: returns the names of the actions that this site needs and that an MTA does not grant.
    one_recipient: says whether a client may name only one recipient in a transaction; None where that holds
    for no client.
    refused_at_rcpt: returns the reply that refuses a recipient on the suppression list, and records that;
    takes client, sender, recipient, queue id and context variables. None where no scope refuses any.
    resolves: whether the MTA is asked where it delivers each recipient.
    hop: the listener by which copies come back, whose sessions are no client's; None without one.
    """

    consider: Callable[[Envelope, Message, Mapping[str, str], GrantedActions], MessageResult]
    removable: Callable[[Envelope, Message], tuple[HeaderChange, ...]]
    record: Callable[[MessageResult], None]
    takes_context: Callable[[Client, str], bool]
    customer_of: Callable[[str], str]
    counters: WorkerCounters
    tick: Callable[[], float]
    max_size: int
    passing: Callable[[Client, Mapping[str, str]], Why | None]
    reads: Callable[[Envelope, Message, Mapping[str, str]], Reads]
    without_room: Callable[[Envelope, Message, GrantedActions], Outcome]
    body_memory: BodyMemory
    missing: Callable[[GrantedActions], str]
    one_recipient: Callable[[Client], bool] | None = None
    refused_at_rcpt: Callable[[Client, str, str, str, Mapping[str, str]], Refuse | None] | None = None
    resolves: bool = False
    hop: ListenAddress | None = None
    keep: Callable[[MessageResult, Message], bool] | None = None
    reported_missing: set[str] = field(default_factory=set)  # results of `missing` that were logged
    sessions: set[int] = field(default_factory=set)  # ids of the sessions that are open
    in_transaction: set[int] = field(default_factory=set)  # of those between MAIL and the message's answer
    at_end_of_message: set[int] = field(default_factory=set)  # of those whose message is being answered

    def counts(self, client: Client) -> bool:
        """Return whether what a client does counts as its own (`TRAFFIC`), and is not the hop's."""
        return self.hop is None or not is_at(client, self.hop)
