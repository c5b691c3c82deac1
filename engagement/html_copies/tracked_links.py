"""The tracked addresses of a message, computed again from its injection and proved by the marks kept there.

No address is stored. Tokens are sealed deterministically (docs/decisions/0007), so what stood in a link, and
the key, give the same bytes again. Not which targets a message may have had: the caller names them.

Invariant: an address is returned only where a mark of the message proves it to the byte.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from engagement.events.model import Injection
from engagement.links.keys import Key, Ring
from engagement.links.marks import SIZE, mark
from engagement.links.model import RAW_URL, Identity, Kind, Link
from engagement.links.token import CannotSeal, CopySealer, copy_sealer

_MOST_SEALED: Final = 6_000  # addresses of one answer: some 50 ms where no mark is found
_PARTS: Final = ("html", "text", "amp")
_WITHOUT: Final = ("a",)


class Unknown(Enum):
    """Why the address of a link is not known."""

    NOT_STORED = "nothing of the message's links was kept"
    KEY = "the key that sealed them is not in the ring, or was revoked"
    TARGET = "where it led is not known to the byte"


class Place(NamedTuple):
    """Where in a message a link is. part: "html", "text" or "amp". name: `RAW_URL` for none."""

    part: str
    ordinal: int
    name: str


@dataclass(frozen=True, slots=True)
class TrackedLinks:
    """Proved links of a message.

    targets, addresses: of links by their places, the author's and the delivered ones. left: how many other
    tracked links there are. why: the reason if none can be computed at all.
    """

    targets: dict[Place, str]
    addresses: dict[Place, str]
    left: int = 0
    why: Unknown | None = None


def tracked_links(injection: Injection | None, known: Iterable[Link], ring: Ring) -> TrackedLinks:
    """Return the links of a message whose addresses are proved.

    injection: None for not known. known: links that it may have had, the likeliest first; place and
    `unsubscribe` of each are tried first, and then others.
    """
    if injection is None or not injection.link_marks:
        return TrackedLinks({}, {}, why=Unknown.NOT_STORED)
    key = ring.get(injection.link_key)
    if key is None:
        return TrackedLinks({}, {}, injection.links, Unknown.KEY)
    whole = injection.link_marks
    left = {whole[at : at + SIZE] for at in range(0, len(whole), SIZE)}
    found = TrackedLinks({}, {}, injection.links)
    starts = [f"{injection.link_base}/f/{each}/".encode("latin-1") for each in _WITHOUT + injection.sublinks]
    sealers = _sealers(key, injection)
    most = _MOST_SEALED // max(1, len(sealers) * len(starts))
    for _, link in zip(range(most), _tries(list(known), len(left)), strict=False):
        place = Place(link.part, link.ordinal, link.name or RAW_URL)
        if place in found.targets:
            continue
        for url in _urls(link, sealers, starts):
            if (of := mark(url)) in left:
                left.remove(of)
                found.targets[place] = link.target.decode("utf-8", "replace")  # as events have it
                found.addresses[place] = url.decode("latin-1")
                break
        if not left:
            break
    return replace(found, left=max(0, injection.links - len(found.targets)))


def _tries(known: list[Link], number: int) -> Iterator[Link]:
    """Yield links to try: each in its own place, then with each target in every place of a part."""
    for link in known:
        yield from _spelled(link)
    # The text part often has the links of the HTML part, and none of its links has a name.
    pairs = dict.fromkeys((link.target, name) for link in known for name in (link.name, ""))
    for part in _PARTS:
        for ordinal in range(number):
            for target, name in pairs:
                yield from _spelled(Link(target, name, ordinal=ordinal, part=part))


def _spelled(link: Link) -> Iterator[Link]:
    """Yield a link, marked for unsubscribing or not: that is in its token and seldom known."""
    name = "" if link.name == RAW_URL else link.name
    for unsubscribe in (link.unsubscribe, not link.unsubscribe):
        yield link._replace(name=name, unsubscribe=unsubscribe)


def _urls(link: Link, sealers: list[CopySealer], starts: list[bytes]) -> Iterator[bytes]:
    kind = Kind.AMP_CLICK if link.part == "amp" else Kind.CLICK
    for sealer in sealers:
        with suppress(CannotSeal):
            token = sealer.seal(kind, link)
            yield from (start + token for start in starts)


def _sealers(key: Key, injection: Injection) -> list[CopySealer]:
    """Return what sealed the links, or may have: long ones go without metadata, a shared copy's unnamed."""
    identity = Identity(
        message_id=injection.message_id,
        transmission_id=injection.transmission_id,
        recipient=injection.recipient,
        issued=int.from_bytes(injection.message_id[:4], "big"),  # docs/decisions/0007
        expiry=injection.link_expiry,
        rcpt_type=injection.rcpt_type,
        campaign=injection.campaign,
        tags=injection.tags,
        metadata=injection.metadata,
        customer_id=injection.customer_id,
        transactional=injection.transactional,
    )
    bare = replace(identity, metadata="")
    several = dict.fromkeys((identity, bare, replace(identity, recipient=""), replace(bare, recipient="")))
    made = []
    for each in several:
        with suppress(CannotSeal):
            made.append(copy_sealer(key, each))
    return made
