"""What the reader of one message got in the place of its links: their tracked addresses, computed again.

Not the page (`messages`). The key ring is read only where this program may; docs/decisions/0042.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engagement.events.fields import Fields
from engagement.events.model import Injection, MessageName
from engagement.html_copies.model import HtmlCopy
from engagement.html_copies.sealed_targets import unseal
from engagement.html_copies.tracked_links import TrackedLinks, tracked_links
from engagement.links.keys import Ring, RingError
from engagement.links.model import Link
from engagement.links.ring_file import load_ring
from engagement.stores.port import Query, StoreError, UnsupportedQueryError
from tracker_web.pages import site
from tracker_web.pages.content.newest import place_of
from tracker_web.pages.content.people import CLICKS

_NEAR_MS = 3 * 86_400_000  # a campaign is sent, and mostly read, within days
_CLICKS_OF_OTHERS = 200  # newest ones of the campaign: some milliseconds; a link that nobody clicked is none


def delivered_links(
    taken: Fields, events: Iterable[Fields], copies: Iterable[HtmlCopy]
) -> TrackedLinks | None:
    """Return the proved links of a message; None where this program may not read the key ring.

    taken: its injection. events: of the message. copies: of its campaign. Where these do not say where all
    links led, clicks of the campaign's other messages may. Raises StoreError.
    """
    try:
        ring = load_ring(Path(site.sources().settings.keys.ring))
    except RingError:
        return None
    injection = _injection(taken)
    known = _clicked(events) + [link for copy in copies for link in _of_copy(copy, ring)]
    found = tracked_links(injection, known, ring)
    campaign = str(taken.get("campaign_id", ""))
    if injection is not None and found.why is None and found.left and campaign:
        query = Query(
            tenant=site.tenant(),
            campaigns=(campaign,),
            types=CLICKS,
            expired=True,
            from_ms=injection.at_ms - _NEAR_MS,
            to_ms=injection.at_ms + _NEAR_MS,
            limit=_CLICKS_OF_OTHERS,
        )
        with suppress(StoreError, UnsupportedQueryError):
            known += _clicked(site.store().find(query))
        found = tracked_links(injection, list(dict.fromkeys(known)), ring)
    return found


def _injection(taken: Fields) -> Injection | None:
    """Return the record of an injection, None where it is not found by the MTA's names of the message."""
    names = []
    if queue_id := str(taken.get("x_queue_id", "")):
        names.append(MessageName("queue_id", str(taken.get("node_name", "")), queue_id))
    if header := str(taken.get("x_message_id_header", "")):
        names.append(MessageName("message_id_header", "", header))
    for name in names:  # one after the other: a list's mail to all its readers has one Message-ID
        for found in site.store().injections([name]).values():
            for each in found:
                if each.message_id.hex() == taken.get("message_id"):
                    return each
    return None


def _of_copy(copy: HtmlCopy, ring: Ring) -> list[Link]:
    """Return the links of a copy, with their whole targets where those can be read."""
    targets = unseal(copy.sealed, ring)
    if len(targets) != len(copy.links):
        targets = tuple(link.target.encode("utf-8", "replace") for link in copy.links)
    return [
        Link(target, link.name, False, link.ordinal, "html")
        for link, target in zip(copy.links, targets, strict=True)
    ]


def _clicked(events: Iterable[Fields]) -> list[Link]:
    """Return the links that were clicked, as the clicks say."""
    clicked = dict[Link, None]()
    for fields in events:
        if fields["type"] in CLICKS and (target := str(fields.get("target_link_url", ""))):
            part, ordinal, name = place_of(fields)
            clicked[Link(target.encode("utf-8", "replace"), name, False, ordinal, part)] = None
    return list(clicked)
