"""Requests to erase a recipient, as documents of the registry.

A request holds the address until it is done, and then how many events were removed, and when.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from engagement.registry.port import Changes, Document, Registry

KIND: Final = "erasure"


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """One request. recipient: "" once it is done. Times: Unix milliseconds, 0 for not yet."""

    id: str
    tenant: str
    recipient: str
    requested_ms: int
    done_ms: int = 0
    events: int = 0


class ErasureRequests:
    """The requests in a registry. now: returns Unix seconds. Every method raises RegistryError."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._now = now

    def ask(self, recipients: Iterable[str], tenant: str = "") -> tuple[str, ...]:
        """Store a request for each recipient; return their ids."""
        made = [
            ErasureRequest(str(uuid.uuid4()), tenant, recipient, self._now_ms())
            for recipient in dict.fromkeys(address.lower() for address in recipients)
        ]
        self._registry.put_many(KIND, [(each.id, _data(each)) for each in made])
        return tuple(each.id for each in made)

    def get(self, name: str, tenant: str = "") -> ErasureRequest | None:
        """Return a request by its id, None where this tenant has none."""
        found = self._registry.get(KIND, name)
        request = _request(found) if found else None
        return request if request and request.tenant == tenant else None

    def since(self, mark: str) -> tuple[tuple[ErasureRequest, ...], str, bool]:
        """Return requests that came or changed after a mark, the next mark, and whether there are more."""
        changes: Changes = self._registry.changes(KIND, mark)
        found = [_request(change.document) for change in changes.changes if change.document is not None]
        return tuple(found), changes.mark, changes.more

    def done(self, request: ErasureRequest, events: int) -> None:
        """Store that a request was carried out, without the address."""
        done = ErasureRequest(request.id, request.tenant, "", request.requested_ms, self._now_ms(), events)
        self._registry.put(KIND, request.id, _data(done))

    def scrub(self) -> None:
        """Remove addresses of requests that are done from the disk."""
        self._registry.scrub()

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _data(request: ErasureRequest) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "recipient": request.recipient,
        "asked_ms": request.requested_ms,
        "done_ms": request.done_ms,
        "events": request.events,
    }


def _request(document: Document) -> ErasureRequest:
    data = document.data
    return ErasureRequest(
        document.key,
        str(data["tenant"]),
        str(data["recipient"]),
        int(data["asked_ms"]),
        int(data["done_ms"]),
        int(data["events"]),
    )
