"""One message from facts to orders: who may ask, what is asked, what is decided, what is changed.

Not the session with the MTA, which only makes the facts and carries out the orders. The whole of it is this
order, and each step may end it with an outcome:

    second pass? · module on? · trusted? · already ours? · policy · bypassed? · header · decide for each
    recipient · copies · one recipient: reasons to leave, rewrite · several: `rewriting.several_recipients`

Invariants: pure, so equal arguments give equal orders; never raises; mail of the untrusted is never changed;
on trusted mail X-MSYS-API is removed whatever else happens, and so are marks of ours; no link that names one
person is made for another; mail that asks for copies is not accepted without them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from engagement.events.model import Injection
from engagement.links.keys import Key
from smtpapi.hop import split_header
from smtpapi.hop.fingerprint import LONGEST_WAY, MARK, marked_id
from smtpapi.hop.own_links import carries
from smtpapi.hop.resume import MarkRefusal, ResumedMessage, resumed
from smtpapi.hop.split_header import SplitRecipient
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL, GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Plan, Recipient, Refuse, Why, removal
from smtpapi.pipeline import fallback
from smtpapi.pipeline.fallback import NO_COPIES_NOW, removable
from smtpapi.pipeline.recipients import RecipientDecision, RecipientDecisions, by_configuration
from smtpapi.pipeline.site import MessageResult, ScopeTerms, Site
from smtpapi.pipeline.tracking import CopyTracking
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.request import copies, x_msys_api
from smtpapi.request.copies import Role
from smtpapi.request.decision import Decision
from smtpapi.request.x_msys_api import Copy, XMsysApi

__all__ = ["MessageResult", "Site", "consider", "removable"]

Tick = Callable[[], float]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HEADER, _MARK = x_msys_api.NAME.lower(), MARK.lower()
_HOPS = frozenset({"split", "readdress"})
# Postfix keeps about 60,000 bytes of one field, Sendmail 32,768 of all fields together (docs/quirks.md).
_LONGEST_MARK = 45_000
_LONGEST_HEADER = 30_000
_OVERLAP = "one may be an alias of another, who would get two copies (rewriting.overlapping_aliases)"
_NOT_ENABLED = f"{x_msys_api.NAME} cc, bcc and archive are not enabled here"


def consider(
    site: Site,
    envelope: Envelope,
    message: Message,
    connection_context: Mapping[str, str] = _NOTHING,
    *,
    now: float,
    tick: Tick,
    rights: GrantedActions = ALL,
) -> MessageResult:
    """Judges one message of a session. now: Unix seconds. tick: seconds of any steady clock. Never raises.

    connection_context: the session's own variables (SMTP AUTH, XSETCONTEXT), and what an earlier message's
    `MessageResult.connection_context` gave back. rights: what the MTA lets us do.
    """
    try:
        arrival = resumed(site.hop, site.ring, envelope, message, connection_context, now)
        terms = site.terms(arrival.envelope.client, arrival.session.get("pathway", ""))
        if arrival.entry is None and not site.settings.active:
            outcome = _switched_off(site.untrusted(terms, envelope.client, message) is None, message)
            return MessageResult(outcome, connection_context=connection_context)
        if arrival.proves_nothing and (left := site.untrusted(terms, envelope.client, message)):
            return MessageResult(left, connection_context=connection_context)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design rule 1)
        try:
            removals = rights.allowed(removable(site, envelope, message))
        except Exception:  # noqa: BLE001 - not known to be trusted, so it must pass as it is
            removals = ()
        owing = bool(removals) and copies.may_be_asked(message)
        return fallback.failed_result(error, removals, connection_context, owing=owing)
    mail = None
    try:
        mail = _Mail(site, arrival, terms, now, tick, connection_context, rights)
        return mail.consider()
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design rule 1)
        if mail is not None and mail.owes_copies is not None:
            owing = mail.owes_copies
        else:
            owing = arrival.entry is None and copies.may_be_asked(message)
        return fallback.failed_result(
            error, rights.allowed(arrival.headers()), connection_context, owing=owing
        )


def _switched_off(trusted: bool, message: Message) -> Plan | Leave:
    """Leaves mail as it is while the module is off, but for X-MSYS-API, which stays in the building."""
    headers = removal(message, x_msys_api.NAME) if trusted else ()
    return Plan(headers, why=Why.MODULE_OFF) if headers else Leave(Why.MODULE_OFF)


class _Mail:
    """One trusted message on its way through the steps."""

    def __init__(
        self,
        site: Site,
        arrival: ResumedMessage,
        terms: ScopeTerms,
        now: float,
        tick: Tick,
        connection_context: Mapping[str, str],
        rights: GrantedActions,
    ) -> None:
        self.site = site
        self.arrival = arrival
        self.terms = terms
        self.entry = arrival.entry
        self.envelope = arrival.envelope
        self.message = arrival.message
        self.rights = rights
        self.making = CopyTracking(site, arrival, now, tick, rights)
        self.now = now
        self.recipients = _distinct(self.envelope.recipients) or ("",)
        self.notes: list[str] = []
        self.session = connection_context
        self.judging: RecipientDecisions | None = None  # None: the configuration's usual judgement holds
        self.vctx: ValidationContext | None = None  # with the session's variables, once policy has run
        self.shared: tuple[Mapping[str, str], Mapping[str, str]] = {}, {}  # what the copies' hooks begin with
        self.owes_copies: bool | None = None  # not known yet

    def consider(self) -> MessageResult:
        making = self.making
        if not self.site.settings.active:
            return self._end(making.left(Why.MODULE_OFF))
        making.already = self._is_marked()
        if making.already and self.message.lacks((_HEADER,)):
            return self._end(making.left(Why.ALREADY_TRACKED))
        if not making.already:
            making.headers += removal(self.message, MARK)
        if self.arrival.refused is MarkRefusal.FORGED:
            self.notes.append(self.arrival.refused.value)
        elif self.arrival.refused is not None:
            return self._end(making.left(Why.SEVERAL_RECIPIENTS, self.arrival.refused.value))
        plain = self._is_plain()
        if plain and self.terms.usual is not None:
            self.notes += self.terms.usual.warnings
            return self._noted(self._passed(x_msys_api.NOTHING))
        scoped = self.terms.scoped
        vctx = ValidationContext(scoped.context, self.arrival.session, self.arrival.message_context)
        seen = PolicyMessage(self.envelope, self.message)
        if self.site.policy is not None and self.entry is None:
            try:
                phases.message(self.site.policy, self.envelope, seen, vctx)
            except PolicyFailed as failed:
                return self._policy_failed(failed)
            self.vctx = vctx
        self.shared = vctx.session(), vctx.message()
        judging = self.judging = RecipientDecisions(
            self.site, self.envelope, scoped, vctx, seen, making.reason
        )
        if judging.all_bypassed(self.recipients):
            return self._end(making.left(Why.BYPASSED))
        asked = x_msys_api.parse(self.message.all(_HEADER))
        if isinstance(asked, Refuse):
            return self._refused(asked)
        self.notes += asked.warnings
        considered = self._passed(asked)
        if plain:
            self.terms.usual = judging.settled
        self.notes += judging.notes
        return self._noted(considered)

    def _is_plain(self) -> bool:
        """Whether nothing but the configuration has a word on this message."""
        arrival = self.arrival
        return (
            self.site.policy is None
            and not arrival.session
            and not arrival.message_context
            and self.message.lacks((_HEADER,))
        )

    def _noted(self, considered: MessageResult) -> MessageResult:
        return considered._replace(notes=tuple(dict.fromkeys(self.notes))) if self.notes else considered

    def _passed(self, asked: XMsysApi) -> MessageResult:
        return self._second_pass(asked) if self.entry else self._first_pass(asked)

    def _judge(self, asked: XMsysApi, recipients: list[str]) -> list[RecipientDecision] | Refuse:
        if self.judging is not None:
            return self.judging.all(asked, recipients)
        assert self.terms.usual is not None
        return by_configuration(self.terms.usual, recipients, self.making.reason)

    def _is_marked(self) -> bool:
        """Whether a mark says, and proves, that this mail has links of ours (docs/decisions/0017).

        By its labels where they are as they were, else by the links themselves.
        """
        ring = self.site.ring
        if ring is None or self.message.lacks((_MARK,)):
            return False
        marks = self.message.all(_MARK)
        if any(
            self.making.fingerprint.is_marked(ring, recipient, value)
            for value in marks
            for recipient in (*self.recipients, "")
        ):
            return True
        named = [found for value in marks if (found := marked_id(value)) is not None]
        return bool(named) and carries(self.message.body, named, ring, self.now - LONGEST_WAY)

    def _policy_failed(self, failed: PolicyFailed) -> MessageResult:
        asked = x_msys_api.parse(self.message.all(_HEADER))
        if isinstance(asked, XMsysApi):
            owing = bool(copies.added(self.recipients, asked))
        else:  # wrong, and it may be copies that it asks for
            owing = copies.may_be_asked(self.message)
        if owing:
            self.notes.append(str(failed))
            return self._end(NO_COPIES_NOW)
        return self._end(self.making.left(Why.POLICY_FAILED, str(failed)))

    def _refused(self, refusal: Refuse) -> MessageResult:
        """To the client; a copy that was accepted before goes on without links, it is not sent back."""
        if self.entry is None:
            return self._end(refusal)
        return self._end(self.making.left(Why.POLICY_FAILED, refusal.text))

    def _first_pass(self, asked: XMsysApi) -> MessageResult:
        added = copies.added(self.recipients, asked) if asked is not x_msys_api.NOTHING else ()
        self.owes_copies = bool(added)
        # An archive copy is not judged: it is the first recipient's.
        more = [entry.address for role, entry in added if role is not Role.ARCHIVE]
        judged = self._judge(asked, [*self.recipients, *more])
        if isinstance(judged, Refuse):
            return self._refused(judged)
        if len(self.recipients) > 1 or added:
            return self._several(judged, asked, tuple(entry.address for _, entry in added))
        key = self.making.key
        one = judged[0]
        if key is not None and self._may_grow() and self._is_trackable(one):
            if self.rights.hops("split"):
                return self._split(key, judged, asked, ())
            missing = self.rights.missing("split")
            one = one._replace(why=Why.NOT_GRANTED, note=f"the MTA does not grant {missing}")
        return self._one(one, asked)

    def _one(self, judged: RecipientDecision, asked: XMsysApi) -> MessageResult:
        """The only recipient, at once."""
        recipient = self.recipients[0]
        if asked is not x_msys_api.NOTHING:
            self.making.headers += copies.fields(self.message, asked, Role.ORIGINAL, Copy(recipient))
        return self._alone(judged, recipient, Role.ORIGINAL)

    def _may_grow(self) -> bool:
        """Whether Postfix may add recipients behind the filter, who are to have copies of their own."""
        rewriting = self.site.settings.rewriting
        split_here = rewriting.several_recipients == "split" and self.arrival.expands
        return split_here and rewriting.added_recipients != "shared"

    def _is_trackable(self, judged: RecipientDecision) -> bool:
        return judged.why is None and self.making.nothing_to_edit() is None

    def _second_pass(self, asked: XMsysApi) -> MessageResult:
        """One copy that came back over the hop."""
        assert self.entry is not None
        recipient = self.recipients[0]
        several = len(self.recipients) > 1
        role, entry = self._role(recipient, asked)
        # An archive copy is the first recipient's mail again, however the MTA spells either of them.
        like = self.entry.first if role is Role.ARCHIVE or self._is_first(recipient, asked) else recipient
        judged = self._judge(asked, list(self.recipients) if several else [like])
        if isinstance(judged, Refuse):
            return self._refused(judged)
        if several:
            note = "the hop brought several recipients together: limit it to one"
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, note)
        self.making.headers += copies.fields(self.message, asked, role, entry)
        one = judged[0]
        if role is Role.ORIGINAL and self._is_added(recipient):
            role = Role.BCC
            if one.why is None and self.site.settings.rewriting.added_recipients == "none":
                one = one._replace(why=Why.ADDED_RECIPIENT)
        return self._alone(one, recipient, role)

    def _is_added(self, recipient: str) -> bool:
        """Whether the MTA itself put this recipient in, who stands for no one that the sender named."""
        assert self.entry is not None
        original = next(iter(self.envelope.originals), "")
        if not self.entry.names or not original:
            return False
        return not any(
            self.entry.has(split_header.name_of(copies.same(each))) for each in (recipient, original)
        )

    def _role(self, recipient: str, asked: XMsysApi) -> tuple[Role, Copy]:
        """By the address, or, where an alias led to it, by the one that the sender named."""
        assert self.entry is not None
        role, entry = copies.find(recipient, self.entry.named_twice, asked)
        original = next(iter(self.envelope.originals), "")
        if role is Role.ORIGINAL and original:
            role, entry = copies.find(original, self.entry.named_twice, asked)
        return role, entry

    def _is_first(self, recipient: str, asked: XMsysApi) -> bool:
        assert self.entry is not None
        aliases = self.envelope.originals[:1] if asked.archive else ()
        return copies.same(self.entry.first) in map(copies.same, (recipient, *aliases))

    def _alone(self, judged: RecipientDecision, recipient: str, role: Role) -> MessageResult:
        """The one copy that can be tracked, with the links of whom it was judged for."""
        decision, key = judged.decision, self.making.key
        if decision is None:
            assert judged.why is not None
            return self._end(self.making.left(judged.why, judged.note))
        if key is None:
            return self._end(self.making.left(Why.NO_KEY), decision)
        if judged.why is None:
            identity = self.making.identity(decision, key, judged.recipient, role)
            outcome = self.making.tracked(decision, key, identity, recipient)
        else:
            outcome = self.making.untracked(judged.why, judged.note, decision)
        told = judged._replace(recipient=recipient) if role is Role.ARCHIVE else judged
        return self._end(outcome, decision, self.making.injections(outcome, key, [(told, role)]))

    def _several(
        self, judged: list[RecipientDecision], asked: XMsysApi, more: tuple[str, ...]
    ) -> MessageResult:
        """A transaction that names several recipients, or asks for copies."""
        mode, key = self.site.settings.rewriting.several_recipients, self.making.key
        hops = mode in _HOPS and self.arrival.expands and self.rights.hops(mode)
        if more and not hops:
            return self._end(x_msys_api.refusal(_NOT_ENABLED))
        if key is None:
            return self._end(NO_COPIES_NOW if more else self.making.left(Why.NO_KEY), judged[0].decision)
        if not more:
            why, note = next(((None, "") for each in judged if each.why is None), judged[0].reason)
            if why is None and (closed := self.making.nothing_to_edit()) is not None:
                why, note = closed.why, closed.note
            if why is None and hops and self._may_overlap():
                why, note = Why.SEVERAL_RECIPIENTS, _OVERLAP
            if why is not None:
                return self._untracked(judged, why, note)
        if hops:
            return self._split(key, judged, asked, more)
        if mode == "shared":
            return self._shared(key, judged)
        missing = self.rights.missing(mode) if mode in _HOPS else ""
        note = f"the MTA does not grant {missing}" if missing else ""
        return self._untracked(judged, Why.SEVERAL_RECIPIENTS, note)

    def _may_overlap(self) -> bool:
        """Whether Sendmail would send fewer copies than its hop brings (docs/sendmail.md, Limits)."""
        rewriting, envelope = self.site.settings.rewriting, self.envelope
        if rewriting.several_recipients != "readdress" or not rewriting.overlapping_aliases:
            return False
        return copies.may_overlap(envelope.recipients, envelope.resolved)

    def _split(
        self, key: Key, judged: list[RecipientDecision], asked: XMsysApi, more: tuple[str, ...]
    ) -> MessageResult:
        """Over the hop, with all that the second pass must know."""
        readdress = self.site.settings.rewriting.several_recipients == "readdress"
        mark = split_header.seal(self._entry(asked, more), key)
        others = tuple(each for each in self.message.fields if each.name.lower() != _HEADER)
        room = _LONGEST_HEADER - Message(others, b"").header_size if readdress else _LONGEST_MARK
        try:
            recipients = self._envelope_changes(readdress, more)
            fault = "" if len(mark) <= room else "header and session variables are too long for the hop"
        except ValueError as error:
            recipients, fault = (), str(error)
        if fault and more:
            return self._end(x_msys_api.refusal(f"{x_msys_api.NAME} cc, bcc and archive: {fault}"))
        if fault and len(self.recipients) == 1:
            return self._one(judged[0], asked)
        if fault:
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, fault)
        count = len(self.recipients) + len(more)
        note = f"{count} copies" if count > 1 else "1 copy"
        headers = (*self.making.headers, HeaderChange(split_header.HEADER, 0, mark))
        through = copies.HOP if readdress else ""
        return self._end(Plan(headers, why=Why.SPLIT, note=note, recipients=recipients, through=through))

    def _entry(self, asked: XMsysApi, more: tuple[str, ...]) -> SplitRecipient:
        values, fingerprint = self.message.values, self.making.fingerprint
        return SplitRecipient(
            client=self.envelope.client,
            at=int(self.now),
            issued=self.making.issued,
            first=self.recipients[0],
            bound=fingerprint.bound,
            fingerprint=fingerprint.digest,
            signatures=tuple(split_header.signature_id(value) for value in values("DKIM-Signature")),
            directive=next(values(x_msys_api.NAME), b"") if asked.present else b"",
            named_twice=copies.named_twice(self.recipients, asked),
            context=self.shared[0],
            message_context=self.shared[1],
            names=self._names(more),
        )

    def _names(self, more: tuple[str, ...]) -> bytes:
        """Who is named by the sender, for `_is_added`; Sendmail adds nobody before its hop."""
        if self.site.settings.rewriting.several_recipients != "split":
            return b""
        named = (*self.envelope.recipients, *filter(None, self.envelope.originals), *more)
        return b"".join(split_header.name_of(name) for name in dict.fromkeys(map(copies.same, named)))

    def _envelope_changes(self, readdress: bool, more: tuple[str, ...]) -> tuple[Recipient, ...]:
        """Raises ValueError with words for a recipient who cannot go over the hop."""
        if not readdress:
            return tuple(Recipient(address) for address in more)
        there = tuple(dict.fromkeys(self.envelope.recipients))  # each spelling, since each is to be deleted
        return (
            *(Recipient(copies.sendable(old), instead_of=old) for old in there),
            *(Recipient(copies.sendable(address)) for address in more),
        )

    def _shared(self, key: Key, judged: list[RecipientDecision]) -> MessageResult:
        """The same links for all, with no recipient in them."""
        decision = judged[0].decision
        if decision is None or any(each.decision != decision for each in judged):
            return self._untracked(judged, Why.SEVERAL_RECIPIENTS, "decisions differ between recipients")
        identity = replace(self.making.identity(decision, key, ""), recipient="")
        outcome = self.making.tracked(decision, key, identity, "")
        # The mail is one and the same for all of them, so all share its message id (docs/decisions/0010).
        injections = tuple(
            injection._replace(message_id=identity.message_id)
            for injection in self.making.injections(outcome, key, _originals(judged))
        )
        return self._end(outcome, decision, injections)

    def _untracked(self, judged: list[RecipientDecision], why: Why, note: str = "") -> MessageResult:
        """Nobody gets links; still each of them is one injection."""
        decision, key = judged[0].decision, self.making.key
        outcome = self.making.untracked(why, note, decision)
        injections = self.making.injections(outcome, key, _originals(judged)) if key else ()
        return self._end(outcome, decision, injections)

    def _end(
        self, outcome: Outcome, decision: Decision | None = None, injections: tuple[Injection, ...] = ()
    ) -> MessageResult:
        session = self.session if self.vctx is None else self.vctx.session()
        counts = ("marks-refused",) if self.arrival.refused else ()
        return MessageResult(outcome, decision, injections, session, tuple(self.notes), counts)


def _originals(judged: list[RecipientDecision]) -> list[tuple[RecipientDecision, Role]]:
    return [(each, Role.ORIGINAL) for each in judged]


def _distinct(recipients: tuple[str, ...]) -> tuple[str, ...]:
    """Each mailbox once, as it was first spelled."""
    if len(recipients) == 1:
        return recipients
    found: dict[str, str] = {}
    for recipient in recipients:
        found.setdefault(copies.same(recipient), recipient)
    return tuple(found.values())
