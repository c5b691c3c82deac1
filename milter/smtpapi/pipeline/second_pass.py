"""The second pass: one recipient's copy that the hop brought back.

What the first pass knew is restored before (`smtpapi.hop.resume`), and the steps up to the decision are the
same (`transaction`). Here the copy gets its role (original, cc, bcc or archive) and is made. Only a hop that
brings several recipients together, against docs/postfix.md, leaves a copy without links.
"""

from engagement.settings.schema import AddedRecipients
from smtpapi.hop import split_header
from smtpapi.hop.split_header import FirstPass
from smtpapi.model.envelope import Envelope
from smtpapi.model.outcome import Refuse, Why
from smtpapi.pipeline.site import MessageResult
from smtpapi.pipeline.trusted_mail import TrustedMail
from smtpapi.request import copies
from smtpapi.request.copies import Role
from smtpapi.request.x_msys_api import Copy, XMsysApi


def copy_result(mail: TrustedMail, first_pass: FirstPass, directive: XMsysApi) -> MessageResult:
    """Return the result for one copy on its second pass."""
    recipient = mail.recipients[0]
    several = len(mail.recipients) > 1
    role, entry = _role(mail.envelope, first_pass, recipient, directive)
    # An archive copy is the first recipient's mail again, however the MTA spells either of them.
    like_first = role is Role.ARCHIVE or _is_first(mail.envelope, first_pass, recipient, directive)
    decided_as = first_pass.first if like_first else recipient
    decisions = mail.decide(directive, list(mail.recipients) if several else [decided_as])
    if isinstance(decisions, Refuse):
        return mail.refuse(decisions)
    if several:
        note = "the hop brought several recipients together: limit it to one"
        return mail.end_untracked(decisions, Why.SEVERAL_RECIPIENTS, note)
    mail.tracking.headers += copies.fields(mail.message, directive, role, entry)
    decided = decisions[0]
    if role is Role.ORIGINAL and _is_added(mail.envelope, first_pass, recipient):
        role = Role.BCC
        if decided.why is None and mail.site.settings.rewriting.added_recipients is AddedRecipients.NONE:
            decided = decided._replace(why=Why.ADDED_RECIPIENT)
    return mail.one_copy(decided, recipient, role)


def _is_added(envelope: Envelope, first_pass: FirstPass, recipient: str) -> bool:
    """Return whether the MTA added this recipient itself, in nobody's place whom the sender named."""
    original = next(iter(envelope.originals), "")
    if not first_pass.names or not original:
        return False
    return not any(first_pass.has(split_header.name_of(copies.same(each))) for each in (recipient, original))


def _role(
    envelope: Envelope, first_pass: FirstPass, recipient: str, directive: XMsysApi
) -> tuple[Role, Copy]:
    """Return the copy's role, by its address or else by the address (ORCPT) whose alias led to it."""
    role, entry = copies.find(recipient, first_pass.named_twice, directive)
    original = next(iter(envelope.originals), "")
    if role is Role.ORIGINAL and original:
        role, entry = copies.find(original, first_pass.named_twice, directive)
    return role, entry


def _is_first(envelope: Envelope, first_pass: FirstPass, recipient: str, directive: XMsysApi) -> bool:
    """Return whether this is the first RCPT TO of the first pass, by address, with archives by ORCPT too."""
    aliases = envelope.originals[:1] if directive.archive else ()
    return copies.same(first_pass.first) in map(copies.same, (recipient, *aliases))
