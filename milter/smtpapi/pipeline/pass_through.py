"""Which messages need not be stored in memory, and what becomes of those that found no room there.

Two moments allow a body to be dropped. At MAIL: an untrusted client's mail passes, whatever it holds. At the
end of the header: `reads` says how much of the body any later step will read. RCPT adds nothing: the header
may still ask for anything, a policy may decide by recipient, and the [[…]] notation is taken out of the body
even where tracking is off.

This module does not decide the message (`transaction`); the result there is the same with and without the
body.
"""

from collections.abc import Mapping
from enum import Enum

from smtpapi.hop import split_header
from smtpapi.hop.fingerprint import MARK
from smtpapi.hop.resume import is_at
from smtpapi.mime.locate import settled
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Outcome, Plan, Refuse, Why
from smtpapi.pipeline.fallback import NO_COPIES_NOW, removable
from smtpapi.pipeline.recipients import RecipientDecisions
from smtpapi.pipeline.site import Site
from smtpapi.pipeline.tracking import why_body_stays
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.request import copies, x_msys_api

# Our own MTA has the mail in its queue and brings it again.
_LATER = Refuse("451", "4.3.2", "Too much mail at once, try again later")


def known_to_pass(site: Site, client: Client, pathway: str) -> Why | None:
    """Return why all mail of a client passes, whatever it holds; None where that depends on the message.

    The rule is that of `transaction.consider`, which would give the same reason for each such message. On the
    hop's listener the split header says who the client was, so nothing is known yet.
    """
    if site.hop is not None and is_at(client, site.hop):
        return None
    if client.login or site.terms(client, pathway).trusted:
        return None  # even with the module off its X-MSYS-API is to go
    return Why.UNTRUSTED if site.settings.active else Why.MODULE_OFF


class Reads(Enum):
    """How much of a body `transaction.consider` reads, besides its size and hash."""

    NOTHING = 0
    WHAT_FITS = 1  # nothing of one over limits.max_message_size
    ALL = 2


def reads(site: Site, envelope: Envelope, header: Message, session: Mapping[str, str]) -> Reads:
    """Return how much of a message's body will be read. session: the session's variables.

    The answer cannot change before the end of the message, since it depends on nothing that does. The key
    ring may change meanwhile, so it is not asked.
    """
    client = envelope.client
    if site.hop is not None and is_at(client, site.hop) and header.count(split_header.HEADER):
        return Reads.ALL  # what the split header asks for is not known yet
    terms = site.terms(client, session.get("pathway", ""))
    if not site.settings.active or site.untrusted(terms, client, header) is not None:
        return Reads.NOTHING
    if site.policy is not None or header.count(MARK):
        return Reads.ALL  # hooks may read it, and links in it may prove a mark
    if why_body_stays(site, envelope, header) is not None or settled(header):
        return Reads.NOTHING
    vctx = ValidationContext(terms.scoped.options.context, session)
    decisions = RecipientDecisions(
        site, envelope, terms.scoped, vctx, PolicyMessage(envelope, header), lambda _: None
    )
    return Reads.NOTHING if decisions.all_bypassed(("",)) else Reads.WHAT_FITS


def without_room(site: Site, envelope: Envelope, header: Message, rights: GrantedActions) -> Outcome:
    """Return the outcome for a message whose body found no room in memory.

    It goes on without links. A copy on its second pass, and mail that may ask for copies, is put off with
    451.
    """
    if site.hop is not None and is_at(envelope.client, site.hop) and header.count(split_header.HEADER):
        return _LATER
    headers = removable(site, envelope, header)
    if copies.may_be_requested(header) and any(change.name == x_msys_api.NAME for change in headers):
        return NO_COPIES_NOW
    headers = rights.allowed(headers)
    return Plan(headers, why=Why.OVER_MEMORY) if headers else Leave(Why.OVER_MEMORY)
