"""Decide what becomes of one message: it passes unchanged, is refused, is tracked, or takes the hop.

This is the theory of the room. Facts come in as plain values (envelope, message, session variables, time),
and a `MessageResult` goes out. `smtpapi.mta` collects the facts and carries out the result; nothing here
talks to the MTA. docs/flow.md follows a message step by step, docs/decisions/0010, 0016 and 0017 give the
reasons.

The steps. They run in this order, and each may end the message:

    second pass? · module on? · trusted? · already tracked? · policy · other vendors' fields · bypassed? ·
    X-MSYS-API · a decision for each recipient · copies · on the suppression list? · then one recipient:
    reasons to leave it alone, links and pixels; several recipients: what `rewriting.several_recipients` says

Why two passes. An SMTP transaction has one body for all its recipients, and a milter can only replace that
body as a whole. But each recipient must get links of their own (design rule 7). So the MTA makes the copies,
and the filter sees each of them. On the first pass the filter decides everything that may refuse the message,
adds a split header and changes nothing else that a reader sees. The MTA carries the message over the hop:
back to itself through its own queue, with one recipient in each transaction. On the second pass the filter
takes the split header out and makes that one copy. We never inject mail, so the MTA alone answers for
queueing, retries and DSN. A message to one recipient is finished on its first pass, unless Postfix may add
recipients behind the filter (`rewriting.added_recipients`): then it takes the hop too.

The split header, X-Smtpapi-Split. It carries what only the first pass knows: the client and the listener, the
variables of session and message, the time, the digest that all ids are made of, the DKIM signatures on entry
and the X-MSYS-API field, byte for byte. It is encrypted under a key of the ring and bound to the body,
Message-ID and Date, so it proves two things: this message was trusted on its first pass, and its sender asked
for what the header says. It counts on the hop's listener only. One that is ours but too old, of a lost key or
of another text costs the copy its links, never the mail. A forged one is removed and ignored.

The mark, X-Smtpapi-Id. A copy that gets links also gets a mark, which stays in the mail. It names the copy's
message id under a key of ours. It proves that the mail has been tracked, so that mail which comes by again
(from a list server, a content filter, the next MTA) gets no second pixel. The proof is either its MAC over
Message-ID, Date and recipient, or a link of the named message that still stands in the body. A mark copied
onto another text proves nothing and is removed. A mark gives no trust: it only stops links from being made.

Copies. The lists cc, bcc and archive of X-MSYS-API name more recipients (contract.md 9). They are added to
the envelope on the first pass, in the same transaction, so the message is accepted for all or for nobody. On
the second pass a copy finds its role by its address, or by the address (ORCPT) whose alias led to it; the
first of RCPT TO, cc, bcc, archive counts. Cc and Bcc are written then. An archive copy has the links of the
first RCPT TO. A recipient whom Postfix added itself is treated as a bcc copy.

What is decided when. On the first pass: trust, the hooks of session and message, every refusal, who gets a
copy, the ids and the time of issue. On the second pass: the hook for each recipient (it ran before as well,
so that it could refuse), the options of that recipient, the links and the final header fields. Ids come from
the first pass's digest and key, so a copy that the MTA brings twice gets the same bytes.

What cannot happen:

- An exception: `consider` never raises. A fault of ours lets the message pass, or puts it off with 451 where
  it asks for copies.
- A change to mail that is not trusted. Only a fault on the hop's own listener may cost it a split header.
- X-MSYS-API or a split header that leaves on trusted mail, whether the module is on or off.
- A link that names one person in another person's mail, except in archive copies.
- A permanent refusal on the second pass: the copy was accepted, so it goes on without links.
- Mail accepted without the copies that it asks for. Where the module is off, or policy bypasses the mail, the
  header is not read and asks for none.
- Two results for equal arguments: nothing here reads a clock, a file or chance.
"""

from collections.abc import Mapping
from types import MappingProxyType

from engagement.settings.schema import AddedRecipients, SeveralRecipients
from smtpapi.hop.fingerprint import LONGEST_WAY, MARK, marked_id
from smtpapi.hop.own_links import carries
from smtpapi.hop.resume import SplitRefusal, resume
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL, GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Plan, Refuse, Why, removal
from smtpapi.pipeline import fallback, suppression
from smtpapi.pipeline.fallback import NO_COPIES_NOW, removable
from smtpapi.pipeline.recipients import RecipientDecision, RecipientDecisions
from smtpapi.pipeline.second_pass import copy_result
from smtpapi.pipeline.several_recipients import over_hop, several_result
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.trusted_mail import Tick, TrustedMail
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.request import copies, vendor_headers, x_msys_api
from smtpapi.request.copies import Role
from smtpapi.request.x_msys_api import Copy, XMsysApi

__all__ = ["MessageResult", "Site", "consider", "removable"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HEADER, _MARK = x_msys_api.NAME.lower(), MARK.lower()


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
    """Return what becomes of one message of a session. Never raises.

    connection_context: the session's own variables (SMTP AUTH, XSETCONTEXT), and what an earlier message's
    `MessageResult.connection_context` gave back. now: Unix seconds. tick: returns the seconds of any steady
    clock. rights: what the MTA lets us do.
    """
    try:
        resumed = resume(site.hop, site.ring, envelope, message, connection_context, now)
        terms = site.terms(resumed.envelope.client, resumed.session.get("pathway", ""))
        if resumed.first_pass is None and not site.settings.active:
            outcome = _switched_off(site.untrusted(terms, envelope.client, message) is None, message)
            return MessageResult(outcome, connection_context=connection_context)
        if resumed.proves_nothing and (untrusted := site.untrusted(terms, envelope.client, message)):
            return MessageResult(untrusted, connection_context=connection_context)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design rule 1)
        try:
            removals = rights.allowed(removable(site, envelope, message))
        except Exception:  # noqa: BLE001 - not known to be trusted, so it must pass as it is
            removals = ()
        promised = bool(removals) and copies.may_be_requested(message)
        return fallback.failed_result(error, removals, connection_context, copies_promised=promised)
    mail = None
    try:
        mail = TrustedMail(site, resumed, terms, now, tick, connection_context, rights)
        return _steps(mail)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail (design rule 1)
        if mail is not None and mail.copies_promised is not None:
            promised = mail.copies_promised
        else:
            promised = resumed.first_pass is None and copies.may_be_requested(message)
        headers = resumed.headers()
        if resumed.first_pass is None and resumed.proves_nothing:
            headers += vendor_headers.removals(terms.vendors, message)
        return fallback.failed_result(
            error, rights.allowed(headers), connection_context, copies_promised=promised
        )
    finally:
        if mail is not None and mail.seen is not None:
            mail.seen.close()


def _switched_off(trusted: bool, message: Message) -> Plan | Leave:
    """Return the outcome while the module is off: only X-MSYS-API goes, and only from trusted mail."""
    headers = removal(message, x_msys_api.NAME) if trusted else ()
    return Plan(headers, why=Why.MODULE_OFF) if headers else Leave(Why.MODULE_OFF)


def _steps(mail: TrustedMail) -> MessageResult:
    """Take one trusted message through the steps, from the mark to the result."""
    tracking, refused = mail.tracking, mail.resumed.refused
    if not mail.site.settings.active:
        return mail.end_unchanged(Why.MODULE_OFF)
    tracking.already_tracked = _is_marked(mail)
    if tracking.already_tracked and mail.message.lacks((_HEADER,)):
        tracking.headers += mail.vendor_removals
        return mail.end_unchanged(Why.ALREADY_TRACKED)
    if not tracking.already_tracked:
        tracking.headers += removal(mail.message, MARK)
    if refused is SplitRefusal.FORGED:
        mail.notes.append(refused.value)
    elif refused is not None:
        return mail.end_unchanged(Why.SEVERAL_RECIPIENTS, refused.value)
    default = _is_default(mail)
    if default and mail.terms.default_decision is not None:
        mail.notes += mail.terms.default_decision.warnings
        return _with_notes(mail, _pass_result(mail, x_msys_api.NOTHING))
    resumed = mail.resumed
    vctx = ValidationContext(mail.terms.scoped.options.context, resumed.session, resumed.message_context)
    limit = mail.site.rules.max_message_size
    whole = mail.message.hashed is None and mail.message.body_size <= limit
    seen = mail.seen = PolicyMessage(
        mail.envelope, mail.message, "", resumed.received, mail.rights, whole=whole
    )
    if mail.site.policy is not None and mail.first_pass is None:
        try:
            phases.message(mail.site.policy, mail.envelope, seen, vctx)
        except PolicyFailed as failed:
            return _policy_failed(mail, failed)
        mail.vctx = vctx
        if vctx.answer is not None:
            return mail.end(vctx.answer)
        mail.take_changes(seen.changes, for_hop=True)
        mail.take_recipients(seen.joining, seen.leaving)
    if mail.first_pass is None:
        mail.take_vendor_headers(seen)
    mail.hook_context = vctx.session(), vctx.message()
    decisions = mail.decisions = RecipientDecisions(
        mail.site, mail.envelope, mail.terms.scoped, vctx, seen, tracking.reason
    )
    if (answer := _after_each(mail, decisions)) is not None:
        return answer
    if decisions.all_bypassed(mail.recipients):
        return mail.end_unchanged(Why.BYPASSED)
    directive = x_msys_api.parse(mail.message.all(_HEADER))
    if isinstance(directive, Refuse):
        return mail.refuse(directive)
    mail.notes += directive.warnings
    if directive.transmission_id is not None:
        tracking.take_transmission_id(directive.transmission_id)
    result = _pass_result(mail, directive)
    if default:
        mail.terms.default_decision = decisions.last
    mail.notes += decisions.notes
    return _with_notes(mail, result)


def _after_each(mail: TrustedMail, decisions: RecipientDecisions) -> MessageResult | None:
    """Run the hooks for each recipient; return the result if policy refuses or drops the message."""
    answer = decisions.answer(mail.recipients)
    if isinstance(answer, Refuse):
        return mail.refuse(answer)
    if answer is not None:
        return mail.end(answer)
    dropped = decisions.dropped(mail.recipients)
    if dropped:
        gone = {copies.same(each) for each in dropped}
        mail.take_recipients((), [each for each in mail.envelope.recipients if copies.same(each) in gone])
    mail.moved = decisions.moved
    mail.take_changes_of_each(decisions.changes(mail.recipients))
    return None


def _is_default(mail: TrustedMail) -> bool:
    """Return whether the configuration alone decides: no policy, no variables and no X-MSYS-API."""
    resumed = mail.resumed
    return (
        mail.site.policy is None
        and not resumed.session
        and not resumed.message_context
        and mail.message.lacks((_HEADER,))
        and not vendor_headers.names(mail.terms.vendors, mail.message)
    )


def _with_notes(mail: TrustedMail, result: MessageResult) -> MessageResult:
    """Return the result with all notes, each once."""
    return result._replace(notes=tuple(dict.fromkeys(mail.notes))) if mail.notes else result


def _is_marked(mail: TrustedMail) -> bool:
    """Return whether a mark proves that this mail has links of ours (docs/decisions/0017).

    The mark's MAC proves it where Message-ID, Date and recipient are unchanged; else a link in the body does.
    """
    ring, fingerprint = mail.site.ring, mail.tracking.fingerprint
    if ring is None or mail.message.lacks((_MARK,)):
        return False
    marks = mail.message.all(_MARK)
    if any(
        fingerprint.is_marked(ring, recipient, value)
        for value in marks
        for recipient in (*mail.recipients, "")
    ):
        return True
    named = [found for value in marks if (found := marked_id(value)) is not None]
    return bool(named) and carries(mail.message.body, named, ring, mail.now - LONGEST_WAY)


def _policy_failed(mail: TrustedMail, failed: PolicyFailed) -> MessageResult:
    """Return the result for a message whose policy raised: no links, or 451 where copies are asked for."""
    directive = x_msys_api.parse(mail.message.all(_HEADER))
    if isinstance(directive, XMsysApi):
        promised = bool(copies.added(mail.recipients, directive))
    else:  # malformed, and it may be copies that it asks for
        promised = copies.may_be_requested(mail.message)
    if promised:
        mail.notes.append(str(failed))
        return mail.end(NO_COPIES_NOW)
    mail.tracking.headers += mail.vendor_removals
    return mail.end_unchanged(Why.POLICY_FAILED, str(failed))


def _pass_result(mail: TrustedMail, directive: XMsysApi) -> MessageResult:
    """Return the result of the pass that this is."""
    if mail.first_pass is not None:
        return copy_result(mail, mail.first_pass, directive)
    return _first_pass(mail, directive)


def _first_pass(mail: TrustedMail, directive: XMsysApi) -> MessageResult:
    """Return the result of a first pass: links at once, the way over the hop, or none of them."""
    added = copies.added(mail.recipients, directive) if directive is not x_msys_api.NOTHING else ()
    mail.copies_promised = bool(added)
    decisions = _decided(mail, directive, added)
    if isinstance(decisions, Refuse):
        return mail.refuse(decisions)
    there = mail.recipients
    left = suppression.remaining(mail, directive, decisions, added)
    if isinstance(left, MessageResult):
        return left
    decisions, added = left
    if mail.recipients != there and mail.decisions is not None:  # what was for some may be for all now
        mail.take_changes_of_each(mail.decisions.changes(mail.recipients))
        again = _decided(mail, directive, added)
        if isinstance(again, Refuse):
            return mail.refuse(again)
        decisions = again
    if len(mail.recipients) > 1 or added:
        return several_result(mail, decisions, directive, tuple(entry.address for _, entry in added))
    key = mail.tracking.key
    decided = decisions[0]
    if key is not None and _may_grow(mail) and _is_own(mail, decided):
        if mail.rights.hops(SeveralRecipients.SPLIT):
            return over_hop(mail, key, decisions, directive, ())
        missing = mail.rights.missing(SeveralRecipients.SPLIT)
        decided = decided._replace(why=Why.NOT_GRANTED, note=f"the MTA does not grant {missing}")
    return mail.only_recipient(decided, directive)


def _decided(
    mail: TrustedMail, directive: XMsysApi, added: tuple[tuple[Role, Copy], ...]
) -> list[RecipientDecision] | Refuse:
    """Return the decisions for the recipients and the copies to make, or the reply that refuses the mail."""
    # Nothing is decided for an archive copy: it is the first recipient's mail.
    more = [entry.address for role, entry in added if role is not Role.ARCHIVE]
    return mail.decide(directive, [*mail.recipients, *more])


def _may_grow(mail: TrustedMail) -> bool:
    """Return whether Postfix may add recipients behind the filter, who are to have copies of their own."""
    rewriting = mail.site.settings.rewriting
    split_here = rewriting.several_recipients is SeveralRecipients.SPLIT and mail.resumed.expands
    return split_here and rewriting.added_recipients is not AddedRecipients.SHARED


def _is_own(mail: TrustedMail, decided: RecipientDecision) -> bool:
    """Return whether a recipient's copy gets something that is theirs alone."""
    if mail.tracking.may_be_left(decided):
        return True
    return decided.why is None and mail.tracking.nothing_to_edit() is None
