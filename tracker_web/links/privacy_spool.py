"""Spools that remove the reader from hits, or drop whole hits, as privacy modes and objections ask for.

Not the content of links: the filter leaves the reader out of new ones (docs/privacy.md). This is for the
request itself, which names an address and a program, and for links that were sent in a wider mode.

Invariants: no client address, header or recipient reaches the inner spool; a hit has the class that its whole
User-Agent gave it (`engagement.classify`). Two exceptions: the recipient who unsubscribes, as nobody
could act on that request otherwise; and a link's target, which is the sender's text, whatever it names. A
record that cannot be read is not passed on: `append` raises.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from msgspec import structs

from engagement.classify.rule_set import RuleSet
from engagement.classify.shipped import shipped
from engagement.events.model import Hit, is_posted
from engagement.events.record import OF_NOBODY, decode, encode
from engagement.links.model import OPENS, PSEUDONYM_DOMAIN, Identity, Kind, Link, shared_identity
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.links.token import unpack
from engagement.objections import Objections
from engagement.settings.schema import PrivacyMode
from tracker_web.links.application import HitSink

MODES: Final = frozenset({PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE})
_DAY_MS: Final = 86_400_000


class ObjectionsSpool:
    """Drops hits of readers who objected, whenever their mail was sent; unsubscribe requests are recorded.

    objections: returns the list in force, or raises ObjectionsError while it was never read.
    """

    def __init__(self, spool: HitSink, objections: Callable[[], Objections]) -> None:
        self._spool = spool
        self._objections = objections

    def append(self, record: bytes) -> bool:
        """Write one record unless its reader objected; return False when the inner spool dropped it.

        Raises BadRecord, BadToken or ObjectionsError; then nothing was written.
        """
        hit = _hit(record)
        identity, link = unpack(hit.kind, hit.packed)
        if self._objections().hold(identity.recipient) and not _is_unsubscribe(hit, link):
            return True  # not lost: it was not to be recorded
        return self._spool.append(record)


class SharedPixelSpool:
    """Removes readers from the hits of shared pixels, which stand for a campaign and need no consent.

    every: all opens become such hits, also those of pixels that mail sent before has for itself. rules: that
    hits will be classified by, those shipped if not given.
    """

    def __init__(self, spool: HitSink, *, every: bool, rules: RuleSet | None = None) -> None:
        self._spool = spool
        self._every = every
        self._rules = rules or shipped()

    def append(self, record: bytes) -> bool:
        """Write one record; return False when the inner spool dropped it. Raises BadRecord or BadToken."""
        if self._every or OF_NOBODY in record:
            hit = _hit(record)
            identity = unpack(hit.kind, hit.packed)[0]
            if self._every and hit.kind in OPENS and not identity.is_shared:
                life = identity.expiry - identity.issued
                identity = shared_identity(identity.campaign, identity.customer_id, identity.issued, life)
                hit = structs.replace(hit, packed=payload(pack_identity(identity), b"", filler=False))
            if identity.is_shared:
                record = encode(_of_nobody(hit, self._rules))
        return self._spool.append(record)


def _of_nobody(hit: Hit, rules: RuleSet) -> Hit:
    return structs.replace(hit, client_address="", accept_language="", user_agent=rules.word(hit.user_agent))


class WishesSpool:
    """Drops all hits but posted wishes to get no more mail, which are followed whatever is recorded."""

    def __init__(self, spool: HitSink) -> None:
        self._spool = spool

    def append(self, record: bytes) -> bool:
        """Write one record if it is such a wish; return False when the inner spool dropped it.

        Raises BadRecord or BadToken for a record that is none of ours.
        """
        hit = _hit(record)
        if is_posted(hit) and _is_unsubscribe(hit, unpack(hit.kind, hit.packed)[1]):
            return self._spool.append(record)
        return True


class PrivacySpool:
    """Removes readers from records on their way into `spool`. One per process.

    mode: one of MODES. key: 16 to 64 bytes; it makes the ids that replace those of links from a wider mode,
    the same for all hits of one message. day_id: returns a new event id for a time in milliseconds; nothing
    else may draw ids from its source. rules: that hits will be classified by, those shipped if not given.
    Raises ValueError for another mode.
    """

    def __init__(
        self,
        spool: HitSink,
        mode: PrivacyMode,
        key: bytes,
        day_id: Callable[[int], str],
        rules: RuleSet | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"no mode that withholds: {mode}")
        self._spool = spool
        self._hygiene = mode == PrivacyMode.HYGIENE
        self._key = key
        self._day_id = day_id
        self._rules = rules or shipped()

    def append(self, record: bytes) -> bool:
        """Write what may be recorded of one record; return False when the inner spool dropped it.

        Raises BadRecord or BadToken for a record that is none of ours.
        """
        return self._spool.append(encode(self._reduced(_hit(record))))

    def _reduced(self, hit: Hit) -> Hit:
        identity, link = unpack(hit.kind, hit.packed)
        reduced = _of_nobody(hit, self._rules)
        if self._hygiene and not is_posted(hit):  # of wishes the later one counts
            day = hit.at_ms // _DAY_MS * _DAY_MS  # CNIL 2026-042: the date of an open, no time
            reduced = structs.replace(reduced, at_ms=day, id=self._day_id(day))
        narrowed = self._narrowed(identity, named=_is_unsubscribe(hit, link))
        if narrowed == identity:
            return reduced
        packed = payload(pack_identity(narrowed), b"" if link is None else pack_link(link), filler=False)
        return structs.replace(reduced, packed=packed)

    def _narrowed(self, identity: Identity, named: bool) -> Identity:
        """Return the identity that a link made in this mode would have. named: its recipient stays."""
        narrowed = replace(identity, metadata="")
        if self._hygiene:
            narrowed = replace(narrowed, campaign="", tags=())
            named = named or identity.recipient.endswith(PSEUDONYM_DOMAIN)
        if named or not identity.recipient:
            return narrowed
        return self._unlinked(replace(narrowed, recipient=""))

    def _unlinked(self, identity: Identity) -> Identity:
        """Return the identity under ids of no message in the store, whose record may name the recipient."""
        stand_in = blake2b(
            identity.message_id + identity.transmission_id.to_bytes(8, "big"), key=self._key, digest_size=20
        ).digest()
        # Neighbours of their time in a store, as the filter's are.
        message_id = (identity.issued & 0xFFFFFFFF).to_bytes(4, "big") + stand_in[:12]
        return replace(identity, message_id=message_id, transmission_id=int.from_bytes(stand_in[12:], "big"))


def _hit(record: bytes) -> Hit:
    hit = decode(record)
    if not isinstance(hit, Hit):
        raise TypeError("only hits come from the tracker")
    return hit


def _is_unsubscribe(hit: Hit, link: Link | None) -> bool:
    """Return whether the reader unsubscribes by this hit."""
    return hit.kind is Kind.LIST_UNSUBSCRIBE or (link is not None and link.unsubscribe)
