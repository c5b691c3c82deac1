"""How one message's copies are tracked: identity, links, header changes and injection records.

Who gets which copy is decided in `transaction`.

Invariants: a message whose body must stay gets no edits; the fields that must not leave the building are
taken out whatever happens (design rule 10); without a key there are no links and no records.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from engagement.events.addresses import truncated
from engagement.events.model import Injection, recipient_mark
from engagement.links.keys import Key
from engagement.links.model import Identity
from engagement.links.token import CannotSeal
from engagement.settings.schema import PrivacyMode
from smtpapi.hop.fingerprint import MARK, Fingerprint, event_id, issued_at, promised_from, pseudonym
from smtpapi.hop.resume import ResumedMessage
from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL, GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Plan, Why
from smtpapi.pipeline import list_unsubscribe
from smtpapi.pipeline.injection import CopyFacts, describe
from smtpapi.pipeline.link_marks import NO_LINK_FACTS, link_facts
from smtpapi.pipeline.recipients import RecipientDecision
from smtpapi.pipeline.site import Site
from smtpapi.request.copies import Role
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.plan import editable, plan

# Reasons not to track for which the [[…]] notation is taken out all the same.
_CLEANED = frozenset(
    {Why.TRACKING_OFF, Why.PRIVACY_OFF, Why.SEVERAL_RECIPIENTS, Why.ADDED_RECIPIENT, Why.NOT_GRANTED}
)
# "[[" and "{{" as they may stand in text or quoted-printable. Base64 hides them, so any base64 near the top
# counts.
_NOTATION = (b"[[", b"[=", b"=5B", b"{{", b"{=", b"=7B")
_BASE64 = (b"base64", b"BASE64", b"Base64")
_TOP = 65536  # bytes; text parts come before attachments. A guess
_DKIM, _ARC = ("dkim-signature",), ("arc-seal", "arc-message-signature")
# Signatures that cover the body too: patatt's, Usenet's, and DomainKeys' (RFC 4870).
_OTHERS = ("x-developer-signature", "x-pgp-sig", "domainkey-signature")
_SIGNATURES = _DKIM + _ARC + _OTHERS
# Seconds. An hour less of a longer life is under 0.2 % of it; a life as promised makes the shortest links.
_SHORT = 30 * 86400
_LEAVING = "unsubscribe "  # no address begins so
_NO_ONE = Identity(bytes(16), 0, "", 0, 0)


class CopyTracking:
    """Makes the outcomes and records of one message's copies.

    fingerprint: what all ids are made of. key: makes links, None without one. headers: header changes of
    every outcome; they may grow until the outcome is made. already_tracked: whether the message came with
    links of ours.
    """

    def __init__(
        self,
        site: Site,
        resumed: ResumedMessage,
        now: float,
        tick: Callable[[], float],
        rights: GrantedActions = ALL,
    ) -> None:
        self._site = site
        self._envelope = resumed.envelope
        self._message = resumed.message
        self._now = now
        self._tick = tick
        self._rights = rights
        self.fingerprint = resumed.fingerprint or Fingerprint(resumed.envelope, resumed.message)
        # The split header's key: a rotation between two copies must not make their links differ.
        self.key = resumed.key or site.key
        self.headers = resumed.headers()
        self.already_tracked = False
        self._issued = resumed.first_pass.issued if resumed.first_pass else None
        self._decided = resumed.first_pass.at if resumed.first_pass else now
        self._transmission: int | None = None
        self._message_ids: dict[str, bytes] = {}  # by recipient

    def take(self, message: Message) -> None:
        """Go on with a message that policy changed; its ids stay those of the message as it came."""
        if message.body is not self._message.body:
            self.fingerprint = self.fingerprint.with_body(message.body_digest())
        self._message = message
        self.fingerprint = self.fingerprint.relabelled(message)

    def take_sender(self, sender: str) -> None:
        """Go on with another envelope sender; the ids stay those of the message as it came."""
        self._envelope = replace(self._envelope, sender=sender)

    def take_transmission_id(self, chosen: int) -> None:
        """Go on with the transmission id that the sender chose (contract.md 3.7)."""
        self._transmission = chosen

    @property
    def issued(self) -> int:
        """When the message was sent, Unix seconds."""
        if self._issued is None:
            self._issued = issued_at(self._message, self._now)
        return self._issued

    def _expiry(self, decision: Decision) -> int:
        """Return when links of this copy are over, Unix seconds."""
        if decision.expiry <= 0:  # never recorded (contract.md 6.4)
            return self.issued + decision.expiry
        begin = promised_from(self._message, self._decided, whole=decision.expiry <= _SHORT)
        return max(begin + decision.expiry, self.issued + 1)

    def reason(self, decision: Decision) -> Why | None:
        """Return the first reason why a recipient gets no links, apart from the message's MIME structure."""
        if self.already_tracked:
            return Why.ALREADY_TRACKED
        if decision.privacy is PrivacyMode.OFF:
            return Why.PRIVACY_OFF
        if not decision.clicks and not decision.opens:
            return Why.TRACKING_OFF
        return self.why_body_stays()

    def why_body_stays(self) -> Why | None:
        """Return why no byte of the body may change, whoever the recipient is; None where it may."""
        return why_body_stays(self._site, self._envelope, self._message)

    def nothing_to_edit(self) -> Leave | None:
        """Return the outcome of a message whose MIME structure has no place for links; None if it has one."""
        deadline = self._tick() + self._site.rules.time_budget
        parts = editable(self._message, self._site.rules, lambda: self._tick() > deadline)
        return parts if isinstance(parts, Leave) else None

    def body_unchanged(self, why: Why, note: str = "") -> Plan | Leave:
        """Return the outcome that leaves the body alone and takes out the fields that must not leave."""
        headers = self._rights.allowed(self.headers)
        return Plan(headers, why=why, note=note) if headers else Leave(why, note)

    def with_links(self, decision: Decision, key: Key, identity: Identity, recipient: str) -> Plan | Leave:
        """Return the outcome with links and pixels that carry this identity.

        recipient: whose copy it is, "" for one that all recipients share. Where no link can be made, or the
        MTA does not grant what the edits need, the outcome is one without links.
        """
        try:
            links = CopyLinks.build(key, identity, decision)
        except CannotSeal as error:
            return self.body_unchanged(Why.INTERNAL_ERROR, f"no link can be made: {error}")
        planned = plan(self._message, decision, links, self._site.rules, self._tick)
        if isinstance(planned, Leave):
            return self.body_unchanged(planned.why, planned.note)
        headers = self.headers + planned.headers
        if _has_links(planned.edits):
            mark = self.fingerprint.mark(key, recipient, identity.message_id)
            headers += (HeaderChange(MARK, 0, mark),)
        if missing := self._rights.lacking(headers, planned.edits):
            note = f"the MTA does not grant {missing}"
            return self.without_links(planned.why or Why.NOT_GRANTED, note, decision)
        # Not dataclasses.replace, which takes twice the time.
        return Plan(headers, planned.edits, planned.skipped, planned.why, planned.note, parts=planned.parts)

    def without_links(self, why: Why, note: str, decision: Decision | None) -> Plan | Leave:
        """Return the outcome that makes no links, takes out the [[…]] notation and reads the brace macros.

        Both stay where the body must not change or the MTA does not let it change. contract.md 5.3, 5.4.
        """
        if decision is None or self.key is None or why not in _CLEANED:
            return self.body_unchanged(why, note)
        if self.why_body_stays() is not None or not self._may_hold_notation():
            return self.body_unchanged(why, note)
        none = replace(decision, clicks=False, opens=False, initial_opens=False)
        links = CopyLinks.build(self.key, _NO_ONE, none)
        planned = plan(self._message, none, links, self._site.rules, self._tick)
        if isinstance(planned, Leave) or not planned.edits:
            return self.body_unchanged(why, note)
        headers = self.headers + planned.headers
        if self._rights.lacking(headers, planned.edits):
            return self.body_unchanged(why, note)
        return Plan(headers, planned.edits, why=why, note=note)

    def _may_hold_notation(self) -> bool:
        body = self._message.body
        encodings = (self._message.first("Content-Transfer-Encoding") or b"") + body[:_TOP]
        return any(mark in body for mark in _NOTATION) or any(word in encodings for word in _BASE64)

    def identity(
        self, decision: Decision, key: Key, recipient: str, role: Role = Role.ORIGINAL, came_for: str = ""
    ) -> Identity:
        """Return what all links of one copy share. An archive copy's links are those of an original.

        came_for: in whose place policy put the recipient, "" where it did not.
        """
        return Identity(
            message_id=self._message_id(key, came_for or recipient),
            transmission_id=self._transmission_id(key),
            recipient=_recorded_recipient(decision, key, recipient),
            issued=self.issued,
            expiry=self._expiry(decision),
            rcpt_type="" if role is Role.ORIGINAL or role is Role.ARCHIVE else role.value,
            campaign=decision.campaign,
            tags=decision.tags,
            metadata=decision.metadata,
            customer_id=decision.customer_id,
            transactional=decision.transactional,
        )

    def may_be_left(self, decided: RecipientDecision) -> bool:
        """Return whether this recipient's copy gets fields for leaving the list (docs/unsubscribe.md).

        Never where no byte of the body may change: a signature there may cover that the fields are absent.
        Nor where others would get the same copy, or a recipient was added whose copies are left alone.
        """
        decision = decided.decision
        if decision is None or decided.why in (Why.NOT_GRANTED, Why.ADDED_RECIPIENT):
            return False
        if not list_unsubscribe.applies(self._message, decision, decided.recipient):
            return False
        return not self.already_tracked and self.why_body_stays() is None

    def let_leave(self, decided: RecipientDecision, key: Key, role: Role) -> None:
        """Add the fields for leaving the list to the headers of every outcome, if the copy is to have them.

        It is this copy's own for the archive too, whose other links are those of an original (contract.md 9).
        In modes that name no recipient in links this one does, as nobody could follow the wish otherwise; so
        it has a message id of its own there, which leads to no other event.
        """
        if (decision := decided.decision) is None or not self.may_be_left(decided):
            return
        identity = self.identity(decision, key, decided.recipient, role, decided.came_for)
        if role is Role.ARCHIVE:
            identity = replace(identity, rcpt_type=role.value)
        if decision.privacy is not PrivacyMode.FULL:
            apart = self.fingerprint.message_id(key, f"{_LEAVING}{decided.came_for}", self.issued)
            identity = replace(identity, recipient=decided.recipient, message_id=apart)
        self.headers += list_unsubscribe.fields(self._message, decision, key, identity)

    def _message_id(self, key: Key, recipient: str) -> bytes:
        found = self._message_ids.get(recipient)
        if found is None:
            found = self._message_ids[recipient] = self.fingerprint.message_id(key, recipient, self.issued)
        return found

    def _transmission_id(self, key: Key) -> int:
        """Return the id that all copies share; it is made once, since a message has one key."""
        if self._transmission is None:
            self._transmission = self.fingerprint.transmission_id(key)
        return self._transmission

    def injections(
        self, outcome: Outcome, key: Key, copies: Iterable[tuple[RecipientDecision, Role, str]]
    ) -> tuple[Injection, ...]:
        """Return one injection record for each recipient that has a decision.

        copies: each with the address that the MTA has for it, which on the second pass may be another one. An
        injection is found by that one when the MTA's log says what became of the mail.
        Mail that came with links of ours has its records already; only the copies it asks for get new ones.
        """
        records = []
        shared: dict[int, Injection] = {}  # by the decision's id(): what recipients share is described once
        envelope = self._envelope
        for decided, role, address in copies:
            if (decision := decided.decision) is None or (self.already_tracked and role is Role.ORIGINAL):
                continue
            message_id = self._message_id(key, decided.came_for)
            own = CopyFacts(
                event_id(message_id, self.issued),
                message_id,
                self._transmission_id(key),
                _recorded_recipient(decision, key, decided.recipient),
                "" if role is Role.ORIGINAL else role.value,  # reading `value` is a call in Python
                recipient_mark(envelope.client.host, envelope.queue_id, address),
            )
            first = shared.get(id(decision))
            if first is None:
                client = self._client_address(decision)
                record = describe(envelope, self._message, decision, outcome, self._now, own, client)
                if decision.keep_html_days and not decision.shared_pixel and isinstance(outcome, Plan):
                    record = record._replace(**link_facts(outcome.edits, key, self._expiry(decision)))
                shared[id(decision)] = record
            else:
                record = first._replace(**own._asdict())
            if role is Role.ARCHIVE and record.link_marks:  # its links are the original recipient's
                record = record._replace(**NO_LINK_FACTS)
            records.append(record)
        return tuple(records)

    def _client_address(self, decision: Decision) -> str:
        """Return what the record may say of the client: in modes that name no reader, it may be theirs."""
        if decision.privacy is not PrivacyMode.FULL:
            return ""
        address = self._envelope.client.address
        return truncated(address) if self._site.settings.privacy.truncate_addresses else address


def why_body_stays(site: Site, envelope: Envelope, message: Message) -> Why | None:
    """Return why no byte of a message's body may change, by envelope and header; None where it may."""
    lacks = message.lacks
    if not envelope.sender:
        return Why.NULL_SENDER
    if not message.has_ascii_names():
        return Why.AMBIGUOUS_MIME
    if lacks(_SIGNATURES):
        return None
    if not lacks(_DKIM) and site.settings.rewriting.dkim_signed_mail == "leave":
        return Why.DKIM_SIGNED
    if not lacks(_OTHERS):
        return Why.BODY_SIGNED
    return None if lacks(_ARC) else Why.ARC_SEALED


def _recorded_recipient(decision: Decision, key: Key, recipient: str) -> str:
    """Return what links and events may say about the recipient (docs/privacy.md)."""
    match decision.privacy:
        case PrivacyMode.FULL:
            return recipient
        case PrivacyMode.HYGIENE:
            return pseudonym(key, recipient)
        case _:
            return ""


def _has_links(edits: tuple[Edit, ...]) -> bool:
    return any(edit.kind in ("link", "pixel") or _has_links(edit.inner) for edit in edits)
