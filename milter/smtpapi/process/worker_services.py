"""What the sessions of one worker share: site, spool, counters, and what is decided and recorded for them."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from engagement.events.model import Event
from engagement.events.record import encode
from engagement.links.domains_file import DomainsFile
from engagement.links.ring_file import RingFile
from engagement.settings import Scoped, Settings
from engagement.settings.schema import SeveralRecipients
from engagement.spool.write import SpoolWriter
from engagement.tracking_domains.copy_file import CopyFile
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Outcome, Plan, Refuse, Why
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import Reads, known_to_pass, reads, without_room
from smtpapi.pipeline.site import MessageResult, Site, where_of, with_entered
from smtpapi.pipeline.transaction import consider, removable
from smtpapi.policy.hooks import AnyPolicy
from smtpapi.process.html_keeper import HtmlKeeper
from smtpapi.process.suppression_list import SuppressionList
from smtpapi.request.trust import is_trusted
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import WorkerCounters


def no_customer(_login: str) -> str:
    """Return "": no login has a customer of its own."""
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
        customer_of: Callable[[str], str] = no_customer,
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
