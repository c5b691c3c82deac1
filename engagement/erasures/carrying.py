"""Carries out requests to erase recipients, step by step, beside the shipper that does everything else.

A recipient is erased from the store once the spool holds nothing of theirs that was there when the request
was taken up: until then the shipper would bring it back. A process that ends in between begins anew.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.domain_names import spellings
from engagement.erasures.requests import ErasureRequest, ErasureRequests
from engagement.extras import NotInstalledError
from engagement.html_copies.book import CopyBook
from engagement.html_copies.folder import CopyFolder
from engagement.registry.port import Registry, RegistryError
from engagement.spool.erasure import RecipientTraces
from engagement.stores.port import EventStore, StoreError
from engagement.webhooks.documents import Documents

_log = logging.getLogger("engagement.shipper")

STEP_SECONDS: Final = 10.0  # from one look at the requests to the next
_AT_ONCE: Final = 20  # requests being carried out: each reads the spool's segments


class Erasures:
    """The requests of a registry, carried out on a store and a spool.

    registry: opens it, at the first look and after a failure. clock: returns seconds that only grow.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        store: EventStore,
        directory: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = registry
        self._store = store
        self._directory = directory
        self._clock = clock
        self._requests: ErasureRequests | None = None
        self._batches: Documents | None = None  # what webhooks keep
        self._copies: CopyBook | None = None  # copies of mail's HTML
        self._mark = ""
        self._waiting: dict[str, ErasureRequest] = {}
        self._begun: dict[str, tuple[RecipientTraces, set[str]]] = {}
        self._next = float("-inf")
        self._failed = False

    def turn(self) -> int:
        """Do what can be done now, at most every `STEP_SECONDS`; return how many recipients were erased.

        What fails is logged once and tried again at the next turn.
        """
        if self._clock() < self._next:
            return 0
        self._next = self._clock() + STEP_SECONDS
        try:
            done = self._step()
        except (RegistryError, StoreError, OSError, NotInstalledError) as error:
            if not self._failed:
                _log.error("requests to erase recipients wait: %s", error)
            self._failed = True
            self._requests = None
            return 0
        self._failed = False
        return done

    def _step(self) -> int:
        if self._requests is None:
            registry = self._open()
            self._requests, self._batches = ErasureRequests(registry), Documents(registry)
            self._copies = CopyBook(registry)
        requests = self._requests
        more = True
        while more:
            found, self._mark, more = requests.since(self._mark)
            self._waiting |= {request.id: request for request in found if not request.done_ms}
        done = 0
        for request in list(self._waiting.values())[:_AT_ONCE]:
            if not self._is_carried_over(request):
                continue
            traces, _ = self._begun[request.id]
            events = sum(self._erase(each, request.tenant) for each in spellings(request.recipient))
            traces.blank()
            requests.done(request, events)
            del self._waiting[request.id], self._begun[request.id]
            _log.info("a recipient was erased on request %s: %d event(s)", request.id, events)
            done += 1
        if done:
            requests.scrub()
        return done

    def _erase(self, recipient: str, tenant: str) -> int:
        """Remove what store, batches and kept copies hold of an address; return how many events."""
        events = self._store.erase(recipient, tenant)
        if self._batches is not None:
            self._batches.erase(recipient, tenant)
        CopyFolder(self._directory).erase(recipient, tenant)
        if self._copies is not None:
            self._copies.erase(recipient, tenant)
        return events

    def _is_carried_over(self, request: ErasureRequest) -> bool:
        """Return whether nothing is left in the spool of what it held of the recipient."""
        if request.id not in self._begun:
            traces = RecipientTraces(self._directory, request.recipient)
            self._begun[request.id] = traces, traces.segments()
            return not self._begun[request.id][1]
        traces, before = self._begun[request.id]
        self._begun[request.id] = traces, traces.left(before)
        return not self._begun[request.id][1]
