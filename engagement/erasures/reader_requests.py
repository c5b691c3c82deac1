"""What readers asked about what is kept of them, as documents of the registry, until somebody has seen to it.

Asked by a link of a mail, which others may have as well: so nothing follows from it by itself but an
objection (docs/decisions/0034-readers-page.md).
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from engagement.events.model import Hit
from engagement.links.model import PSEUDONYM_DOMAIN
from engagement.links.token import unpack
from engagement.registry.port import Document, Registry

KIND: Final = "reader_request"
_MOST: Final = 200  # of one page, which a person works off; others come once these are settled


@dataclass(frozen=True, slots=True)
class ReaderRequest:
    """What one reader asked. what: of `engagement.events.model.ASKS`. at_ms: of the last time, Unix time."""

    what: str
    recipient: str
    tenant: str
    at_ms: int

    @property
    def key(self) -> str:
        """Return its document's key, which names nobody; the same however often it is asked."""
        return _hash(self.tenant) + _hash(f"{self.what}\0{self.recipient.lower()}")


def request_of(hit: Hit) -> ReaderRequest | None:
    """Return what a hit asks; None where it names nobody. Raises BadToken for a broken payload."""
    identity, _ = unpack(hit.kind, hit.packed)
    if not identity.recipient or identity.recipient.endswith(PSEUDONYM_DOMAIN):
        return None
    return ReaderRequest(hit.method, identity.recipient, identity.customer_id, hit.at_ms)


def note(registry: Registry, request: ReaderRequest) -> None:
    """Keep what a reader asked. Raises RegistryError."""
    registry.put(
        KIND,
        request.key,
        {
            "what": request.what,
            "recipient": request.recipient,
            "tenant": request.tenant,
            "at_ms": request.at_ms,
        },
    )


def waiting(registry: Registry, tenant: str) -> list[ReaderRequest]:
    """Return what waits for somebody to see to it, the oldest first. tenant: "" for everybody's.

    Raises RegistryError.
    """
    prefix = _hash(tenant) if tenant else ""
    found = [_request(each) for each in registry.find(KIND, prefix=prefix, limit=_MOST)]
    return sorted(found, key=lambda each: each.at_ms)


def settle(registry: Registry, recipient: str, tenant: str, what: str) -> None:
    """Forget what a reader asked, once it is done or refused. tenant: "" for everybody's.

    Raises RegistryError.
    """
    for each in waiting(registry, tenant):
        if each.what == what and each.recipient.lower() == recipient.lower():
            registry.delete(KIND, each.key)


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _request(document: Document) -> ReaderRequest:
    data = document.data
    return ReaderRequest(str(data["what"]), str(data["recipient"]), str(data["tenant"]), int(data["at_ms"]))
