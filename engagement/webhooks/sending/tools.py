"""What all threads of a program that sends share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engagement.settings.schema import WebhooksStanza
from engagement.stores.port import EventStore
from engagement.webhooks.documents import Documents
from engagement.webhooks.sending.delivery import Sender
from engagement.webhooks.sending.metrics import Counts


@dataclass(frozen=True, slots=True)
class Tools:
    """Documents, store, sender and settings.

    retention: of the store, seconds. again_within: seconds in which hits may be classified anew. now: returns
    Unix seconds. sweep_seconds: from one look at old batches to the next.
    """

    documents: Documents
    store: EventStore
    sender: Sender
    options: WebhooksStanza
    retention: int = 90 * 86400
    again_within: int = 3600
    now: Callable[[], float] = time.time
    sweep_seconds: float = 600.0
    counts: Counts = field(default_factory=Counts)

    @property
    def now_ms(self) -> int:
        """Return Unix milliseconds."""
        return int(self.now() * 1000)
