"""What of a message need not be kept in memory, and what becomes of mail that found no room there.

At MAIL: mail of clients that nobody trusts. Nothing more is known at RCPT: a header may ask for anything, of
recipients policy alone has a word, and where tracking is off the body's notation goes all the same. At the
end of the header, before the first octet of the body: all that `reads` tells. Not the judging of what was
collected (`transaction`), which comes to the same whether such a body was kept or not.
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
from smtpapi.pipeline.tracking import closed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.request import copies, x_msys_api

# Our own MTA has the mail in its queue and brings it again.
_LATER = Refuse("451", "4.3.2", "Too much mail at once, try again later")


def known_to_pass(site: Site, client: Client, pathway: str) -> Why | None:
    """Why a client's mail passes whatever it holds; None where that depends on what it holds.

    The same rule as `transaction.consider` has, so what it would say of all such mail. On the hop's listener
    the mark says who the client was.
    """
    if site.hop is not None and is_at(client, site.hop):
        return None
    if client.login or site.terms(client, pathway).trusted:
        return None  # even with the module off its X-MSYS-API is to go
    return Why.UNTRUSTED if site.settings.active else Why.MODULE_OFF


class Reads(Enum):
    """What `transaction.consider` reads of a body, besides its size and hash."""

    NOTHING = 0
    WHAT_FITS = 1  # nothing of one over limits.max_message_size
    ALL = 2


def reads(site: Site, envelope: Envelope, header: Message, session: Mapping[str, str]) -> Reads:
    """What will be read of a message's body, by all that comes before it. session: its variables.

    Sure, since nothing here changes under the message: not the ring, which may.
    """
    client = envelope.client
    if site.hop is not None and is_at(client, site.hop) and header.count(split_header.HEADER):
        return Reads.ALL  # the mark may say anything
    terms = site.terms(client, session.get("pathway", ""))
    if not site.settings.active or site.untrusted(terms, client, header) is not None:
        return Reads.NOTHING
    if site.policy is not None or header.count(MARK):
        return Reads.ALL  # hooks may look at it, and links in it may prove a mark
    if closed(site, envelope, header) is not None or settled(header):
        return Reads.NOTHING
    vctx = ValidationContext(terms.scoped.context, session)
    judging = RecipientDecisions(
        site, envelope, terms.scoped, vctx, PolicyMessage(envelope, header), lambda _: None
    )
    return Reads.NOTHING if judging.all_bypassed(("",)) else Reads.WHAT_FITS


def without_room(site: Site, envelope: Envelope, header: Message, rights: GrantedActions) -> Outcome:
    """What becomes of a message whose body could not be kept: it goes on without links, if it may."""
    if site.hop is not None and is_at(envelope.client, site.hop) and header.count(split_header.HEADER):
        return _LATER
    headers = removable(site, envelope, header)
    if copies.may_be_asked(header) and any(change.name == x_msys_api.NAME for change in headers):
        return NO_COPIES_NOW
    headers = rights.allowed(headers)
    return Plan(headers, why=Why.OVER_MEMORY) if headers else Leave(Why.OVER_MEMORY)
