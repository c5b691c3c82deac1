"""Puts readers on the suppression list who want no more mail, and takes them off who take that back.

Fed by the shipper with what it stored. Invariants: the order of wishes is that of their times, in whichever
order they come, and one that comes twice changes nothing; an undo removes what a wish of the same reader and
list added, and nothing that others entered; a click that is classified as a person's only later, or once more
within `SETTLED_SECONDS`, is waited for. What waits is in the registry, so a restart costs nothing, and names
nobody there.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final

from engagement.erasures import reader_requests
from engagement.events.classify import ReaderClass
from engagement.events.model import Event, Hit, is_data_request, is_posted
from engagement.links.model import CLICKS, PSEUDONYM_DOMAIN, BadToken
from engagement.links.token import unpack
from engagement.objections import ObjectionsError, add
from engagement.registry.port import ConflictError, Document, Registry, RegistryError
from engagement.shipper.reclassifier import message_of
from engagement.shipper.wishes import Wish, followed, wish_of
from engagement.stores.port import EventStore, LabelledHit, StoreError
from engagement.suppression import book
from engagement.suppression.model import KIND, BadEntryError, Entry, MailKind, Source, checked

_log = logging.getLogger("engagement.shipper")

SETTLED_SECONDS: Final = 600.0  # scanners that come as browsers show themselves within minutes
_EVERY: Final = 5.0  # seconds from one look at what waits to the next
_MOST: Final = 200  # clicks of one look, so that records do not wait for it for long
_SWEEP_SECONDS: Final = 3600.0  # from one removal of old undos, which are days old, to the next
_UNDONE_DAYS: Final = 60  # for which a wish may be under way; no spool waits that long
_TRIES: Final = 10  # of a change that others make at the same time
_UNDONE: Final = "unsubscribe_undone"  # the registry's documents: when a wish was taken back,
_PENDING: Final = "unsubscribe_pending"  # and clicks that wait, by the time when they are due
# A wish takes the place of these. Others stay as they are: who entered them said why, and they hold as long.
_OURS: Final = (Source.LIST_UNSUBSCRIBE, Source.UNSUBSCRIBE_LINK)
_REPLACED: Final = (*_OURS, Source.BOUNCE_RULE)


class Unsubscribes:
    """The wishes of one shipper.

    registry: opens it, when there is a first wish. store: has the labels of clicks. settled: whether links
    that were only followed count (`unsubscribe.by_link = settled`). objections: the list that readers who
    object are put on, None for leaving it to people. now: returns Unix seconds.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        store: EventStore,
        *,
        settled: bool,
        objections: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._open = registry
        self._registry: Registry | None = None
        self._store = store
        self._settled = settled
        self._objections = objections
        self._now = now
        self._next = float("-inf")
        self._swept = time.monotonic()
        self._reported = ""

    def take(self, events: Iterable[Event]) -> None:
        """Follow the wishes among events that are stored, and note clicks that may become one.

        Raises RegistryError; then the same events are to be given once more.
        """
        for event in events:
            if isinstance(event, Hit):
                self._take(event)

    def _take(self, hit: Hit) -> None:
        """Follow or note one hit. Raises RegistryError."""
        try:
            if is_data_request(hit):
                self._pass_on(hit)
            elif is_posted(hit):
                if (wish := wish_of(hit)) is not None:
                    self._follow(wish)
            elif self._settled and hit.kind in CLICKS and hit.method != "HEAD":
                self._note(hit)
        except BadToken:
            return  # the event is set aside for it
        except RegistryError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours in one event must not stop the others
            _log.error("unsubscribe: event %s is not followed: %s", hit.id, type(error).__name__)

    def _pass_on(self, hit: Hit) -> None:
        """Put a reader on the list of objections, or leave it to people. Raises RegistryError."""
        wish = reader_requests.request_of(hit)
        if wish is None:
            return
        if wish.what == "OBJECT" and self._objections is not None:
            try:
                add(self._objections, [wish.recipient])
            except (ObjectionsError, ValueError) as error:
                _log.error("an objection of a reader waits on the page of recipients: %s", error)
            else:
                return
        reader_requests.note(self._books(), wish)

    def turn(self) -> None:
        """Follow clicks that have long enough counted as a person's, and forget old undos, if it is time.

        Raises nothing: what failed is tried again.
        """
        began = time.monotonic()
        if began < self._next:
            return
        self._next = began + _EVERY
        try:
            if self._settled:
                self._settle()
            if self._registry is not None and began - self._swept >= _SWEEP_SECONDS:
                self._swept = began
                self._sweep(self._registry)
            self._reported = ""
        except (RegistryError, StoreError) as error:
            if str(error) != self._reported:
                self._reported = str(error)
                _log.error("unsubscribe: clicks wait: %s", error)

    def _settle(self) -> None:
        """Look at the clicks that are due. Raises RegistryError, StoreError."""
        now_ms = self._now_ms()
        due = [each for each in self._books().find(_PENDING, limit=_MOST) if _due(each) <= now_ms]
        messages = {bytes.fromhex(str(each.data["message"])) for each in due}
        hits = self._store.hits_of(messages) if messages else {}
        found = {each.hit.id: each for of_message in hits.values() for each in of_message}
        for each in due:
            try:
                self._look(each, found.get(str(each.data["hit"])))
            except (RegistryError, StoreError):
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours in one click must not stop the others
                _log.error("unsubscribe: a click is not followed: %s", type(error).__name__)
                self._books().delete(_PENDING, each.key)

    def _sweep(self, registry: Registry) -> None:
        """Forget undos that no wish can be older than. Raises RegistryError."""
        oldest, after = self._now_ms() - _UNDONE_DAYS * 86_400_000, ""
        while documents := registry.find(_UNDONE, after=after):
            for each in documents:
                if int(each.data["at_ms"]) < oldest:
                    registry.delete(_UNDONE, each.key, expected=each.version)
            after = documents[-1].key

    def close(self) -> None:
        """Close the registry."""
        if self._registry is not None:
            self._registry.close()

    def _books(self) -> Registry:
        if self._registry is None:
            self._registry = self._open()
        return self._registry

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    def _follow(self, wish: Wish) -> None:
        """Add or remove the entry of a wish. Raises RegistryError."""
        if (entry := _entry(wish)) is None:
            return
        for _ in range(_TRIES):
            try:
                if wish.undo:
                    self._take_back(entry)
                else:
                    self._add(entry)
            except ConflictError:
                continue
            return
        raise ConflictError("an entry of the suppression list is changed by others all the time")

    def _add(self, entry: Entry) -> None:
        registry = self._books()
        undone = registry.get(_UNDONE, _name(entry))
        if undone is not None and int(undone.data["at_ms"]) >= entry.updated_ms:
            return
        there = _there(registry, entry)
        if there is None or (there.source in _REPLACED and not _is_older(entry, there)):
            book.add(registry, entry)

    def _take_back(self, entry: Entry) -> None:
        registry = self._books()
        before = registry.get(_UNDONE, _name(entry))
        if before is None or int(before.data["at_ms"]) < entry.updated_ms:
            version = before.version if before else 0
            registry.put(_UNDONE, _name(entry), {"at_ms": entry.updated_ms}, expected=version)
        document = registry.get(KIND, entry.key)
        there = _there(registry, entry)
        if (
            document is not None
            and there is not None
            and there.source in _OURS
            and not _is_older(entry, there)
        ):
            registry.delete(KIND, entry.key, expected=document.version)

    def _note(self, hit: Hit) -> None:
        """Let a click on a marked link wait. Raises RegistryError, BadToken."""
        identity, link = unpack(hit.kind, hit.packed)
        if (wish := followed(hit, identity, link)) is not None and _entry(wish) is not None:
            # From now where the click comes late: later hits that say more about it come as late.
            self._wait(hit, max(hit.at_ms, self._now_ms()))

    def _wait(self, hit: Hit, since_ms: int) -> None:
        due = since_ms + int(SETTLED_SECONDS * 1000)
        data = {"message": message_of(hit).hex(), "hit": hit.id}
        self._books().put(_PENDING, f"{due:015d}-{hit.id}", data)

    def _look(self, waiting: Document, labelled: LabelledHit | None) -> None:
        """Follow a click that is due, let it wait on, or forget it. Raises RegistryError, StoreError."""
        if labelled is not None:  # else it was erased
            hit, label = labelled.hit, labelled.label
            past = self._store.past_labels(hit.id)
            changed = max((each.until_ms for each in past), default=0)
            if self._now_ms() - changed < SETTLED_SECONDS * 1000:
                self._wait(hit, changed)
            elif label.client is ReaderClass.HUMAN and label.certain:
                wish = followed(hit, *unpack(hit.kind, hit.packed))
                if wish is not None:
                    self._follow(wish)
        self._books().delete(_PENDING, waiting.key)


def _due(waiting: Document) -> int:
    return int(waiting.key.partition("-")[0])


def _entry(wish: Wish) -> Entry | None:
    """Return the entry that a wish is about; None where no address is known."""
    if wish.recipient.endswith(PSEUDONYM_DOMAIN):
        return None
    kind = MailKind.TRANSACTIONAL if wish.transactional else MailKind.NON_TRANSACTIONAL
    source = Source.UNSUBSCRIBE_LINK if wish.by_link else Source.LIST_UNSUBSCRIBE
    entry = Entry(wish.recipient, kind, source, "", wish.list_id, wish.customer_id, 0, wish.at_ms)
    try:
        return checked(entry)
    except BadEntryError:
        try:
            return checked(replace(entry, list_id=""))  # the list's name is no name: all mail, to be safe
        except BadEntryError as error:
            _log.error("unsubscribe: a wish is not followed: %s", error)
            return None


def _there(registry: Registry, entry: Entry) -> Entry | None:
    found = book.get(registry, entry.recipient, entry.tenant)
    return next((each for each in found if each.key == entry.key), None)


def _is_older(entry: Entry, there: Entry) -> bool:
    """Return whether a wish is older than what is there."""
    return entry.updated_ms < there.updated_ms


def _name(entry: Entry) -> str:
    """Return the key of an entry's undo, which names nobody."""
    return blake2b(entry.key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
