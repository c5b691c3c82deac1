"""One message of a trusted client while it is decided: its facts, and the ways in which it may end.

The steps are in `transaction`. The modules for several recipients and for the second pass take a
`TrustedMail` and end it by one of its methods. It makes no links itself; `tracking` does.

Invariants: each method that returns a `MessageResult` ends the transaction, and nothing follows it; without a
signing key no links and no injection records are made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from engagement.events.model import Injection, MessageEvent
from engagement.links.keys import Key
from smtpapi.hop.fingerprint import Fingerprint
from smtpapi.hop.resume import ResumedMessage
from smtpapi.mime.describe import OF_BYTES
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.outcome import Discard, HeaderChange, Outcome, Plan, Recipient, Refuse, Why, removal
from smtpapi.pipeline.recipients import RecipientDecision, RecipientDecisions, by_configuration
from smtpapi.pipeline.site import MessageResult, ScopeTerms, Site
from smtpapi.pipeline.tracking import CopyTracking
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Changes, PolicyMessage
from smtpapi.request import copies, vendor_headers, x_msys_api
from smtpapi.request.copies import Role
from smtpapi.request.decision import Decision
from smtpapi.request.x_msys_api import Copy, XMsysApi

Tick = Callable[[], float]
_NONE = Changes()


class TrustedMail:
    """One trusted message on its way through the steps.

    recipients: each mailbox once; ("",) where the transaction names none. first_pass: what the first pass
    knew, None while this is the first pass. tracking: makes the copies. decisions: decides for each
    recipient, None where the configuration's default decision holds. notes: warnings for the log. remarks:
    names in other vendors' fields that were not read. vctx: the policy's variables, None where no policy has
    run. hook_context: the variables of session and message that the hooks for each recipient begin with.
    copies_promised: whether X-MSYS-API asks for copies, None while it is unread. seen: the message as policy
    sees it, None where none has run. hop_fingerprint: of the message as it goes over the hop. suppressed,
    suppressed_count: events of the recipients who are on the suppression list, and how many they are. moved:
    whom policy puts in a recipient's place, by that one's `same`. apart: whether policy changes sender or
    body for some recipients only, which takes a copy each.
    """

    def __init__(
        self,
        site: Site,
        resumed: ResumedMessage,
        terms: ScopeTerms,
        now: float,
        tick: Tick,
        connection_context: Mapping[str, str],
        rights: GrantedActions,
    ) -> None:
        self.site = site
        self.resumed = resumed
        self.terms = terms
        self.first_pass = resumed.first_pass
        self.envelope = resumed.envelope
        self.message = resumed.message
        self.rights = rights
        self.tracking = CopyTracking(site, resumed, now, tick, rights)
        self.now = now
        self.recipients = _distinct(self.envelope.recipients) or ("",)
        self.notes: list[str] = []
        self.remarks: tuple[str, ...] = ()
        self.decisions: RecipientDecisions | None = None
        self.vctx: ValidationContext | None = None
        self.hook_context: tuple[Mapping[str, str], Mapping[str, str]] = {}, {}
        self.copies_promised: bool | None = None
        self.seen: PolicyMessage | None = None
        self.hop_fingerprint: Fingerprint = self.tracking.fingerprint
        self.suppressed: tuple[Injection | MessageEvent, ...] = ()
        self.suppressed_count = 0
        self.moved: Mapping[str, str] = {}
        self.apart = False
        self._hop_changes = Changes()
        self._changes = Changes()
        self._joining: tuple[str, ...] = ()
        self._leaving: tuple[str, ...] = ()
        self._session = connection_context

    @property
    def vendor_removals(self) -> tuple[HeaderChange, ...]:
        """The changes that take other vendors' fields out, as long as no policy has changed the header."""
        return vendor_headers.removals(self.terms.vendors, self.message)

    def take_vendor_headers(self, seen: PolicyMessage) -> None:
        """Go on with X-MSYS-API in the place of other vendors' fields; where both stand, it counts alone.

        seen: the message as policy has left it. Over the hop X-MSYS-API goes as any does.
        """
        vendors = self.terms.vendors
        names = vendor_headers.names(vendors, self.message)
        if not names:
            return
        first = next(iter(self.message.values(x_msys_api.NAME)), b"")
        if not x_msys_api.unfold(first):  # an empty field counts as none (contract.md 3.1)
            found = vendor_headers.translated(vendors, self.message)
            self.notes += found.notes
            if found.unread:
                self.remarks = (f"other vendors' fields, not read: {', '.join(found.unread)}",)
            if found.text:
                seen.set_header(x_msys_api.NAME, found.text)
        for name in names:
            seen.remove_header(name)
        self.take_changes(seen.changes, for_hop=True)

    def take_changes(self, changes: Changes, *, for_hop: bool) -> None:
        """Go on with header, sender and body as policy leaves them.

        for_hop: whether the change is the whole message's, so that it is made before the mail goes over the
        hop; the hook for each recipient runs again behind it.
        """
        self._changes = changes
        message = self.resumed.message if changes.header is None else changes.header.message()
        if changes.body is not None:
            message = message.with_body(changes.body)
        if message is not self.message:
            self.message = message
            self.tracking.take(message)
        sender = self.resumed.envelope.sender if changes.sender is None else changes.sender
        if sender != self.envelope.sender:
            self.envelope = replace(self.envelope, sender=sender)
            self.tracking.take_sender(sender)
        if for_hop:
            self._hop_changes = changes
            self.hop_fingerprint = self.tracking.fingerprint

    def take_changes_of_each(self, changes: Sequence[Changes]) -> None:
        """Go on with what the hooks for each recipient left, if that is the same for all of them."""
        if not changes:
            return
        first, *others = changes
        self.apart = False
        if all(each == first for each in others):
            self.take_changes(first, for_hop=False)
            return
        self.apart = any(each[1:] != first[1:] for each in others)
        self.notes.append(
            "policy changes header, sender or body for some recipients only, which the hop alone can do"
        )

    def take_recipients(self, joining: Sequence[str], leaving: Sequence[str]) -> None:
        """Go on with the recipients as policy leaves them. leaving: as the client spelled them."""
        if not joining and not leaving:
            return
        gone = {copies.same(each) for each in leaving}
        added = {copies.same(each) for each in self._joining}
        self._joining = tuple(each for each in (*self._joining, *joining) if copies.same(each) not in gone)
        self._leaving += tuple(each for each in leaving if copies.same(each) not in added)
        self.envelope = self.envelope.with_recipients(tuple(joining), gone)
        self.recipients = _distinct(self.envelope.recipients)

    def _with_policy(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the changes of header and envelope that policy made."""
        if isinstance(outcome, Refuse | Discard):
            return outcome
        over_hop = isinstance(outcome, Plan) and outcome.why is Why.SPLIT
        changes = self._hop_changes if over_hop else self._changes
        moved = {} if over_hop else self.moved  # behind the hop the hooks for each recipient run again
        if changes == _NONE and not self._joining and not self._leaving and not moved:
            return outcome
        plan = outcome if isinstance(outcome, Plan) else Plan(why=outcome.why, note=outcome.note)
        edits = changes.header
        headers = plan.headers
        if changes.body is not None:
            came = self.resumed.message if edits is None else edits.message()
            of_bytes = (each for name in OF_BYTES for each in removal(came, name))
            headers += self.rights.allowed(tuple(each for each in of_bytes if each not in headers))
        if edits is not None:
            headers = self.rights.allowed(edits.changes(headers))
        readdressed = bool(plan.through)  # then all are added anew already
        stay = readdressed or not (self._joining or moved)
        added = () if stay else tuple(self._recipient_changes(moved))
        return replace(
            plan,
            headers=headers,
            recipients=plan.recipients + added,
            leaving=self._leaving,
            sender=changes.sender,
            body=changes.body,
        )

    def _recipient_changes(self, moved: Mapping[str, str]) -> Iterator[Recipient]:
        """Yield the recipients that policy adds, and those that it puts in the place of others."""
        for address in self._joining:
            yield Recipient(moved.get(copies.same(address), address))
        joining = set(map(copies.same, self._joining))
        for address in dict.fromkeys(self.envelope.recipients):  # each spelling, since each is to be deleted
            new = moved.get(copies.same(address))
            if new is not None and copies.same(address) not in joining:
                yield Recipient(copies.sendable(new), instead_of=address)

    def decide(self, directive: XMsysApi, recipients: list[str]) -> list[RecipientDecision] | Refuse:
        """Return a decision for each of these recipients, or the reply that refuses the message."""
        if self.decisions is not None:
            return self.decisions.decide_all(directive, recipients)
        assert self.terms.default_decision is not None
        return by_configuration(self.terms.default_decision, recipients, self.tracking.reason)

    def end(
        self, outcome: Outcome, decision: Decision | None = None, injections: tuple[Injection, ...] = ()
    ) -> MessageResult:
        """Return the result with this outcome."""
        session = self._session if self.vctx is None else self.vctx.session()
        counts = ("marks-refused",) if self.resumed.refused else ()
        printed = () if self.seen is None else tuple(self.seen.lines)
        changed = self._with_policy(outcome)
        result = MessageResult(
            changed, decision, injections, session, tuple(self.notes), counts, printed, self.remarks
        )
        # Of a refusal for another reason nothing comes: the client may send the mail again.
        return result if isinstance(outcome, Refuse) or not self.suppressed_count else self.bounced(result)

    def bounced(self, result: MessageResult) -> MessageResult:
        """Return the result with the events of those who are on the suppression list."""
        counts = result.counts + ("suppressed",) * self.suppressed_count
        return result._replace(counts=counts, suppressed=self.suppressed)

    def end_unchanged(self, why: Why, note: str = "") -> MessageResult:
        """Return the result that leaves the body alone and takes out only the internal header fields."""
        return self.end(self.tracking.body_unchanged(why, note))

    def refuse(self, refusal: Refuse) -> MessageResult:
        """Return the refusal for the client; on the second pass the copy goes on without links instead.

        The copy was accepted on the first pass, so it is never sent back (docs/decisions/0010).
        """
        if self.first_pass is None:
            return self.end(refusal)
        return self.end_unchanged(Why.POLICY_FAILED, refusal.text)

    def only_recipient(self, decided: RecipientDecision, directive: XMsysApi) -> MessageResult:
        """Return the result for a message that has one recipient and needs no hop."""
        recipient = self.recipients[0]
        if directive is not x_msys_api.NOTHING:
            self.tracking.headers += copies.fields(self.message, directive, Role.ORIGINAL, Copy(recipient))
        return self.one_copy(decided, recipient, Role.ORIGINAL)

    def one_copy(self, decided: RecipientDecision, recipient: str, role: Role) -> MessageResult:
        """Return the result for a message that is one recipient's copy.

        The links are those of `decided.recipient`: of the first RCPT TO where this copy is for the archive.
        """
        decision, key = decided.decision, self.tracking.key
        to = self.moved.get(copies.same(recipient), recipient)
        named = recipient if to != recipient else ""
        if decision is None:
            assert decided.why is not None
            return self.end_unchanged(decided.why, decided.note)
        if key is None:
            return self.end(self.tracking.body_unchanged(Why.NO_KEY), decision)
        if decision.list_unsubscribe:
            self.tracking.let_leave(decided._replace(recipient=to, named=named), key, role)
        if decided.why is None:
            identity = self.tracking.identity(decision, key, decided.recipient, role, decided.came_for)
            outcome = self.tracking.with_links(decision, key, identity, to)
        else:
            outcome = self.tracking.without_links(decided.why, decided.note, decision)
        recorded = decided._replace(recipient=to, named=named) if role is Role.ARCHIVE else decided
        return self.end(outcome, decision, self.tracking.injections(outcome, key, [(recorded, role, to)]))

    def end_untracked(self, decisions: list[RecipientDecision], why: Why, note: str = "") -> MessageResult:
        """Return the result that gives nobody links; each recipient still has one injection record."""
        decision, key = decisions[0].decision, self.tracking.key
        outcome = self.tracking.without_links(why, note, decision)
        return self.end(outcome, decision, self.original_injections(outcome, key, decisions) if key else ())

    def original_injections(
        self, outcome: Outcome, key: Key, decisions: list[RecipientDecision]
    ) -> tuple[Injection, ...]:
        """Return one injection record for each of these recipients, all in the role of an original."""
        records = [(each, Role.ORIGINAL, each.recipient) for each in decisions]
        return self.tracking.injections(outcome, key, records)


def _distinct(recipients: tuple[str, ...]) -> tuple[str, ...]:
    """Return each mailbox once, as it was first spelled."""
    if len(recipients) == 1:
        return recipients
    found: dict[str, str] = {}
    for recipient in recipients:
        found.setdefault(copies.same(recipient), recipient)
    return tuple(found.values())
