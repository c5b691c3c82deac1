"""Mail that is known at MAIL to pass as it comes, and what becomes of mail that found no room in memory.

Not the judging of what was collected (`transaction`).
"""

from smtpapi import copies, directive, split
from smtpapi.arrival import is_at
from smtpapi.envelope import Client, Envelope
from smtpapi.failing import NO_COPIES_NOW, removable
from smtpapi.message import Message
from smtpapi.outcome import Leave, Outcome, Plan, Refuse, Why
from smtpapi.rights import Rights
from smtpapi.site import Site

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


def without_room(site: Site, envelope: Envelope, header: Message, rights: Rights) -> Outcome:
    """What becomes of a message whose body could not be kept: it goes on without links, if it may."""
    if site.hop is not None and is_at(envelope.client, site.hop) and header.count(split.HEADER):
        return _LATER
    headers = removable(site, envelope, header)
    if copies.may_be_asked(header) and any(change.name == directive.NAME for change in headers):
        return NO_COPIES_NOW
    headers = rights.allowed(headers)
    return Plan(headers, why=Why.OVER_MEMORY) if headers else Leave(Why.OVER_MEMORY)
