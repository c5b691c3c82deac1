"""What a hit says of a reader who wants no more mail. Not what follows from it (`unsubscribe`).

A hit is such a wish where it was posted: to the address in List-Unsubscribe (RFC 8058), or by the button of
the tracker's page. A link that was only followed is none by itself: it may have been a machine.
"""

from typing import NamedTuple

from engagement.events.model import Hit, is_data_request, is_posted, is_undo
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.token import unpack


class Wish(NamedTuple):
    """What a reader wants.

    undo: it takes back one from before. at_ms: Unix milliseconds, by which wishes are in their order.
    by_link: by a link of the author's, not by List-Unsubscribe. list_id: the list to leave, "" for all mail
    of the kind.
    """

    undo: bool
    at_ms: int
    by_link: bool
    recipient: str
    list_id: str
    customer_id: str
    transactional: bool


def wish_of(hit: Hit) -> Wish | None:
    """Return what a reader wants who posted, None for other hits. Raises BadToken for a broken payload."""
    if (
        not is_posted(hit)
        or is_data_request(hit)
        or (hit.kind is not Kind.LIST_UNSUBSCRIBE and hit.kind not in CLICKS)
    ):
        return None
    identity, link = unpack(hit.kind, hit.packed)
    if hit.kind is Kind.LIST_UNSUBSCRIBE:
        list_id = link.target.decode("ascii", "replace") if link else ""
        return _wish(hit, identity, list_id, by_link=False)
    return followed(hit, identity, link)


def followed(hit: Hit, identity: Identity, link: Link | None) -> Wish | None:
    """Return what a click on a link marked `data-msys-unsubscribe` would want, None for other links."""
    return _wish(hit, identity, "", by_link=True) if link is not None and link.unsubscribe else None


def _wish(hit: Hit, identity: Identity, list_id: str, *, by_link: bool) -> Wish:
    undo, customer = is_undo(hit), identity.customer_id
    return Wish(undo, hit.at_ms, by_link, identity.recipient, list_id, customer, identity.transactional)
