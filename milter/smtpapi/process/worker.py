"""One worker process of the filter: made by fork, it serves sessions until it is stopped, and exits.

Spool writer and key ring file are opened here, after the fork, since they have threads and locks that two
processes must not share. The parent sends orders over a socket pair. DRAIN: new workers already serve, so
exit after the last session. STOP or end of file: finish the messages under way, then exit.
"""

import contextlib
import gc
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from engagement.events.model import Event
from engagement.events.record import encode
from engagement.links.domains_file import DomainsFile
from engagement.links.keys import Ring
from engagement.links.ring_file import RingFile
from engagement.settings import Scoped, Settings
from engagement.settings.schema import SeveralRecipients
from engagement.spool.write import SpoolWriter
from engagement.tracking_domains.copy_file import CopyFile
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Outcome, Plan, Refuse, Why
from smtpapi.mta import heap, milter_loop
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import Reads, known_to_pass, reads, without_room
from smtpapi.pipeline.site import MessageResult, Site, where_of, with_entered
from smtpapi.pipeline.transaction import consider, removable
from smtpapi.policy.hooks import AnyPolicy
from smtpapi.process.html_keeper import HtmlKeeper
from smtpapi.process.listener import BorrowedListener
from smtpapi.process.suppression_list import SuppressionList
from smtpapi.request.trust import is_trusted
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import WorkerCounters

READY = b"r"
LISTENS_NO_MORE = b"l"  # the answer to either order: new sessions go to others from now on
DRAIN = b"d"
STOP = b"s"

DRAIN_SECONDS = 300.0  # a client may idle so long (RFC 5321 4.5.3.2.7); after that its next mail gets 451
STOP_SECONDS = 20.0  # for the messages under way; below systemd's 90 s and Postfix's 300 s content timeout
# A connection that libmilter has accepted becomes a session with its first callback, which may have to wait
# for a thread. The number is a guess.
_SETTLE_SECONDS = 1.0
_CALLBACK_SECONDS = 30.0  # for callbacks under way when libmilter stops; far above limits.time_budget
_RETURN_SECONDS = 10.0  # for libmilter to return after it was stopped; its loop turns at least every 5 s


def _no_customer(_login: str) -> str:
    return ""


class WorkerServices:
    """The functions behind `SessionServices`, with the configuration, clock, ring file and spool they use."""

    def __init__(
        self,
        settings: Settings,
        policy: AnyPolicy | None,
        ring: RingFile,
        counters: WorkerCounters,
        body_memory: Callable[[int], BodyMemory] = BodyMemory,
        customer_of: Callable[[str], str] = _no_customer,
    ) -> None:
        self._settings = settings
        self._customer_of = customer_of
        self._ring = ring
        self._suppression = SuppressionList(settings)
        site = Site.build(settings, ring.current(), policy)
        self._site = replace(site, suppressed=self._suppression.current)
        entered = settings.entered_domains
        self._entered = CopyFile(Path(entered.snapshot), maillog.notice) if entered.enabled else None
        self._counters = counters
        self._body_memory = body_memory(settings.limits.max_memory)
        self._spool = SpoolWriter(
            Path(settings.spool.directory),
            sync=settings.spool.sync,
            segment_size=settings.spool.segment_size,
            max_size=settings.spool.max_size,
            max_share=settings.spool.max_share,
        )
        self._domains = DomainsFile(Path(settings.spool.directory), maillog.notice)
        self._html = HtmlKeeper(settings, maillog.notice) if settings.keeps_html() else None

    def for_sessions(self) -> SessionServices:
        """Return the services that the sessions of this process share."""
        self._suppression.start()
        rewriting = self._settings.rewriting
        mode = rewriting.several_recipients
        return SessionServices(
            consider=self.consider,
            removable=self.removable,
            record=self.record,
            keep=self._html.offer if self._html else None,
            takes_context=self.takes_context,
            customer_of=self._customer_of,
            counters=self._counters,
            tick=time.monotonic,
            max_size=self._settings.limits.max_message_size,
            passing=self.passing,
            reads=self.reads,
            without_room=self.without_room,
            body_memory=self._body_memory,
            missing=lambda rights: rights.missing(mode),
            one_recipient=self.is_trusted if mode is SeveralRecipients.DEFER else None,
            refused_at_rcpt=self.refused_at_rcpt if self._suppression.refuses_at_rcpt else None,
            resolves=mode is SeveralRecipients.READDRESS and rewriting.overlapping_aliases,
            hop=self._site.hop,
        )

    def _current_site(self) -> Site:
        """Return the site with the key ring and the entered domains that are on disk now."""
        ring = self._ring.current()
        if ring is not self._site.ring:
            self._site = replace(self._site, ring=ring)
        if self._entered is not None and (entered := self._entered.current()) != self._site.wide.entered:
            self._site = with_entered(self._site, entered)
        return self._site

    def consider(
        self, envelope: Envelope, message: Message, context: Mapping[str, str], rights: GrantedActions
    ) -> MessageResult:
        """Return the outcome of a message, with the key ring that is on disk now."""
        return consider(
            self._current_site(),
            envelope,
            message,
            context,
            now=time.time(),
            tick=time.monotonic,
            rights=rights,
        )

    def passing(self, client: Client, context: Mapping[str, str]) -> Why | None:
        """Return why a client's mail passes untouched whatever it holds; None where that depends on it."""
        return known_to_pass(self._site, client, context.get("pathway", ""))

    def reads(self, envelope: Envelope, header: Message, context: Mapping[str, str]) -> Reads:
        """Return how much of a message's body `consider` will read."""
        return reads(self._site, envelope, header, context)

    def without_room(self, envelope: Envelope, header: Message, rights: GrantedActions) -> Outcome:
        """Return the outcome of a message that found no room in memory."""
        return without_room(self._site, envelope, header, rights)

    def removable(self, envelope: Envelope, message: Message) -> tuple[HeaderChange, ...]:
        """Return the fields to take out of a message for which a fault left no result."""
        return removable(self._site, envelope, message)

    def record(self, result: MessageResult) -> None:
        """Write the injection events to the spool, and count those that it could not take.

        Record also the domain in the links: the tracker must answer for it as long as they live.
        """
        if result.decision is not None and isinstance(result.outcome, Plan):
            self._domains.used(result.decision.domain, result.decision.expiry)
        self._spooled((*result.injections, *result.suppressed))

    def _spooled(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self._spool.append(encode(event)):
                self._counters.add("events-dropped")

    def refused_at_rcpt(
        self, client: Client, sender: str, recipient: str, queue_id: str, context: Mapping[str, str]
    ) -> Refuse | None:
        """Return the reply that refuses a recipient on the suppression list, and write its events."""
        answer = self._suppression.refused(self._current_site(), client, sender, recipient, queue_id, context)
        if answer is None:
            return None
        refusal, events = answer
        self._counters.add("suppressed")
        self._spooled(events)
        return refusal

    def takes_context(self, client: Client, command: str) -> bool:
        """Return whether a command counts: the scope lists it, the client is trusted (contract.md 4.3)."""
        return command in self._scoped(client).smtp_extensions and self.is_trusted(client)

    def is_trusted(self, client: Client) -> bool:
        """Return whether a client's mail may be tracked at all."""
        return is_trusted(client, self._scoped(client).relay_hosts)

    def _scoped(self, client: Client) -> Scoped:
        return self._settings.scoped(where_of(client))

    def close(self) -> None:
        """Flush and close the spool, and follow the suppression list no more."""
        self._suppression.close()
        if self._html:
            self._html.close()
        self._spool.close()


def run(
    settings: Settings,
    policy: AnyPolicy | None,
    ring: Ring,
    listener: socket.socket,
    control: socket.socket,
    counters: WorkerCounters,
    body_memory: Callable[[int], BodyMemory] = BodyMemory,
    customer_of: Callable[[str], str] = _no_customer,
) -> NoReturn:
    """Serve in this process, made by fork, until the parent orders to stop or ends, then exit.

    ring: used while its file cannot be read. control: our end of the socket pair for orders. body_memory:
    makes from the limit this process's share of the memory for messages. customer_of: returns the customer
    of a login.

    Signals stay blocked: libmilter receives them with sigwait. If the parent is killed, control reaches its
    end of file, so messages under way finish then too.
    """
    status = 1
    try:
        _serve(settings, policy, ring, listener, control, counters, body_memory, customer_of)
        status = 0
    except BaseException:  # noqa: BLE001 - after any fault this process ends, and the parent starts another
        maillog.worker_failed()
    os._exit(status)


def _serve(
    settings: Settings,
    policy: AnyPolicy | None,
    known: Ring,
    listener: socket.socket,
    control: socket.socket,
    counters: WorkerCounters,
    body_memory: Callable[[int], BodyMemory],
    customer_of: Callable[[str], str],
) -> None:
    ring = RingFile(
        Path(settings.keys.ring), report=lambda error: maillog.ring_trouble(str(error)), known=known
    )
    worker_services = WorkerServices(settings, policy, ring, counters, body_memory, customer_of)
    services = worker_services.for_sessions()
    heap.few_arenas()
    gc.collect()
    gc.freeze()  # what is loaded stays for good, so collections need not scan it again
    returned = threading.Event()
    with tempfile.TemporaryDirectory(prefix="smtpapi-") as directory:
        borrowed = BorrowedListener(listener, Path(directory))

        def leave() -> None:
            # Do not wait for messages whose end has not come: their clients get 451 when we exit.
            _wait_until(lambda: not services.at_end_of_message, _CALLBACK_SECONDS)
            worker_services.close()

        def finish_sessions() -> None:
            _watch(control, borrowed, services)
            if not returned.wait(_RETURN_SECONDS):
                # When libmilter stops, it destroys the lock of its thread pool. If a thread holds that lock,
                # all of them wait for ever.
                maillog.never_returned()
                leave()
                shutil.rmtree(directory, ignore_errors=True)
                os._exit(0)

        watch = threading.Thread(target=finish_sessions, daemon=True)

        def around_open(open_dummy: Callable[[], None]) -> None:
            borrowed.around_open(open_dummy)
            watch.start()
            control.send(READY)

        milter_loop.serve(services, borrowed.dummy(), around_open)
        returned.set()
        leave()


def _watch(control: socket.socket, borrowed: BorrowedListener, services: SessionServices) -> None:
    """Wait for the parent's order or its end, let the sessions finish, and stop libmilter."""
    order = _order(control)
    borrowed.take_back()
    with contextlib.suppress(OSError):  # the parent may have ended
        control.send(LISTENS_NO_MORE)
    if order == DRAIN:
        control.settimeout(0.1)
        end = time.monotonic() + DRAIN_SECONDS
        quiet = time.monotonic() + _SETTLE_SECONDS
        while (now := time.monotonic()) < end and (services.sessions or now < quiet):
            if services.sessions:
                quiet = now + _SETTLE_SECONDS
            with contextlib.suppress(TimeoutError):
                _order(control)  # STOP, or the parent's end
                break
    _wait_until(lambda: not services.in_transaction, STOP_SECONDS)
    stopping = threading.Thread(target=milter_loop.stop, daemon=True)
    stopping.start()
    end = time.monotonic() + _RETURN_SECONDS
    while stopping.is_alive() and time.monotonic() < end:  # `stop` waits for libmilter's loop to turn
        borrowed.wake()
        stopping.join(0.05)


def _order(control: socket.socket) -> bytes:
    """Return the parent's order; b"" if it has ended. Before it has read READY its end is a reset."""
    try:
        return control.recv(1)
    except ConnectionError:
        return b""


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
