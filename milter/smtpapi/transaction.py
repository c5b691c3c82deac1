"""One message from facts to orders: who may ask, what is asked, what is decided, what is changed.

Not the session with the MTA, which only makes the facts and carries out the orders. The whole of it is this
order, and each step may end it with an outcome:

    second pass? · module on? · trusted? · already ours? · policy · bypassed? · header · decide for each
    recipient · copies · one recipient: reasons to leave, rewrite · several: `rewriting.several_recipients`

Invariants: pure, so equal arguments give equal orders; never raises; mail of the untrusted is never changed;
on trusted mail X-MSYS-API is removed whatever else happens, and so are marks of ours; no link that names one
person is made for another; copies that are asked for and cannot be made refuse the mail.
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
from engagement.settings.scopes import Listen, Scoped, Where, listen_of
from smtpapi import copies, directive, split
from smtpapi.arrival import Arrival, arrive
from smtpapi.copies import Role
from smtpapi.decide import Decision, SiteWide, bypassed, decide
from smtpapi.directive import Copy, Directive
from smtpapi.envelope import Envelope
from smtpapi.identity import MARK, Fingerprint, event_id, issued_at, pseudonym
from smtpapi.injection import describe, header_size
from smtpapi.message import Message
from smtpapi.outcome import Edit, HeaderChange, Leave, Outcome, Plan, Recipient, Refuse, Why, removal
from smtpapi.policy import phases
from smtpapi.policy.hooks import Policy, PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.rewrite.links import CopyLinks
from smtpapi.rewrite.plan import editable, plan
from smtpapi.rewrite.rules import Rules
from smtpapi.split import Entry
from smtpapi.trust import is_local, is_trusted

Tick = Callable[[], float]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HOPS = frozenset({"split", "readdress"})
# Postfix keeps about 60,000 bytes of one field, Sendmail 32,768 of all fields together (docs/quirks.md).
_LONGEST_MARK = 45_000
_LONGEST_HEADER = 30_000
_CLEANED = frozenset({Why.TRACKING_OFF, Why.PRIVACY_OFF, Why.SEVERAL_RECIPIENTS})
_NOT_ENABLED = f"{directive.NAME} cc, bcc and archive are not enabled here"
# Mail that asks for copies is not accepted without them (contract.md 9); the client tries again.
_NO_COPIES_NOW = Refuse("451", "4.3.0", "Copies cannot be made now, try again later")


@dataclass(frozen=True, slots=True)
class Site:
    """All that stays the same from message to message; a reload makes a new one.

    ring None: nothing is tracked. policy None: there is no policy file. hop: where second passes come in.
    """

    settings: Settings
    ring: Ring | None
    policy: Policy | None
    rules: Rules
    hop: Listen | None = None

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
            own_hosts=frozenset(
                domain.lower().encode() for domain in (*settings.tracking_domains(), *settings.tracker.hosts)
            ),
            max_message_size=limits.max_message_size,
            max_parts=limits.max_parts,
            max_links=limits.max_links,
            time_budget=limits.time_budget / 1000,
        )
        return cls(settings, ring, policy, rules, listen_of(rewriting.split_listener))


@dataclass(frozen=True, slots=True)
class Considered:
    """What becomes of a message, and what to write down and keep.

    decision: None where it did not come to one. injections: one event a recipient, to be written once the
    orders were carried out. connection_context: to be handed in with the session's next message. notes:
    warnings for the log about what was asked, with no address and no part of the header in them. counts:
    names of `counters` that happened besides the outcome.
    """

    outcome: Outcome
    decision: Decision | None = None
    injections: tuple[Injection, ...] = ()
    connection_context: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()


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
        arrival = arrive(site.hop, site.ring, envelope, message, connection_context, now)
        scoped = site.settings.scoped(_where(arrival.envelope, arrival.session.get("pathway", "")))
        if arrival.entry is None and not site.settings.active:
            return Considered(Leave(Why.MODULE_OFF), connection_context=connection_context)
        if arrival.entry is None and not is_trusted(envelope.client, scoped.relay_hosts):
            return Considered(Leave(Why.UNTRUSTED), connection_context=connection_context)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design.md 2, rule 1)
        return _failed(error, _removable(site, envelope, message), connection_context)
    mail = None
    try:
        mail = _Mail(site, arrival, now, tick, connection_context)
        return mail.consider(scoped)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design.md 2, rule 1)
        failed = _failed(error, arrival.headers, connection_context)
        return replace(failed, outcome=_NO_COPIES_NOW) if mail and mail.owes_copies else failed


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was decided for one recipient. why: the first reason to make no links, note: more about it."""

    recipient: str
    decision: Decision | None
    why: Why | None
    note: str = ""


class _Mail:
    """One trusted message on its way through the steps."""

    def __init__(
        self, site: Site, arrival: Arrival, now: float, tick: Tick, connection_context: Mapping[str, str]
    ) -> None:
        self.site = site
        self.arrival = arrival
        self.entry = arrival.entry
        self.envelope = arrival.envelope
        self.message = arrival.message
        self.fingerprint = arrival.fingerprint or Fingerprint(arrival.envelope, arrival.message)
        self.headers = arrival.headers
        self.now = now
        self.tick = tick
        self.key = arrival.key or _signing(site.ring)
        self.recipients = _distinct(self.envelope.recipients) or ("",)
        self.notes: list[str] = []
        self.session = connection_context
        self.shared: tuple[Mapping[str, str], Mapping[str, str]] = {}, {}  # what the copies' hooks begin with
        self.owes_copies = False

    def consider(self, scoped: Scoped) -> Considered:
        if not self.site.settings.active:
            return self._end(self._left(Why.MODULE_OFF))
        if self._is_marked():
            return self._end(self._left(Why.ALREADY_TRACKED))
        self.headers += removal(self.message, MARK)
        if self.arrival.refused:
            self.notes.append(f"an {split.HEADER} that is not ours, not this message's, or too old")
        vctx = ValidationContext(scoped.context, self.arrival.session, self.arrival.message_context)
        mail = PolicyMessage(self.envelope, self.message)
        if self.site.policy is not None and self.entry is None:
            try:
                phases.message(self.site.policy, self.envelope, mail, vctx)
            except PolicyFailed as failed:
                return self._policy_failed(failed)
            self.session = vctx.session()
        self.shared = vctx.session(), vctx.message()
        judging = _Judging(self, scoped, vctx, mail)
        if judging.all_bypassed():
            return self._end(self._left(Why.BYPASSED))
        asked = directive.parse(tuple(self.message.values(directive.NAME)))
        if isinstance(asked, Refuse):
            return self._end(asked)
        self.notes += asked.warnings
        if self.entry is not None:
            return self._second_pass(judging, asked)
        more = copies.added(self.recipients, asked)
        self.owes_copies = bool(more)
        judged = judging.all(asked, [*self.recipients, *(entry.address for _, entry in more)])
        if isinstance(judged, Refuse):
            return self._end(judged)
        if len(self.recipients) > 1 or more:
            return self._several(judged, asked, tuple(entry.address for _, entry in more))
        self.headers += copies.fields(self.message, asked, Role.ORIGINAL, Copy(self.recipients[0]))
        return self._alone(judged[0], self.recipients[0])

    def _is_marked(self) -> bool:
        """Whether a mark says, and proves, that these links are ours, for this recipient or for all."""
        ring = self.site.ring
        return ring is not None and any(
            self.fingerprint.is_marked(ring, recipient, value)
            for value in self.message.values(MARK)
            for recipient in (*self.recipients, "")
        )

    def _policy_failed(self, failed: PolicyFailed) -> Considered:
        asked = directive.parse(tuple(self.message.values(directive.NAME)))
        if isinstance(asked, Directive) and copies.added(self.recipients, asked):
            self.notes.append(str(failed))
            return self._end(_NO_COPIES_NOW)
        return self._end(self._left(Why.POLICY_FAILED, str(failed)))

    def _second_pass(self, judging: "_Judging", asked: Directive) -> Considered:
        """One copy that came back over the hop."""
        assert self.entry is not None
        if len(self.recipients) > 1:
            judged = judging.all(asked, list(self.recipients))
            if isinstance(judged, Refuse):
                return self._end(judged)
            note = "the hop brought several recipients together: limit it to one (docs/postfix.md)"
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, note)
        recipient = self.recipients[0]
        role, entry = self._role(recipient, asked)
        first = self.entry.first
        # An archive copy is the first recipient's mail again, however the MTA spells either of them.
        like = first if role is Role.ARCHIVE or self._is_first(recipient, asked) else recipient
        judged = judging.all(asked, [like])
        if isinstance(judged, Refuse):
            return self._end(judged)
        self.headers += copies.fields(self.message, asked, role, entry)
        return self._alone(judged[0], recipient, role, like)

    def _role(self, recipient: str, asked: Directive) -> tuple[Role, Copy]:
        """By the address, or, where an alias led to it, by the one that the sender named."""
        assert self.entry is not None
        role, entry = copies.find(recipient, self.entry.named_twice, asked)
        original = next(iter(self.envelope.originals), "")
        if role is Role.ORIGINAL and original:
            role, entry = copies.find(original, self.entry.named_twice, asked)
        return role, entry

    def _is_first(self, recipient: str, asked: Directive) -> bool:
        assert self.entry is not None
        aliases = self.envelope.originals[:1] if asked.archive else ()
        return copies.same(self.entry.first) in map(copies.same, (recipient, *aliases))

    def _alone(
        self, judged: _Judged, recipient: str, role: Role = Role.ORIGINAL, like: str | None = None
    ) -> Considered:
        """The one copy that can be tracked. like: whose links it carries."""
        decision = judged.decision
        if decision is None:
            assert judged.why is not None
            return self._end(self._left(judged.why, judged.note))
        if self.key is None:
            return self._end(self._left(Why.NO_KEY), decision)
        identity = self._identity(decision, self.key, recipient if like is None else like, role)
        if judged.why is None:
            outcome = self._tracked(decision, self.key, identity, recipient)
        else:
            outcome = self._cleaned(judged.why, judged.note, decision)
        named = recipient if role is Role.ARCHIVE or like is None else like
        return self._end(outcome, decision, self._injections(outcome, [(judged, named, role)]))

    def _several(self, judged: list[_Judged], asked: Directive, more: tuple[str, ...]) -> Considered:
        """A transaction that names several recipients, or asks for copies."""
        mode = self.site.settings.rewriting.several_recipients
        hops = mode in _HOPS and self.arrival.expands
        if more and not hops:
            return self._end(directive.refusal(_NOT_ENABLED))
        if self.key is None:
            return self._end(_NO_COPIES_NOW if more else self._left(Why.NO_KEY), judged[0].decision)
        why = next((each.why for each in judged if each.why is None), judged[0].why)
        note = judged[0].note
        if why is None and (closed := self._nothing_to_edit()) is not None:
            why, note = closed.why, closed.note
        if why is not None and not more:
            return self._untracked(judged, why, note)
        if hops:
            return self._split(self.key, judged, asked, more)
        if mode == "shared":
            return self._shared(self.key, judged)
        return self._untracked(judged, Why.SEVERAL_RECIPIENTS)

    def _nothing_to_edit(self) -> Leave | None:
        """Why no copy could have links, whoever its recipient, so that it need not go over the hop."""
        deadline = self.tick() + self.site.rules.time_budget
        parts = editable(self.message, self.site.rules, lambda: self.tick() > deadline)
        return parts if isinstance(parts, Leave) else None

    def _split(
        self,
        key: Key,
        judged: list[_Judged],
        asked: Directive,
        more: tuple[str, ...],
    ) -> Considered:
        """Over the hop, with all that the second pass must know."""
        mark = split.seal(self._entry(asked), key)
        readdress = self.site.settings.rewriting.several_recipients == "readdress"
        room = _LONGEST_HEADER - header_size(self.message) if readdress else _LONGEST_MARK
        try:
            recipients = self._recipients(more)
            fault = "" if len(mark) <= room else "header and session variables are too long for the hop"
        except ValueError as error:
            recipients, fault = (), str(error)
        if fault and more:
            return self._end(directive.refusal(f"{directive.NAME} cc, bcc and archive: {fault}"))
        if fault:
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, fault)
        note = f"{len(self.recipients) + len(more)} copies"
        headers = (*self.headers, HeaderChange(split.HEADER, 0, mark))
        through = copies.HOP if readdress else ""
        return self._end(Plan(headers, why=Why.SPLIT, note=note, recipients=recipients, through=through))

    def _entry(self, asked: Directive) -> Entry:
        values = self.message.values
        return Entry(
            client=self.envelope.client,
            at=int(self.now),
            issued=issued_at(self.message, self.now),
            first=self.recipients[0],
            bound=self.fingerprint.bound,
            fingerprint=self.fingerprint.digest,
            signatures=tuple(split.signature_id(value) for value in values("DKIM-Signature")),
            queue_id=self.envelope.queue_id,
            directive=next(values(directive.NAME), b"") if asked.present else b"",
            named_twice=copies.named_twice(self.recipients, asked),
            context=self.shared[0],
            message_context=self.shared[1],
        )

    def _recipients(self, more: tuple[str, ...]) -> tuple[Recipient, ...]:
        """The envelope's changes. Raises ValueError with words for a recipient who cannot go over the hop."""
        if self.site.settings.rewriting.several_recipients == "split":
            return tuple(Recipient(address) for address in more)
        there = tuple(dict.fromkeys(self.envelope.recipients))  # each spelling, since each is to be deleted
        return (
            *(Recipient(copies.sendable(old), instead_of=old) for old in there),
            *(Recipient(copies.sendable(address)) for address in more),
        )

    def _shared(self, key: Key, judged: list[_Judged]) -> Considered:
        """The same links for all, with no recipient in them."""
        decision = judged[0].decision
        if decision is None or any(each.decision != decision for each in judged):
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, "decisions differ between recipients")
        identity = replace(self._identity(decision, key, ""), recipient="")
        outcome = self._tracked(decision, key, identity, "")
        # The mail is one and the same for all of them, so all share its message id (docs/decisions/0010).
        injections = tuple(
            replace(injection, message_id=identity.message_id)
            for injection in self._injections(
                outcome, [(each, each.recipient, Role.ORIGINAL) for each in judged]
            )
        )
        return self._end(outcome, decision, injections)

    def _untracked(self, judged: list[_Judged], why: Why, note: str = "") -> Considered:
        """Nobody gets links; still each of them is one injection."""
        decision = judged[0].decision
        outcome = self._cleaned(why, note, decision) if decision is not None else self._left(why, note)
        injections = self._injections(outcome, [(each, each.recipient, Role.ORIGINAL) for each in judged])
        return self._end(outcome, decision, injections)

    def reason(self, decision: Decision) -> Why | None:
        """The first reason why a recipient gets no links at all, whatever the message's MIME structure."""
        reasons = (
            (decision.privacy == "off", Why.PRIVACY_OFF),
            (not decision.clicks and not decision.opens, Why.TRACKING_OFF),
            *self._closed(),
        )
        return next((why for holds, why in reasons if holds), None)

    def _closed(self) -> tuple[tuple[bool, Why], ...]:
        """Reasons why not one byte of the message may change."""
        first = self.message.first
        return (
            (not self.envelope.sender, Why.NULL_SENDER),
            (first("DKIM-Signature") is not None, Why.DKIM_SIGNED),
            (first("ARC-Seal") is not None or first("ARC-Message-Signature") is not None, Why.ARC_SEALED),
        )

    def _identity(self, decision: Decision, key: Key, recipient: str, role: Role = Role.ORIGINAL) -> Identity:
        issued = self.entry.issued if self.entry else issued_at(self.message, self.now)
        return Identity(
            message_id=self.fingerprint.message_id(key, recipient),
            transmission_id=self.fingerprint.transmission_id(key),
            recipient=_told(decision, key, recipient),
            issued=issued,
            expiry=issued + decision.expiry,
            rcpt_type="" if role is Role.ARCHIVE else role.value,
            campaign=decision.campaign,
            tags=decision.tags,
            metadata=decision.metadata,
            customer_id=decision.customer_id,
            transactional=decision.transactional,
        )

    def _tracked(self, decision: Decision, key: Key, identity: Identity, recipient: str) -> Plan | Leave:
        try:
            links = CopyLinks.build(key, identity, decision)
        except CannotSeal as error:
            return self._left(Why.INTERNAL_ERROR, f"no link can be made: {error}")
        planned = plan(self.message, decision, links, self.site.rules, self.tick)
        if isinstance(planned, Leave):
            return self._left(planned.why, planned.note)
        headers = self.headers + planned.headers
        if _made_links(planned.edits):
            mark = self.fingerprint.mark(key, recipient, identity.message_id)
            headers += (HeaderChange(MARK, 0, mark),)
        return replace(planned, headers=headers)

    def _cleaned(self, why: Why, note: str, decision: Decision) -> Plan | Leave:
        """Without links, and without the [[…]] notation, which no reader should see (contract.md 5.3)."""
        body = self.message.body
        may_hold = b"[[" in body or b"base64" in body or self.message.first("Content-Transfer-Encoding")
        if self.key is None or why not in _CLEANED or not may_hold or any(hold for hold, _ in self._closed()):
            return self._left(why, note)
        none = replace(decision, clicks=False, opens=False, initial_opens=False)
        blank = Identity(bytes(16), 0, "", 0, 0)
        planned = plan(self.message, none, CopyLinks.build(self.key, blank, none), self.site.rules, self.tick)
        if isinstance(planned, Leave) or not planned.edits:
            return self._left(why, note)
        return Plan(self.headers + planned.headers, planned.edits, why=why, note=note)

    def _injections(
        self, outcome: Outcome, recipients: list[tuple[_Judged, str, Role]]
    ) -> tuple[Injection, ...]:
        """One record for each recipient with a decision."""
        assert self.key is not None
        records = []
        about: dict[int, Injection] = {}  # by decision: what recipients share is made once
        for judged, recipient, role in recipients:
            if (decision := judged.decision) is None:
                continue
            if id(decision) not in about:
                about[id(decision)] = describe(self.envelope, self.message, decision, outcome, self.now)
            copy = self._identity(decision, self.key, recipient, role)
            records.append(
                replace(
                    about[id(decision)],
                    id=event_id(copy.message_id, copy.issued),
                    message_id=copy.message_id,
                    transmission_id=copy.transmission_id,
                    recipient=copy.recipient,
                    rcpt_type=role.value,
                )
            )
        return tuple(records)

    def _left(self, why: Why, note: str = "") -> Plan | Leave:
        """Without links, but also without the fields that must not leave the building."""
        return _left(self.headers, why, note)

    def _end(
        self, outcome: Outcome, decision: Decision | None = None, injections: tuple[Injection, ...] = ()
    ) -> Considered:
        counts = ("marks-refused",) if self.arrival.refused else ()
        return Considered(
            outcome, decision, injections, self.session, tuple(dict.fromkeys(self.notes)), counts
        )


class _Judging:
    """Policy and decision for each recipient of one message."""

    def __init__(self, mail: _Mail, scoped: Scoped, vctx: ValidationContext, seen: PolicyMessage) -> None:
        self._mail = mail
        self._scoped = scoped
        self._vctx = vctx
        self._seen = seen
        policy = mail.site.policy
        self._policy = policy if policy is not None and phases.EACH in policy.hooks else None
        self._settings = mail.site.settings
        self._contexts: dict[str, tuple[Scoped, Mapping[str, str]] | str] = {}

    def all_bypassed(self) -> bool:
        """Whether policy switched the module off for every recipient: then not even the header is read."""
        return all(
            not isinstance(found := self._context(recipient), str) and bypassed(found[1])
            for recipient in self._mail.recipients
        )

    def all(self, asked: Directive, recipients: list[str]) -> list[_Judged] | Refuse:
        """A judgement for each, or what refuses them all."""
        same: _Judged | None = None
        judged = []
        for recipient in recipients:
            one = same if same is not None else self._judge(asked, recipient)
            if isinstance(one, Refuse):
                return one
            if self._policy is None:  # nothing tells one from another
                same = one
            judged.append(replace(one, recipient=recipient))
        return judged

    def _judge(self, asked: Directive, recipient: str) -> _Judged | Refuse:
        found = self._context(recipient)
        if isinstance(found, str):
            return _Judged(recipient, None, Why.POLICY_FAILED, found)
        scoped, context = found
        if bypassed(context):
            return _Judged(recipient, None, Why.BYPASSED)
        settled = decide(scoped, _site_wide(self._settings), asked, context)
        if isinstance(settled, Refuse):
            return settled
        self._mail.notes += settled.warnings
        return _Judged(recipient, settled.decision, self._mail.reason(settled.decision))

    def _context(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        """Scope and variables of one recipient's copy, or the words of a policy that failed there."""
        key = recipient if self._policy else ""
        if key not in self._contexts:
            self._contexts[key] = self._ask(recipient)
        return self._contexts[key]

    def _ask(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        vctx = self._vctx.for_recipient()
        if self._policy is not None:
            try:
                phases.each(self._policy, self._mail.envelope, self._seen, recipient, vctx)
            except PolicyFailed as failed:
                return str(failed)
            if self._mail.entry is None:
                self._mail.session = vctx.session()
        scoped = self._scoped
        pathway = vctx.lookup("pathway")
        if pathway and pathway != scoped.pathway:
            scoped = self._settings.scoped(_where(self._mail.envelope, pathway))
            vctx.configured = scoped.context
        return scoped, vctx.effective()


def _distinct(recipients: tuple[str, ...]) -> tuple[str, ...]:
    """Each mailbox once, as it was first spelled."""
    found: dict[str, str] = {}
    for recipient in recipients:
        found.setdefault(copies.same(recipient), recipient)
    return tuple(found.values())


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


def _removable(site: Site, envelope: Envelope, message: Message) -> tuple[HeaderChange, ...]:
    """What to take out of mail that could not even be looked at: nothing, unless it is surely trusted."""
    try:
        scoped = site.settings.scoped(_where(envelope, ""))
        trusted = site.settings.active and is_trusted(envelope.client, scoped.relay_hosts)
    except Exception:  # noqa: BLE001 - not known to be trusted, so it must pass as it is
        trusted = False
    return removal(message, directive.NAME) + removal(message, split.HEADER) if trusted else ()


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
