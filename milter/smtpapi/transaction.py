"""One message from facts to orders: who may ask, what is asked, what is decided, what is changed.

Not the session with the MTA, which only makes the facts and carries out the orders. The whole of it is this
order, and each step may end it with an outcome:

    module on? · trusted? · already ours? · policy · bypassed? · header · decide · reasons to leave · rewrite

Invariants: pure, so equal arguments give equal orders; never raises; mail of the untrusted is never changed;
on trusted mail X-MSYS-API is removed whatever else happens, and so is a mark of ours that is forged.
"""

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from engagement.events.types import Injection
from engagement.links.keys import Key, Ring, RingError
from engagement.links.token import CannotSeal
from engagement.links.types import Identity
from engagement.settings.loaded import Settings
from engagement.settings.scopes import Scoped, Where
from smtpapi import directive
from smtpapi.decide import Decided, Decision, SiteWide, bypassed, decide
from smtpapi.envelope import Envelope
from smtpapi.identity import MARK, Fingerprint, event_id, issued_at, pseudonym
from smtpapi.injection import describe
from smtpapi.message import Message
from smtpapi.outcome import Edit, HeaderChange, Leave, Outcome, Plan, Refuse, Why
from smtpapi.policy.core import VCTX_CONN
from smtpapi.policy.hooks import Policy, PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage
from smtpapi.rewrite.links import CopyLinks
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import Rules
from smtpapi.trust import is_local, is_trusted

Tick = Callable[[], float]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_GREETED = "__smtpapi_greeted"  # in the session's context once the hooks of its connection have run


@dataclass(frozen=True, slots=True)
class Site:
    """All that stays the same from message to message; a reload makes a new one.

    ring None: nothing is tracked. policy None: there is no policy file.
    """

    settings: Settings
    ring: Ring | None
    policy: Policy | None
    rules: Rules

    @classmethod
    def build(cls, settings: Settings, ring: Ring | None, policy: Policy | None = None) -> "Site":
        """A site from its configuration, its keys and its policy."""
        rewriting, limits = settings.rewriting, settings.limits
        rules = Rules(
            text_links=rewriting.text_links,
            vml_links=rewriting.vml_links,
            skip_url_text=rewriting.skip_url_text,
            skip_patterns=tuple(re.compile(pattern.encode()) for pattern in rewriting.skip_patterns),
            brace_macros=rewriting.brace_macros,
            verify=rewriting.verify,
            own_hosts=frozenset(domain.lower().encode() for domain in settings.tracking_domains()),
            max_message_size=limits.max_message_size,
            max_parts=limits.max_parts,
            max_links=limits.max_links,
            time_budget=limits.time_budget / 1000,
        )
        return cls(settings, ring, policy, rules)


@dataclass(frozen=True, slots=True)
class Considered:
    """What becomes of a message, and what to write down and keep.

    decision: None where it did not come to one. injections: one event a recipient, to be written once the
    orders were carried out. connection_context: to be handed in with the session's next message. notes:
    warnings for the log about what was asked, with no address and no part of the header in them.
    """

    outcome: Outcome
    decision: Decision | None = None
    injections: tuple[Injection, ...] = ()
    connection_context: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def consider(
    site: Site,
    envelope: Envelope,
    message: Message,
    connection_context: Mapping[str, str] = _NOTHING,
    *,
    now: float,
    tick: Tick,
) -> Considered:
    """Judges one message of a session. now: Unix seconds. tick: seconds of any steady clock. Never raises.

    connection_context: the session's own variables (SMTP AUTH, XSETCONTEXT), and what an earlier message's
    `Considered.connection_context` gave back.
    """
    try:
        scoped = site.settings.scoped(_where(envelope, connection_context.get("pathway", "")))
        if not site.settings.active:
            return Considered(Leave(Why.MODULE_OFF), connection_context=connection_context)
        if not is_trusted(envelope.client, scoped.relay_hosts):
            return Considered(Leave(Why.UNTRUSTED), connection_context=connection_context)
    except Exception as error:  # noqa: BLE001 - not known to be trusted, so it must pass as it is
        return _failed(error, (), connection_context)
    removals: tuple[HeaderChange, ...] = ()
    try:
        removals = removal(message, directive.NAME)
        return _Message(site, envelope, message, removals, now, tick).consider(scoped, connection_context)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design.md 2, rule 1)
        return _failed(error, removals, connection_context)


def removal(message: Message, name: str) -> tuple[HeaderChange, ...]:
    """Deletes all fields of a name, from the highest index down: MTAs differ in whether they renumber."""
    spelled = [field.name for field in message.fields if field.name.lower() == name.lower()]
    return tuple(HeaderChange(name, index, None) for index in range(len(spelled), 0, -1))


class _Message:
    """One trusted message on its way through the steps."""

    def __init__(
        self,
        site: Site,
        envelope: Envelope,
        message: Message,
        removals: tuple[HeaderChange, ...],
        now: float,
        tick: Tick,
    ) -> None:
        self.site = site
        self.envelope = envelope
        self.message = message
        self.headers = removals
        self.now = now
        self.tick = tick
        self.recipients = envelope.recipients or ("",)
        self.fingerprint = Fingerprint(envelope, message)
        self.notes: list[str] = []
        self.session: Mapping[str, str] = _NOTHING

    def consider(self, scoped: Scoped, session: Mapping[str, str]) -> Considered:
        self.session = session
        if self._is_marked():
            return self._end(self._left(Why.ALREADY_TRACKED))
        self.headers += removal(self.message, MARK)
        vctx = ValidationContext(scoped.context, session)
        try:
            self._policy(vctx)
        except PolicyFailed as failed:
            return self._end(self._left(Why.POLICY_FAILED, str(failed)))
        self.session = vctx.session()
        pathway = vctx.lookup("pathway")
        if pathway and pathway != scoped.pathway:
            scoped = self.site.settings.scoped(_where(self.envelope, pathway))
            vctx.configured = scoped.context
        context = vctx.effective()
        if bypassed(context):
            return self._end(self._left(Why.BYPASSED))
        asked = directive.parse(tuple(self.message.values(directive.NAME)))
        if isinstance(asked, Refuse):
            return self._end(asked)
        self.notes += asked.warnings
        settled = decide(scoped, _site_wide(self.site.settings), asked, context)
        if isinstance(settled, Refuse):
            return self._end(settled)
        self.notes += settled.warnings
        return self._copies(settled)

    def _is_marked(self) -> bool:
        """Whether a mark says, and proves, that these links were made by us for this recipient."""
        ring = self.site.ring
        return ring is not None and any(
            self.fingerprint.is_marked(ring, recipient, value)
            for value in self.message.values(MARK)
            for recipient in self.recipients
        )

    def _policy(self, vctx: ValidationContext) -> None:
        """Runs the hooks in the order of their phases. Raises `PolicyFailed`."""
        policy = self.site.policy
        if policy is None:
            return
        connection = Accept.of(self.envelope.client)
        mail = PolicyMessage(self.envelope, self.message)
        if vctx.get(VCTX_CONN, _GREETED) is None:
            policy.run("validate_connect", connection, vctx)
            policy.run("validate_ehlo", connection.ehlo, connection, vctx)
            for name, value in self.session.items():
                vctx.set(VCTX_CONN, name, value)  # XSETCONTEXT came after these hooks' phases: it overwrites
            vctx.set(VCTX_CONN, _GREETED, "true")
        policy.run("validate_mailfrom", self.envelope.sender, connection, vctx)
        for recipient in self.envelope.recipients:
            policy.run("validate_rcptto", mail, recipient, connection, vctx)
        policy.run("validate_data", mail, connection, vctx)
        policy.run("validate_data_spool", mail, connection, vctx)
        if len(self.recipients) == 1:
            mail.recipient = self.recipients[0]
            policy.run("validate_data_spool_each_rcpt", mail, connection, vctx)

    def _copies(self, settled: Decided) -> Considered:
        """The one copy that can be tracked; or why none is. Either way one injection for each recipient."""
        decision = settled.decision
        key = _signing(self.site.ring)
        if key is None:
            return self._end(self._left(Why.NO_KEY), decision)
        issued = issued_at(self.message, self.now)
        why = self._reason_to_leave(decision)
        copies = tuple(self._identity(decision, key, issued, recipient) for recipient in self.recipients)
        outcome = self._left(why) if why is not None else self._tracked(decision, key, copies[0])
        return self._end(outcome, decision, self._injections(decision, outcome, copies))

    def _identity(self, decision: Decision, key: Key, issued: int, recipient: str) -> Identity:
        return Identity(
            message_id=self.fingerprint.message_id(key, recipient),
            transmission_id=self.fingerprint.transmission_id(key),
            recipient=_told(decision, key, recipient),
            issued=issued,
            expiry=issued + decision.expiry,
            campaign=decision.campaign,
            tags=decision.tags,
            metadata=decision.metadata,
            customer_id=decision.customer_id,
            transactional=decision.transactional,
        )

    def _reason_to_leave(self, decision: Decision) -> Why | None:
        """The first reason why a message gets no links at all, whatever its MIME structure."""
        first = self.message.first
        reasons = (
            (decision.privacy == "off", Why.PRIVACY_OFF),
            (not decision.clicks and not decision.opens, Why.TRACKING_OFF),
            (not self.envelope.sender, Why.NULL_SENDER),
            (first("DKIM-Signature") is not None, Why.DKIM_SIGNED),
            (first("ARC-Seal") is not None or first("ARC-Message-Signature") is not None, Why.ARC_SEALED),
            (len(self.recipients) > 1, Why.SEVERAL_RECIPIENTS),
        )
        return next((why for holds, why in reasons if holds), None)

    def _tracked(self, decision: Decision, key: Key, identity: Identity) -> Plan | Leave:
        try:
            links = CopyLinks.build(key, identity, decision)
        except CannotSeal as error:
            return self._left(Why.INTERNAL_ERROR, f"no link can be made: {error}")
        planned = plan(self.message, decision, links, self.site.rules, self.tick)
        if isinstance(planned, Leave):
            return self._left(planned.why, planned.note)
        headers = self.headers + planned.headers
        if _made_links(planned.edits):
            mark = self.fingerprint.mark(key, self.recipients[0], identity.message_id)
            headers += (HeaderChange(MARK, 0, mark),)
        return replace(planned, headers=headers)

    def _injections(
        self, decision: Decision, outcome: Outcome, copies: tuple[Identity, ...]
    ) -> tuple[Injection, ...]:
        """One record a recipient; they differ in who and in what is derived from it."""
        about = describe(self.envelope, self.message, decision, outcome, self.now)
        return tuple(
            replace(
                about,
                id=event_id(copy.message_id, copy.issued),
                message_id=copy.message_id,
                transmission_id=copy.transmission_id,
                recipient=copy.recipient,
            )
            for copy in copies
        )

    def _left(self, why: Why, note: str = "") -> Plan | Leave:
        """Without links, but also without the fields that must not leave the building."""
        return _left(self.headers, why, note)

    def _end(
        self, outcome: Outcome, decision: Decision | None = None, injections: tuple[Injection, ...] = ()
    ) -> Considered:
        return Considered(outcome, decision, injections, self.session, tuple(self.notes))


def _where(envelope: Envelope, pathway: str) -> Where:
    """Where scopes are looked up. Local submission comes by no Listen, which "" says (contract.md 2.5)."""
    client = envelope.client
    address = "" if is_local(client) else client.address
    return Where(client.daemon_address, client.daemon_port, address, pathway)


def _site_wide(settings: Settings) -> SiteWide:
    tracker = settings.engagement_tracker
    return SiteWide(tracker.click_tracking_include_metadata, tracker.max_metadata_len, settings.privacy.mode)


def _signing(ring: Ring | None) -> Key | None:
    try:
        return None if ring is None else ring.signing
    except RingError:
        return None


def _told(decision: Decision, key: Key, recipient: str) -> str:
    """What links and events may say about the recipient (docs/privacy.md)."""
    match decision.privacy:
        case "full":
            return recipient
        case "hygiene":
            return pseudonym(key, recipient)
        case _:
            return ""


def _left(headers: tuple[HeaderChange, ...], why: Why, note: str) -> Plan | Leave:
    return Plan(headers=headers, why=why, note=note) if headers else Leave(why, note)


def _made_links(edits: tuple[Edit, ...]) -> bool:
    return any(edit.kind in ("link", "pixel") or _made_links(edit.inner) for edit in edits)


def _failed(
    error: Exception, removals: tuple[HeaderChange, ...], connection_context: Mapping[str, str]
) -> Considered:
    """A fault of ours: the place for the log, not the text of the error, which may quote the mail."""
    place = "an unknown place"
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        place = f"{code.co_name} ({code.co_filename.rpartition('/')[2]}:{line})"
    outcome = _left(removals, Why.INTERNAL_ERROR, f"{type(error).__name__} in {place}")
    return Considered(outcome, connection_context=connection_context)
