"""Recipients on the suppression list: who of a message they are, what is answered, what events say of them.

What a scope does with them is `suppression_action` (docs/suppression.md). Invariants: mail of clients that
are not trusted, transactional mail to whom only other mail is suppressed, and mail that asks to skip the list
lose nobody; no copy on its second pass loses its recipient; without a list nobody is on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from engagement.bounces.classes import ADMIN_FAILURE
from engagement.events.addresses import truncated
from engagement.events.ids import derived
from engagement.events.model import Injection, MessageEvent, recipient_mark
from engagement.settings.schema import PrivacyMode, SuppressionAction
from engagement.suppression.model import MailKind, Source, normalised
from engagement.suppression.snapshot import Table
from smtpapi.hop.fingerprint import pseudonym
from smtpapi.hop.resume import is_at
from smtpapi.model.envelope import Client
from smtpapi.model.outcome import Discard, Leave, Refuse, Why
from smtpapi.pipeline.injection import sender_domain
from smtpapi.pipeline.list_unsubscribe import list_id_in
from smtpapi.pipeline.recipients import RecipientDecision
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.trusted_mail import TrustedMail
from smtpapi.request import copies
from smtpapi.request.context_variables import ContextVariables
from smtpapi.request.copies import Role
from smtpapi.request.trust import is_local
from smtpapi.request.x_msys_api import Copy, XMsysApi

_REPLY_TEXT: Final = "recipient address was suppressed due to customer policy"  # contract.md 8.5
_CODE, _STATUS = "554", "5.7.1"
_NOT_GRANTED: Final = "the MTA does not grant DELRCPT: recipients on the suppression list get this mail"

Record = Injection | MessageEvent
Added = tuple[tuple[Role, Copy], ...]


class _Gone(NamedTuple):
    """A recipient who is taken out, and why."""

    decided: RecipientDecision
    role: Role
    source: Source


class Remaining(NamedTuple):
    """Who gets the mail all the same: their decisions, and the copies to make."""

    decisions: list[RecipientDecision]
    added: Added


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Asks the list about recipients of one message. list_id: of its List-Id, "" for none."""

    table: Table
    kind: MailKind
    list_id: str = ""

    def source(self, recipient: str, customer_id: str, list_id: str = "") -> Source | None:
        """Return why mail to a recipient is suppressed, None where it is not.

        list_id: of mail without a List-Id, as its links to leave it name it.
        """
        address = normalised(recipient)
        for tenant in dict.fromkeys(("", customer_id)):
            for each in dict.fromkeys(("", self.list_id or list_id)):
                if (found := self.table.source(tenant, address, each, self.kind)) is not None:
                    return found
        return None


def remaining(
    mail: TrustedMail, directive: XMsysApi, decisions: list[RecipientDecision], added: Added
) -> Remaining | MessageResult:
    """Take the recipients on the list out of a message; return who remains, or the result if nobody does.

    decisions: of the recipients, then of the cc and bcc copies in `added`. Where no recipient remains, no
    copy is made either.
    """
    action = mail.terms.scoped.options.suppression_action
    suppressed = mail.site.suppressed
    if action is SuppressionAction.OFF or suppressed is None or directive.skip_suppression:
        return Remaining(decisions, added)
    lookup = _Lookup(suppressed(), _kind(directive.transactional), list_id_in(mail.message))
    gone, stay = _split(lookup, mail, directive, decisions, added)
    if not gone:
        return Remaining(decisions, added)
    leaving = {copies.same(each.decided.came_for) for each in gone if each.role is Role.ORIGINAL}
    all_leave = leaving.issuperset(map(copies.same, mail.recipients))
    if leaving and not all_leave and "DELRCPT" not in mail.rights.granted:
        mail.notes.append(_NOT_GRANTED)
        return Remaining(decisions, added)
    mail.suppressed = _events(mail, gone)
    mail.suppressed_count = len(gone)
    mail.notes.append(f"{len(gone)} on the suppression list")
    if all_leave:
        source = next(each.source for each in gone if each.role is Role.ORIGINAL)
        if action is SuppressionAction.REMOVE:
            return mail.end(Discard(_reason(source)))
        return mail.bounced(mail.end(_refusal(source)))
    mail.take_recipients((), [each for each in mail.envelope.recipients if copies.same(each) in leaving])
    return stay


def _split(
    lookup: _Lookup,
    mail: TrustedMail,
    directive: XMsysApi,
    decisions: Sequence[RecipientDecision],
    added: Added,
) -> tuple[list[_Gone], Remaining]:
    """Return who is on the list, and who is not."""
    gone: list[_Gone] = []
    remaining: list[RecipientDecision] = []
    remaining_added: list[tuple[Role, Copy]] = []
    count = len(mail.recipients)
    further = iter(decisions[count:])
    for decided in decisions[:count]:
        source = _source(lookup, decided)
        if source is None:
            remaining.append(decided)
        else:
            gone.append(_Gone(decided, Role.ORIGINAL, source))
    for role, entry in added:
        archive = role is Role.ARCHIVE  # nothing is decided for it: it is the first recipient's mail
        if archive:
            mail.decide(directive, [entry.address])  # only for whom policy puts in its place
            to = mail.moved.get(copies.same(entry.address), entry.address)
            decided = decisions[0]._replace(recipient=to, named=entry.address)
        else:
            decided = next(further)
        source = _source(lookup, decided)
        if source is not None:
            gone.append(_Gone(decided, role, source))
            continue
        remaining_added.append((role, entry))
        if not archive:
            remaining.append(decided)
    return gone, Remaining(remaining, tuple(remaining_added))


def _source(lookup: _Lookup, decided: RecipientDecision) -> Source | None:
    """Return why a recipient is suppressed; None also where policy switched the filter off for them."""
    if decided.decision is None:
        return None
    return lookup.source(decided.recipient, decided.decision.customer_id, decided.decision.list_id)


def _events(mail: TrustedMail, gone: Sequence[_Gone]) -> tuple[Record, ...]:
    """Return for each who is taken out that the message came in, and that it bounced (contract.md 8.5)."""
    if (key := mail.tracking.key) is None:
        return ()
    records: list[Record] = []
    for decided, role, source in gone:
        outcome = Leave(Why.SUPPRESSED)
        for injection in mail.tracking.injections(outcome, key, [(decided, role, decided.recipient)]):
            records += (injection, _bounce(injection, source))
    return tuple(records)


def _bounce(injection: Injection, source: Source) -> MessageEvent:
    return MessageEvent(
        derived(injection.id, 1),
        injection.at_ms,
        "bounce",
        injection.node_name,
        injection.queue_id,
        injection.recipient_mark,
        message_id=injection.message_id,
        message_id_header=injection.message_id_header,
        raw_reason=f"{_CODE} {_STATUS} {_reason(source)}",
        error_code=_CODE,
        enhanced_code=_STATUS,
        bounce_class=ADMIN_FAILURE,
        num_retries=0,
    )


def at_rcpt(
    site: Site,
    client: Client,
    sender: str,
    recipient: str,
    *,
    queue_id: str = "",
    session: Mapping[str, str],
    event_id: str,
    now: float,
) -> tuple[Refuse, tuple[Record, ...]] | None:
    """Return the reply that refuses a recipient at RCPT, with its events; None where nothing is refused.

    Whether the mail is transactional, or asks to skip the list, its header says, which comes later. So this
    is for scopes that say of their clients that it never is: the reply is that for other mail. event_id: of
    `EventIds`. now: Unix seconds.
    """
    suppressed = site.suppressed
    if suppressed is None or not site.settings.active:
        return None
    if is_local(client) or not client.daemon_port or (site.hop is not None and is_at(client, site.hop)):
        return None  # sendmail(1) would lose the whole mail; a copy on the hop was accepted before
    terms = site.terms(client, session.get("pathway", ""))
    options = terms.scoped.options
    if options.suppression_action is not SuppressionAction.REFUSE_AT_RCPT:
        return None
    if not terms.trusted and not client.login:
        return None
    customer_id = ContextVariables({**options.context, **session}).customer_id()
    source = _Lookup(suppressed(), MailKind.NON_TRANSACTIONAL).source(recipient, customer_id)
    if source is None:
        return None
    injection = _refused_injection(site, client, sender, recipient, queue_id, customer_id, event_id, now)
    records = () if injection is None else (injection, _bounce(injection, source))
    return _refusal(source), records


def _refused_injection(
    site: Site,
    client: Client,
    sender: str,
    recipient: str,
    queue_id: str,
    customer_id: str,
    event_id: str,
    now: float,
) -> Injection | None:
    """Return the record of a recipient who was refused before there was a message."""
    mode = site.settings.privacy.mode
    if site.key is None:
        return None
    recorded, address = "", ""
    if mode is PrivacyMode.FULL:
        recorded = recipient
        short = site.settings.privacy.truncate_addresses
        address = truncated(client.address) if short else client.address
    elif mode is PrivacyMode.HYGIENE:
        recorded = pseudonym(site.key, recipient)
    message_id = bytes.fromhex(event_id.replace("-", ""))
    # Postfix has no queue id yet; the event is led to its recipient by one that no other mail has.
    queue_id = queue_id or f"NOQUEUE-{message_id.hex()}"
    return Injection(
        event_id,
        int(now * 1000),
        message_id,
        int.from_bytes(message_id[8:], "big"),
        recorded,
        sender if mode is PrivacyMode.FULL else sender_domain(sender),
        "",
        "",
        "",
        (),
        "",
        customer_id,
        transactional=False,
        opens=False,
        clicks=False,
        initial_opens=False,
        amp=False,
        size=0,
        queue_id=queue_id,
        outcome=Why.SUPPRESSED.value,
        context={},
        client_address=address,
        node_name=client.host,
        recipient_mark=recipient_mark(client.host, queue_id, recipient),
    )


def _kind(transactional: bool | None) -> MailKind:
    return MailKind.TRANSACTIONAL if transactional else MailKind.NON_TRANSACTIONAL


def _reason(source: Source) -> str:
    return f"{_REPLY_TEXT}: {source.value}"


def _refusal(source: Source) -> Refuse:
    return Refuse(_CODE, _STATUS, _reason(source))
