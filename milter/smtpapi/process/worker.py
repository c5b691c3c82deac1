"""One worker process of the filter: made by fork, it serves sessions until it is told to stop, and exits.

Spool writer and key ring file are opened here, after the fork, since they hold threads and locks that two
processes must not share. The parent speaks to it over a socket pair: DRAIN (new workers
serve already: go when the last session ends), STOP or end of file (finish the messages under way, then go).
"""

import contextlib
import gc
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from engagement.events.record import encode
from engagement.links.domains_file import DomainsFile
from engagement.links.keys import Ring
from engagement.links.ring_file import RingFile
from engagement.settings import Scoped, Settings, Where
from engagement.spool.write import SpoolWriter
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Outcome, Plan, Why
from smtpapi.mta import heap, milter_loop
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import Reads, known_to_pass, reads, without_room
from smtpapi.pipeline.transaction import MessageResult, Site, consider, removable
from smtpapi.policy.hooks import Policy
from smtpapi.process.listener import BorrowedListener
from smtpapi.request.trust import is_local, is_trusted
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import WorkerCounters

READY = b"r"
DRAIN = b"d"
STOP = b"s"

DRAIN_SECONDS = 300.0  # an SMTP client may idle as long (RFC 5321 4.5.3.2.7); then its next mail gets 451
STOP_SECONDS = 20.0  # for the messages under way; below systemd's 90 s and Postfix's 300 s content timeout
# A connection that libmilter accepted is no session yet before its first callback, which waits for its turn.
_SETTLE_SECONDS = 1.0
_CALLBACK_SECONDS = 30.0  # for what libmilter began before it stopped
_RETURN_SECONDS = 10.0  # for libmilter to return once it was stopped: its loop turns at least each 5 s


class WorkerServices:
    """What the sessions of this process need, with the world behind it: clock, ring file, spool."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy | None,
        ring: RingFile,
        tally: WorkerCounters,
        room: Callable[[int], BodyMemory] = BodyMemory,
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._site = Site.build(settings, ring.current(), policy)
        self._tally = tally
        self._room = room(settings.limits.max_memory)
        self._spool = SpoolWriter(
            Path(settings.spool.directory),
            sync=settings.spool.sync,
            segment_size=settings.spool.segment_size,
            max_size=settings.spool.max_size,
            max_share=settings.spool.max_share,
        )
        self._domains = DomainsFile(Path(settings.spool.directory), maillog.notice)

    def works(self) -> SessionServices[MessageResult]:
        """The callables of a session."""
        rewriting = self._settings.rewriting
        return SessionServices(
            consider=self.consider,
            removable=self.removable,
            record=self.record,
            takes_context=self.takes_context,
            tally=self._tally,
            tick=time.monotonic,
            max_size=self._settings.limits.max_message_size,
            passing=self.passing,
            reads=self.reads,
            without_room=self.without_room,
            room=self._room,
            missing=lambda rights: rights.missing(rewriting.several_recipients),
            one_recipient=self.is_trusted if rewriting.several_recipients == "defer" else None,
            resolves=rewriting.several_recipients == "readdress" and rewriting.overlapping_aliases,
        )

    def consider(
        self, envelope: Envelope, message: Message, context: Mapping[str, str], rights: GrantedActions
    ) -> MessageResult:
        """Judge with the ring as it is on disk now."""
        ring = self._ring.current()
        if ring is not self._site.ring:
            self._site = replace(self._site, ring=ring)
        return consider(
            self._site, envelope, message, context, now=time.time(), tick=time.monotonic, rights=rights
        )

    def passing(self, client: Client, context: Mapping[str, str]) -> Why | None:
        """Why a client's mail is known to pass as it comes."""
        return known_to_pass(self._site, client, context.get("pathway", ""))

    def reads(self, envelope: Envelope, header: Message, context: Mapping[str, str]) -> Reads:
        """What will be read of a message's body."""
        return reads(self._site, envelope, header, context)

    def without_room(self, envelope: Envelope, header: Message, rights: GrantedActions) -> Outcome:
        """What becomes of a message that found no room in memory."""
        return without_room(self._site, envelope, header, rights)

    def removable(self, envelope: Envelope, message: Message) -> tuple[HeaderChange, ...]:
        """The fields to take out of what could not be judged."""
        return removable(self._site, envelope, message)

    def record(self, considered: MessageResult) -> None:
        """Put the injection events into the spool; count what the spool could not take.

        And note which domain the links name, as it must be answered for as long as they live.
        """
        if considered.decision is not None and isinstance(considered.outcome, Plan):
            self._domains.used(considered.decision.domain, considered.decision.expiry)
        for injection in considered.injections:
            if not self._spool.append(encode(injection)):
                self._tally.add("events-dropped")

    def takes_context(self, client: Client) -> bool:
        """Whether XSETCONTEXT counts: the scope lists it and the client is trusted (contract.md 4.3)."""
        return "XSETCONTEXT" in self._scoped(client).smtp_extensions and self.is_trusted(client)

    def is_trusted(self, client: Client) -> bool:
        """Whether a client's mail may be tracked at all."""
        return is_trusted(client, self._scoped(client).relay_hosts)

    def _scoped(self, client: Client) -> Scoped:
        """Local submission comes by no Listen, which "" says (contract.md 2.5)."""
        address = "" if is_local(client) else client.address
        return self._settings.scoped(Where(client.daemon_address, client.daemon_port, address))

    def close(self) -> None:
        """Flush the spool."""
        self._spool.close()


def run(
    settings: Settings,
    policy: Policy | None,
    ring: Ring,
    listener: socket.socket,
    control: socket.socket,
    tally: WorkerCounters,
    room: Callable[[int], BodyMemory] = BodyMemory,
) -> NoReturn:
    """The child's life, from fork to exit. Signals stay blocked: libmilter takes them with sigwait.

    ring: to go on with while its file cannot be read. room: this process's share of what all of them may
    take, by the limit.

    A parent that is killed shows as the end of file on control, so that messages under way finish then, too.
    """
    status = 1
    try:
        _serve(settings, policy, ring, listener, control, tally, room)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here and the parent starts another
        maillog.worker_failed()
    os._exit(status)


def _serve(
    settings: Settings,
    policy: Policy | None,
    known: Ring,
    listener: socket.socket,
    control: socket.socket,
    tally: WorkerCounters,
    room: Callable[[int], BodyMemory],
) -> None:
    ring = RingFile(
        Path(settings.keys.ring), report=lambda error: maillog.ring_trouble(str(error)), known=known
    )
    desk = WorkerServices(settings, policy, ring, tally, room)
    works = desk.works()
    heap.few_arenas()
    gc.collect()
    gc.freeze()  # what was loaded stays; collections need not look at it again
    returned = threading.Event()
    with tempfile.TemporaryDirectory(prefix="smtpapi-") as directory:
        lent = BorrowedListener(listener, Path(directory))

        def leave() -> None:
            # What libmilter did not hear the end of it will never hear: those clients get their 451 at once.
            _wait_until(lambda: not works.judging, _CALLBACK_SECONDS)
            desk.close()

        def see_out() -> None:
            _watch(control, lent, works)
            if not returned.wait(_RETURN_SECONDS):
                # Stopped, it destroys its pool's lock, which a thread may hold: then all wait for ever.
                maillog.never_returned()
                leave()
                shutil.rmtree(directory, ignore_errors=True)
                os._exit(0)

        watch = threading.Thread(target=see_out, daemon=True)

        def around_open(open_dummy: Callable[[], None]) -> None:
            lent.around_open(open_dummy)
            watch.start()
            control.send(READY)

        milter_loop.serve(works, lent.dummy(), around_open)
        returned.set()
        leave()


def _watch(control: socket.socket, lent: BorrowedListener, works: SessionServices[MessageResult]) -> None:
    """Wait for the parent's order (or its end), see the sessions out, and stop libmilter."""
    order = _order(control)
    lent.take_back()
    if order == DRAIN:
        control.settimeout(0.1)
        end = time.monotonic() + DRAIN_SECONDS
        quiet = time.monotonic() + _SETTLE_SECONDS
        while (now := time.monotonic()) < end and (works.sessions or now < quiet):
            if works.sessions:
                quiet = now + _SETTLE_SECONDS
            with contextlib.suppress(TimeoutError):
                _order(control)  # STOP, or the parent's end
                break
    _wait_until(lambda: not works.underway, STOP_SECONDS)
    stopping = threading.Thread(target=milter_loop.stop, daemon=True)
    stopping.start()
    end = time.monotonic() + _RETURN_SECONDS
    while stopping.is_alive() and time.monotonic() < end:  # it waits for libmilter's loop to turn
        lent.wake()
        stopping.join(0.05)


def _order(control: socket.socket) -> bytes:
    """What the parent says; b"" at its end, which is a reset where it had not yet read READY."""
    try:
        return control.recv(1)
    except ConnectionError:
        return b""


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
