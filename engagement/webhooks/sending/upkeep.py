"""What one webhook's thread does now and then: corrections, and the removal of what is kept no longer."""

from typing import Final

from engagement.stores.port import Query
from engagement.webhooks import batches
from engagement.webhooks.corrections import corrected, sent_hits
from engagement.webhooks.documents import Stored
from engagement.webhooks.model import DELIVERED, Webhook
from engagement.webhooks.sending.filling import Filler
from engagement.webhooks.sending.tools import Tools

_SLACK_MS: Final = 120_000  # hits are classified anew within seconds after the time is over
_IDS: Final = 500  # of one question to the store


def outdated(tools: Tools, stored: Stored) -> bool:
    """Return whether a batch is removed: delivered and kept its time, or older than what the store keeps."""
    batch, now_ms = stored.batch, tools.now_ms
    if batch.state == DELIVERED:
        return batch.ended_ms < now_ms - tools.options.keep_delivered * 1000
    return tools.retention > 0 and batch.created_ms < now_ms - tools.retention * 1000


def is_ripe(tools: Tools, stored: Stored) -> bool:
    """Return whether the hits of a delivered batch are classified no more, and were not looked at yet."""
    batch = stored.batch
    ripe_ms = batch.created_ms + tools.again_within * 1000 + _SLACK_MS
    return batch.state == DELIVERED and not batch.checked and tools.now_ms >= ripe_ms


def correct(tools: Tools, webhook: Webhook, filler: Filler, stored: Stored) -> Stored | None:
    """Make a batch of the corrections of a delivered one, and return it; None if its hits are as they were.

    Raises NotOursError, RegistryError, StoreError, and ValueError for an event that no batch can hold.
    """
    body = tools.documents.body(stored.batch)
    hits = list(sent_hits(body)) if body else []
    now = {}
    for begin in range(0, len(hits), _IDS):
        ids = tuple(str(hit["event_id"]) for hit in hits[begin : begin + _IDS])
        for event in tools.store.find(Query(ids=ids, expired=True, limit=len(ids))):
            now[str(event["event_id"])] = event
    made = [batches.as_json(event) for event in corrected(hits, now)]
    return filler.apart(webhook, made) if made else None
