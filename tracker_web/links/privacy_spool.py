"""The ceiling of privacy over what the tracker records: spools that take readers, or their hits, out.

Not what links say: the filter keeps the reader out of new ones (docs/privacy.md). This is for the request
itself, which names an address and a program, and for links that were sent while the mode was a wider one.

Invariants: no client address, header or recipient reaches the spool behind; a hit keeps the class that its
whole User-Agent gave it (`engagement.events.classify`). Two exceptions: who unsubscribes is kept, as the wish
cannot be followed without, and a link's target, which is the sender's text, whatever it names.
A record that cannot be read is not passed on: `append` raises.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from engagement.events.classify import DEFAULT, ClassificationRules
from engagement.events.model import Hit
from engagement.events.record import decode, encode
from engagement.links.model import PSEUDONYM_DOMAIN, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.links.token import unpack
from engagement.objections import Objections
from engagement.settings.schema import PrivacyMode
from tracker_web.links.application import HitSink

MODES: Final = frozenset({PrivacyMode.AGGREGATE, PrivacyMode.HYGIENE})
WITHHELD: Final = "withheld"  # stands for the User-Agent of a person's program, and is classed like one
_DAY_MS: Final = 86_400_000


class ObjectionsSpool:
    """Keeps no hit of a reader who objected, whenever their mail was sent; but their unsubscribing is kept.

    objections: the list of the moment, which may raise while nobody knows who is in it.
    """

    def __init__(self, spool: HitSink, objections: Callable[[], Objections]) -> None:
        self._spool = spool
        self._objections = objections

    def append(self, record: bytes) -> bool:
        """Keep one record, or not. Raises BadRecord, BadToken, ObjectionsError: then it is not kept."""
        hit = _hit(record)
        identity, link = unpack(hit.kind, hit.packed)
        if self._objections().hold(identity.recipient) and not _wish(hit, link):
            return True  # not dropped: it was not to be kept
        return self._spool.append(record)


class PrivacySpool:
    """Takes readers out of records on their way into `spool`. One per process.

    mode: one of MODES. key: for ids that stand in for those of links from a wider mode, 16 to 64 bytes; one
    key gives one message the same id. day_id: a new event id for a time in milliseconds, from a source that
    makes no others.
    """

    def __init__(self, spool: HitSink, mode: PrivacyMode, key: bytes, day_id: Callable[[int], str]) -> None:
        if mode not in MODES:
            raise ValueError(f"no mode that withholds: {mode}")
        self._spool = spool
        self._hygiene = mode == PrivacyMode.HYGIENE
        self._key = key
        self._day_id = day_id

    def append(self, record: bytes) -> bool:
        """Keep what may be kept of one record. Raises BadRecord or BadToken for what is none of ours."""
        return self._spool.append(encode(self._reduced(_hit(record))))

    def _reduced(self, hit: Hit) -> Hit:
        identity, link = unpack(hit.kind, hit.packed)
        kept = replace(hit, client_address="", accept_language="", user_agent=class_word(hit.user_agent))
        if self._hygiene:
            day = hit.at_ms // _DAY_MS * _DAY_MS  # CNIL 2026-042: the date of an open, no time
            kept = replace(kept, at_ms=day, id=self._day_id(day))
        lesser = self._lesser(identity, named=_wish(hit, link))
        if lesser == identity:
            return kept
        packed = payload(pack_identity(lesser), b"" if link is None else pack_link(link), filler=False)
        return replace(kept, packed=packed)

    def _lesser(self, identity: Identity, named: bool) -> Identity:
        """What a link made now would say of its copy. named: with its reader all the same."""
        lesser = replace(identity, metadata="")
        if self._hygiene:
            lesser = replace(lesser, campaign="", tags=())
            named = named or identity.recipient.endswith(PSEUDONYM_DOMAIN)
        if named or not identity.recipient:
            return lesser
        return self._apart(replace(lesser, recipient=""))

    def _apart(self, identity: Identity) -> Identity:
        """Under ids that lead to no message in the store, whose record may name the recipient."""
        stand_in = blake2b(
            identity.message_id + identity.transmission_id.to_bytes(8, "big"), key=self._key, digest_size=24
        ).digest()
        return replace(
            identity, message_id=stand_in[:16], transmission_id=int.from_bytes(stand_in[16:], "big")
        )


def _hit(record: bytes) -> Hit:
    hit = decode(record)
    if not isinstance(hit, Hit):
        raise TypeError("only hits come from the tracker")
    return hit


def _wish(hit: Hit, link: Link | None) -> bool:
    """Whether the reader unsubscribes by it."""
    return hit.kind is Kind.LIST_UNSUBSCRIBE or (link is not None and link.unsubscribe)


def class_word(user_agent: str, rules: ClassificationRules = DEFAULT) -> str:
    """The least that is classed as this User-Agent is: the list's word that it was known by, or WITHHELD."""
    agent = user_agent.strip().lower()
    if not agent or agent in rules.bare:
        return agent
    for word in (*rules.own, *rules.proxies, *rules.scanners):
        if word in agent:
            return word
    return WITHHELD
