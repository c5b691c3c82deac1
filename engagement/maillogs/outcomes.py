"""From lines to events: what became of which message (contract.md 7.1).

A message that a content filter takes and hands back, that an alias sends on, or that takes the hop of
etc/postfix, is in the queue several times, under other queue ids. Its first delivery is none: it says what
the next queue id is, and the path is kept, so that the last outcome leads to the message.

Invariants: equal lines make equal events, whatever was read before them, but for the number of tries and the
path. No address is in an event.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from engagement.bounces.classes import ADMIN_FAILURE, BounceClasses, shipped
from engagement.bounces.reasons import enhanced_code, reply_code, without_addresses
from engagement.events.ids import reported_id
from engagement.events.model import MessageEvent, recipient_mark
from engagement.maillogs import postfix, sendmail
from engagement.maillogs.facts import Attempt, Began, Expired, Fact, Gone, Line, Named, Status
from engagement.maillogs.memory import Failed, Queued, QueueMemory

_TYPES: Final = {
    Status.SENT: "delivery",
    Status.DEFERRED: "delay",
    Status.BOUNCED: "bounce",
    Status.DISCARDED: "bounce",
    Status.EXPIRED: "expiration",
}
_PATH: Final = 4  # hops that are remembered; a content filter is one, and a loop must not make more
_RECIPIENTS: Final = 1000  # of one message whose failures are remembered, as they are stored with it


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Makes events of lines.

    node: the MTA's host, as injections name it. next_hops: hosts, addresses or ports (`:10026`) of this host
    or site that hand mail back to an MTA whose log is followed; loopback and unix sockets always are.
    """

    node: str
    memory: QueueMemory
    next_hops: frozenset[str] = frozenset()
    classes: BounceClasses = field(default_factory=shipped)

    def of(self, line: Line) -> tuple[MessageEvent, ...]:
        """Return the events of one line. Raises MemoryFileError."""
        events: list[MessageEvent] = []
        for fact in facts(line):
            events += self._turn(fact, line)
        return tuple(events)

    def _turn(self, fact: Fact, line: Line) -> tuple[MessageEvent, ...]:
        if isinstance(fact, Began):
            self.memory.comes(fact.queue_id).source = fact.earlier
            return ()
        if isinstance(fact, Named):
            known = self.memory.of(fact.queue_id)
            begun = known.whole and not known.header
            known = self.memory.changed(fact.queue_id) if begun else self.memory.comes(fact.queue_id)
            known.header, known.recipients = fact.header, fact.recipients
            return ()
        if isinstance(fact, Gone):
            self.memory.drop(fact.queue_id)
            return ()
        if isinstance(fact, Expired):
            return self._expired(fact, line.at_ms)
        return self._attempt(fact, line)

    def _attempt(self, attempt: Attempt, line: Line) -> tuple[MessageEvent, ...]:
        queue_id = attempt.queue_id
        known = self.memory.of(queue_id)
        mark = self._mark(queue_id, attempt.original or attempt.recipient)
        path = self._path(known, attempt, mark)
        if attempt.next_queue_id and self._is_hop(attempt):
            if not self.memory.is_gone(attempt.next_queue_id):
                after = self.memory.changed(attempt.next_queue_id)
                # An agent of this host that forwards keeps the original recipient, SMTP does not.
                for address in {attempt.recipient, attempt.original or attempt.recipient}:
                    there = self._mark(attempt.next_queue_id, address)
                    after.earlier[there] = [(queue_id, mark), *path][:_PATH]
            return ()
        failed = known.failed.get(mark)
        event = self._event(attempt, line, mark, failed.count if failed else 0 if known.whole else -1)
        # Sendmail logs no original recipient: one of an only one is left to the queue id.
        event = event._replace(
            recipient_mark=0 if "/" not in line.program and known.recipients == 1 else mark,
            message_id_header=known.header,
            earlier=tuple(path),
        )
        if attempt.status == Status.DEFERRED:
            count = failed.count + 1 if failed else 1
            if failed or len(known.failed) < _RECIPIENTS:
                self.memory.changed(queue_id).failed[mark] = Failed(
                    count, event.raw_reason, event.error_code, event.enhanced_code, event.bounce_class
                )
        elif failed:
            del self.memory.changed(queue_id).failed[mark]
        return (event,)

    def _event(self, attempt: Attempt, line: Line, mark: int, tries: int) -> MessageEvent:
        kind = _TYPES[attempt.status]
        reply = reply_code(attempt.reason)
        enhanced = attempt.enhanced or enhanced_code(attempt.reason)
        # A queue that is flushed, or reloaded, tries twice within the tenth of a second that is logged.
        moment = (attempt.delay, line.pid)
        name = (self.node, attempt.queue_id, attempt.recipient, attempt.original, kind, *moment)
        event = MessageEvent(
            reported_id(line.at_ms, *name),
            line.at_ms,
            kind,
            self.node,
            attempt.queue_id,
            mark,
            enhanced_code=enhanced[:12],
            queue_time=attempt.queue_time,
            num_retries=tries,
            remote_host=attempt.host[:255],
            remote_address=_address(attempt.address),
            delv_method=attempt.method[:32],
        )
        if attempt.status == Status.SENT:
            return event
        bounce_class = (
            ADMIN_FAILURE
            if attempt.status == Status.DISCARDED
            else self.classes.of(enhanced, reply, attempt.reason)
        )
        return event._replace(
            raw_reason=without_addresses(attempt.reason, attempt.recipient, attempt.original),
            error_code=reply,
            bounce_class=bounce_class,
        )

    def _expired(self, fact: Expired, at_ms: int) -> tuple[MessageEvent, ...]:
        """Return an event for each recipient who still waited; one for nobody where none is known."""
        known = self.memory.of(fact.queue_id)
        waited = dict(known.failed) or {0: Failed(-1, "", "", "", 0)}
        if known.failed:
            self.memory.changed(fact.queue_id).failed = {}
        alone = len(waited) == 1 and known.recipients == 1
        return tuple(
            MessageEvent(
                reported_id(at_ms, self.node, fact.queue_id, str(mark), "expiration"),
                at_ms,
                "expiration",
                self.node,
                fact.queue_id,
                0 if alone else mark,
                message_id_header=known.header,
                raw_reason=failed.reason,
                error_code=failed.error_code,
                enhanced_code=failed.enhanced_code,
                bounce_class=failed.bounce_class,
                num_retries=failed.count,
                earlier=tuple(known.earlier.get(mark, ())),
            )
            for mark, failed in waited.items()
        )

    def _mark(self, queue_id: str, recipient: str) -> int:
        return recipient_mark(self.node, queue_id, recipient)

    def _path(self, known: Queued, attempt: Attempt, mark: int) -> list[tuple[str, int]]:
        """Return under which other queue ids and marks the injection may be, the likeliest first."""
        here = self._mark(attempt.queue_id, attempt.recipient)
        path = list(known.earlier.get(mark) or known.earlier.get(here) or ())
        if known.source and not path:
            path.append((known.source, self._mark(known.source, attempt.original or attempt.recipient)))
        return [*path, (attempt.queue_id, here)] if here != mark else path

    def _is_hop(self, attempt: Attempt) -> bool:
        if attempt.method == "local":
            return True  # it forwards
        names = {attempt.host.lower(), attempt.address.lower(), f":{attempt.port}"}
        return "/" in attempt.address or _is_loopback(attempt.address) or not names.isdisjoint(self.next_hops)


def facts(line: Line) -> tuple[Fact, ...]:
    """Return what a line of either MTA says, () for one that says nothing about a delivery."""
    if "/" in line.program:
        found = postfix.fact(line.program, line.text)
        return (found,) if found else ()
    return sendmail.facts(line.text)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
