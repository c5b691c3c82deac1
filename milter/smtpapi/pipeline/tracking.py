"""What one copy becomes: its identity, its links, the fields it loses, the record of it.

Not who gets what (`transaction`). Invariants: nothing is made for a message that forbids any change; what
must not leave the building goes whatever happens; without a key nothing is made.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from engagement.events.model import Injection
from engagement.links.keys import Key
from engagement.links.model import Identity
from engagement.links.token import CannotSeal
from smtpapi.hop.fingerprint import MARK, Fingerprint, event_id, issued_at, pseudonym
from smtpapi.hop.resume import ResumedMessage
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL, GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import Edit, HeaderChange, Leave, Outcome, Plan, Why
from smtpapi.pipeline.injection import CopyFacts, describe
from smtpapi.pipeline.recipients import RecipientDecision
from smtpapi.pipeline.site import Site
from smtpapi.request.copies import Role
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.plan import editable, plan

_CLEANED = frozenset(
    {Why.TRACKING_OFF, Why.PRIVACY_OFF, Why.SEVERAL_RECIPIENTS, Why.ADDED_RECIPIENT, Why.NOT_GRANTED}
)
# "[[" as it may stand in text or quoted-printable; base64 shows nothing, so a part near the top may hold it.
_NOTATION = (b"[[", b"[=", b"=5B")
_BASE64 = (b"base64", b"BASE64", b"Base64")
_TOP = 65536  # bytes: texts come before attachments
_DKIM, _ARC = ("dkim-signature",), ("arc-seal", "arc-message-signature")
# Of the body too: patatt's, Usenet's, and DKIM's forerunner (RFC 4870).
_OTHERS = ("x-developer-signature", "x-pgp-sig", "domainkey-signature")
_SIGNATURES = _DKIM + _ARC + _OTHERS
_NO_ONE = Identity(bytes(16), 0, "", 0, 0)


class CopyTracking:
    """One message's copies.

    headers: changes for all of them; they may grow until the copy is made. already: it came with links of
    ours.
    """

    def __init__(
        self,
        site: Site,
        arrival: ResumedMessage,
        now: float,
        tick: Callable[[], float],
        rights: GrantedActions = ALL,
    ) -> None:
        self._site = site
        self._envelope = arrival.envelope
        self._message = arrival.message
        self._now = now
        self._tick = tick
        self._rights = rights
        self.fingerprint = arrival.fingerprint or Fingerprint(arrival.envelope, arrival.message)
        # The key of the mark: a rotation between two copies must not make their links differ.
        self.key = arrival.key or site.key
        self.headers = arrival.headers()
        self.already = False
        self._issued = arrival.entry.issued if arrival.entry else None
        self._transmission: int | None = None
        self._message_ids: dict[str, bytes] = {}  # by recipient

    @property
    def issued(self) -> int:
        """When the message was sent, Unix seconds."""
        if self._issued is None:
            self._issued = issued_at(self._message, self._now)
        return self._issued

    def reason(self, decision: Decision) -> Why | None:
        """The first reason why a recipient gets no links at all, whatever the message's MIME structure."""
        if self.already:
            return Why.ALREADY_TRACKED
        if decision.privacy == "off":
            return Why.PRIVACY_OFF
        if not decision.clicks and not decision.opens:
            return Why.TRACKING_OFF
        return self.closed()

    def closed(self) -> Why | None:
        """Why not one byte of the body may change, whoever the recipient is."""
        return closed(self._site, self._envelope, self._message)

    def nothing_to_edit(self) -> Leave | None:
        """Why no copy could have links, by the message's MIME structure."""
        deadline = self._tick() + self._site.rules.time_budget
        parts = editable(self._message, self._site.rules, lambda: self._tick() > deadline)
        return parts if isinstance(parts, Leave) else None

    def left(self, why: Why, note: str = "") -> Plan | Leave:
        """Without links, but also without the fields that must not leave the building."""
        headers = self._rights.allowed(self.headers)
        return Plan(headers, why=why, note=note) if headers else Leave(why, note)

    def tracked(self, decision: Decision, key: Key, identity: Identity, recipient: str) -> Plan | Leave:
        """With links that say identity, in recipient's copy; "" for one that all share."""
        try:
            links = CopyLinks.build(key, identity, decision)
        except CannotSeal as error:
            return self.left(Why.INTERNAL_ERROR, f"no link can be made: {error}")
        planned = plan(self._message, decision, links, self._site.rules, self._tick)
        if isinstance(planned, Leave):
            return self.left(planned.why, planned.note)
        headers = self.headers + planned.headers
        if _made_links(planned.edits):
            mark = self.fingerprint.mark(key, recipient, identity.message_id)
            headers += (HeaderChange(MARK, 0, mark),)
        if missing := self._rights.lacking(headers, planned.edits):
            note = f"the MTA does not grant {missing}"
            return self.untracked(planned.why or Why.NOT_GRANTED, note, decision)
        return Plan(headers, planned.edits, planned.skipped, planned.why, planned.note)  # half of `replace`

    def untracked(self, why: Why, note: str, decision: Decision | None) -> Plan | Leave:
        """Without links, and without the [[…]] notation, which no reader should see (contract.md 5.3)."""
        if decision is None or self.key is None or why not in _CLEANED:
            return self.left(why, note)
        if self.closed() is not None or not self._may_hold_notation():
            return self.left(why, note)
        none = replace(decision, clicks=False, opens=False, initial_opens=False)
        links = CopyLinks.build(self.key, _NO_ONE, none)
        planned = plan(self._message, none, links, self._site.rules, self._tick)
        if isinstance(planned, Leave) or not planned.edits:
            return self.left(why, note)
        headers = self.headers + planned.headers
        if self._rights.lacking(headers, planned.edits):
            return self.left(why, note)
        return Plan(headers, planned.edits, why=why, note=note)

    def _may_hold_notation(self) -> bool:
        body = self._message.body
        encodings = (self._message.first("Content-Transfer-Encoding") or b"") + body[:_TOP]
        return any(mark in body for mark in _NOTATION) or any(word in encodings for word in _BASE64)

    def identity(self, decision: Decision, key: Key, recipient: str, role: Role = Role.ORIGINAL) -> Identity:
        """Who a copy is. An archive copy's links are those of an original."""
        return Identity(
            message_id=self._message_id(key, recipient),
            transmission_id=self._transmission_id(key),
            recipient=_told(decision, key, recipient),
            issued=self.issued,
            expiry=self.issued + decision.expiry,
            rcpt_type="" if role is Role.ORIGINAL or role is Role.ARCHIVE else role.value,
            campaign=decision.campaign,
            tags=decision.tags,
            metadata=decision.metadata,
            customer_id=decision.customer_id,
            transactional=decision.transactional,
        )

    def _message_id(self, key: Key, recipient: str) -> bytes:
        found = self._message_ids.get(recipient)
        if found is None:
            found = self._message_ids[recipient] = self.fingerprint.message_id(key, recipient)
        return found

    def _transmission_id(self, key: Key) -> int:
        """Of all copies; there is one key a message."""
        if self._transmission is None:
            self._transmission = self.fingerprint.transmission_id(key)
        return self._transmission

    def injections(
        self, outcome: Outcome, key: Key, copies: Iterable[tuple[RecipientDecision, Role]]
    ) -> tuple[Injection, ...]:
        """One record for each recipient that has a decision.

        Mail that came with links of ours has its records; only the copies it asks for are new.
        """
        records = []
        about: dict[int, Injection] = {}  # by decision: what recipients share is made once
        for judged, role in copies:
            if (decision := judged.decision) is None or (self.already and role is Role.ORIGINAL):
                continue
            message_id = self._message_id(key, judged.recipient)
            own = CopyFacts(
                event_id(message_id, self.issued),
                message_id,
                self._transmission_id(key),
                _told(decision, key, judged.recipient),
                "" if role is Role.ORIGINAL else role.value,  # `value` is a call in Python
            )
            like = about.get(id(decision))
            if like is None:
                record = describe(self._envelope, self._message, decision, outcome, self._now, own)
                about[id(decision)] = record
            else:
                record = like._replace(**own._asdict())
            records.append(record)
        return tuple(records)


def closed(site: Site, envelope: Envelope, message: Message) -> Why | None:
    """Why not one byte of a message's body may change, by envelope and header."""
    lacks = message.lacks
    if not envelope.sender:
        return Why.NULL_SENDER
    if not message.is_plain():
        return Why.AMBIGUOUS_MIME
    if lacks(_SIGNATURES):
        return None
    if not lacks(_DKIM) and site.settings.rewriting.dkim_signed_mail == "leave":
        return Why.DKIM_SIGNED
    if not lacks(_OTHERS):
        return Why.BODY_SIGNED
    return None if lacks(_ARC) else Why.ARC_SEALED


def _told(decision: Decision, key: Key, recipient: str) -> str:
    """What links and events may say about the recipient (docs/privacy.md)."""
    match decision.privacy:
        case "full":
            return recipient
        case "hygiene":
            return pseudonym(key, recipient)
        case _:
            return ""


def _made_links(edits: tuple[Edit, ...]) -> bool:
    return any(edit.kind in ("link", "pixel") or _made_links(edit.inner) for edit in edits)
