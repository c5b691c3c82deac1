"""A first pass for several people: what `rewriting.several_recipients` makes of it, and the way over the hop.

A milter has one body for all recipients, so this pass makes no links for any one person. It sends the message
over the hop, gives all the same links (`shared`), or gives nobody links. How the hop brings the copies back
is the MTA's configuration.

Invariants: mail that asks for copies goes over the hop or is refused; links for all name nobody.
"""

from dataclasses import replace

from engagement.links.keys import Key
from engagement.settings.schema import SeveralRecipients
from smtpapi.hop import split_header
from smtpapi.hop.split_header import FirstPass
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Plan, Recipient, Why
from smtpapi.pipeline.fallback import NO_COPIES_NOW
from smtpapi.pipeline.recipients import RecipientDecision
from smtpapi.pipeline.site import MessageResult
from smtpapi.pipeline.trusted_mail import TrustedMail
from smtpapi.request import copies, x_msys_api
from smtpapi.request.x_msys_api import XMsysApi

_HEADER = x_msys_api.NAME.lower()
# Postfix cuts a header field near 60,000 bytes; Sendmail refuses more than 32,768 bytes of header
# (docs/quirks.md). Both limits leave room for what the MTA and other filters add.
_LONGEST_SPLIT_FIELD = 45_000
_LONGEST_HEADER = 30_000
_OVERLAP = "one may be an alias of another, who would get two copies (rewriting.overlapping_aliases)"
COPIES_NOT_ENABLED = f"{x_msys_api.NAME} cc, bcc and archive are not enabled here"


def several_result(
    mail: TrustedMail, decisions: list[RecipientDecision], directive: XMsysApi, added: tuple[str, ...]
) -> MessageResult:
    """Return the result for a message that names several recipients or asks for copies.

    added: addresses of the copies to make.
    """
    mode, tracking = mail.site.settings.rewriting.several_recipients, mail.tracking
    key = tracking.key
    hops = mode.needs_hop and mail.resumed.expands and mail.rights.hops(mode)
    if added and not hops:
        return mail.end(x_msys_api.refusal(COPIES_NOT_ENABLED))
    if key is None:
        outcome = NO_COPIES_NOW if added else tracking.body_unchanged(Why.NO_KEY)
        return mail.end(outcome, decisions[0].decision)
    if not added:
        why, note = next(((None, "") for each in decisions if each.why is None), decisions[0].reason)
        if why is None and (nothing := tracking.nothing_to_edit()) is not None:
            why, note = nothing.why, nothing.note
        if why is not None and hops and (mail.apart or any(map(tracking.may_be_left, decisions))):
            why, note = None, ""  # each is to have a sender, a body or a way to leave of their own
        if why is None and hops and _may_overlap(mail):
            why, note = Why.SEVERAL_RECIPIENTS, _OVERLAP
        if why is not None:
            return mail.end_untracked(decisions, why, note)
    if hops:
        return over_hop(mail, key, decisions, directive, added)
    if mode is SeveralRecipients.SHARED:
        return _shared(mail, key, decisions)
    missing = mail.rights.missing(mode) if mode.needs_hop else ""
    note = f"the MTA does not grant {missing}" if missing else ""
    return mail.end_untracked(decisions, Why.SEVERAL_RECIPIENTS, note)


def over_hop(
    mail: TrustedMail,
    key: Key,
    decisions: list[RecipientDecision],
    directive: XMsysApi,
    added: tuple[str, ...],
) -> MessageResult:
    """Return the result that sends the message over the hop, with the split header for the second pass.

    What does not fit, or a recipient's address that cannot be handed back to the MTA, keeps the message from
    the hop. Then mail that asks for copies is refused, mail to one recipient is finished at once, and other
    mail goes on without links.
    """
    readdress = mail.site.settings.rewriting.several_recipients is SeveralRecipients.READDRESS
    value = split_header.seal(_first_pass(mail, directive, added), key)
    others = tuple(each for each in mail.message.fields if each.name.lower() != _HEADER)
    room = _LONGEST_HEADER - Message(others, b"").header_size if readdress else _LONGEST_SPLIT_FIELD
    try:
        recipients = _envelope_changes(mail, added, readdress=readdress)
        fault = "" if len(value) <= room else "header and session variables are too long for the hop"
    except ValueError as error:
        recipients, fault = (), str(error)
    if fault and added:
        return mail.end(x_msys_api.refusal(f"{x_msys_api.NAME} cc, bcc and archive: {fault}"))
    if fault and len(mail.recipients) == 1:
        return mail.only_recipient(decisions[0], directive)
    if fault:
        return mail.end_untracked(decisions, Why.SEVERAL_RECIPIENTS, fault)
    count = len(mail.recipients) + len(added)
    note = f"{count} copies" if count > 1 else "1 copy"
    headers = (*mail.tracking.headers, HeaderChange(split_header.HEADER, 0, value))
    through = copies.HOP if readdress else ""
    return mail.end(Plan(headers, why=Why.SPLIT, note=note, recipients=recipients, through=through))


def _may_overlap(mail: TrustedMail) -> bool:
    """Return whether Sendmail might send fewer copies than its hop brings (docs/sendmail.md, Limits)."""
    rewriting, envelope = mail.site.settings.rewriting, mail.envelope
    if rewriting.several_recipients is not SeveralRecipients.READDRESS or not rewriting.overlapping_aliases:
        return False
    return copies.may_overlap(envelope.recipients, envelope.resolved)


def _first_pass(mail: TrustedMail, directive: XMsysApi, added: tuple[str, ...]) -> FirstPass:
    """Return what the second pass must know."""
    values, fingerprint = mail.message.values, mail.hop_fingerprint
    context, message_context = mail.hook_context
    return FirstPass(
        client=mail.envelope.client,
        at=int(mail.now),
        issued=mail.tracking.issued,
        first=mail.recipients[0],
        bound=fingerprint.bound,
        fingerprint=fingerprint.digest,
        signatures=tuple(split_header.signature_id(value) for value in values("DKIM-Signature")),
        directive=next(values(x_msys_api.NAME), b"") if directive.present else b"",
        named_twice=copies.named_twice(mail.recipients, directive),
        context=context,
        message_context=message_context,
        names=_names(mail, added),
    )


def _names(mail: TrustedMail, added: tuple[str, ...]) -> bytes:
    """Return hashes of all whom the sender named; none for Sendmail, which adds nobody before its hop."""
    if mail.site.settings.rewriting.several_recipients is not SeveralRecipients.SPLIT:
        return b""
    named = (*mail.envelope.recipients, *filter(None, mail.envelope.originals), *added)
    return b"".join(split_header.name_of(name) for name in dict.fromkeys(map(copies.same, named)))


def _envelope_changes(mail: TrustedMail, added: tuple[str, ...], *, readdress: bool) -> tuple[Recipient, ...]:
    """Return the changes to the envelope's recipients.

    Raises ValueError, with a text for people, for a recipient who cannot be handed back to the MTA.
    """
    if not readdress:
        return tuple(Recipient(address) for address in added)
    there = tuple(dict.fromkeys(mail.envelope.recipients))  # each spelling, since each is to be deleted
    return (
        *(Recipient(copies.sendable(old), instead_of=old) for old in there),
        *(Recipient(copies.sendable(address)) for address in added),
    )


def _shared(mail: TrustedMail, key: Key, decisions: list[RecipientDecision]) -> MessageResult:
    """Return the result that gives all recipients the same links, with no recipient in them."""
    decision = decisions[0].decision
    if decision is None or any(each.decision != decision for each in decisions):
        note = "decisions differ between recipients"
        return mail.end_untracked(decisions, Why.SEVERAL_RECIPIENTS, note)
    identity = replace(mail.tracking.identity(decision, key, ""), recipient="")
    outcome = mail.tracking.with_links(decision, key, identity, "")
    # The mail is one and the same for all of them, so all share its message id (docs/decisions/0010).
    injections = tuple(
        injection._replace(message_id=identity.message_id)
        for injection in mail.original_injections(outcome, key, decisions)
    )
    return mail.end(outcome, decision, injections)
