"""Makes batches of what came into the store, in its order.

Events are read in portions, and a batch is made of whole portions, as the store's mark says where a portion
ends and nothing less. A batch carries the mark behind its last event: so the batches themselves say up to
where events are in batches, and nobody makes a second one of the same events.
"""

import logging
import time
from dataclasses import replace
from typing import Final

from engagement.events.fields import Fields
from engagement.stores.port import Query
from engagement.webhooks import batches
from engagement.webhooks.documents import Stored
from engagement.webhooks.model import Batch, Webhook
from engagement.webhooks.sending.tools import Tools

_log = logging.getLogger("engagement.webhooks")

READ: Final = 1000  # events of one look into the store


class Filler:
    """The events of one webhook that wait for their batch. owner: the program, for the keys of octets."""

    def __init__(self, tools: Tools, webhook_id: str, owner: str) -> None:
        self._tools = tools
        self._id = webhook_id
        self._owner = owner
        self.number = 0  # of the last batch
        self.settled = ""  # the mark up to which events are in batches, or not wanted
        self._mark = ""  # the mark up to which they were read
        self._waiting: list[bytes] = []
        self._size = 0
        self._since = 0.0

    def begin(self, number: int, mark: str) -> None:
        """Begin behind a batch; what was read after another one is forgotten."""
        if (number, mark) != (self.number, self.settled):
            self.number, self.settled, self._mark = number, mark, mark
            self._waiting, self._size = [], 0

    def step(self, webhook: Webhook) -> tuple[list[Stored], bool]:
        """Read once; return the batches that were made, and whether there may be more to read.

        Raises NotOursError, RegistryError, StoreError.
        """
        made: list[Stored] = []
        events, mark = self._read(webhook)
        size = sum(len(event) + 1 for event in events)
        options = self._tools.options
        too_many = len(self._waiting) + len(events) > options.batch_events
        if self._waiting and (too_many or self._size + size > options.batch_size):
            made.append(self._make(webhook))
        if events and not self._waiting:
            self._since = time.monotonic()
        more = mark != self._mark
        self._waiting += events
        self._size += size
        self._mark = mark
        is_full = len(self._waiting) >= options.batch_events or self._size >= options.batch_size
        if self._waiting and (is_full or time.monotonic() - self._since >= options.batch_time):
            made.append(self._make(webhook))
        if not self._waiting:
            self.settled = self._mark
        return made, more

    def apart(self, webhook: Webhook, events: list[bytes], replays: int = 0) -> Stored:
        """Make a batch of other events than those that come in. replays: of `Batch`."""
        return self._stored(webhook, events, self.settled, replays)

    def _make(self, webhook: Webhook) -> Stored:
        made = self._stored(webhook, self._waiting, self._mark)
        self.settled = self._mark
        self._waiting, self._size = [], 0
        return made

    def _stored(self, webhook: Webhook, events: list[bytes], mark: str, replays: int = 0) -> Stored:
        number = self.number + 1
        batch = Batch(
            id=batches.batch_id(self._id, number),
            number=number,
            created_ms=self._tools.now_ms,
            revision=webhook.revision,
            body=self._tools.documents.body_key(self._id, number, self._owner),
            count=len(events),
            mark=mark,
            replays=replays,
        )
        stored = self._tools.documents.add_batch(self._id, batch, batches.joined(events))
        self.number = number
        return stored

    def _read(self, webhook: Webhook) -> tuple[list[bytes], str]:
        """Return the wanted events of the next portion, at most one batch full, and the mark behind it."""
        limit = min(READ, self._tools.options.batch_events)
        while True:
            arrived = self._tools.store.arrivals(self._mark, limit)
            events = self._selected(webhook, arrived.events)
            size = sum(len(event) + 1 for event in events)
            if size <= self._tools.options.batch_size or limit == 1:
                return events, arrived.mark
            limit = max(1, min(limit, len(arrived.events)) // 2)

    def _selected(self, webhook: Webhook, events: tuple[Fields, ...]) -> list[bytes]:
        found = []
        for event in self._of_tenant(webhook, events):
            if batches.is_selected(event, webhook.events):
                try:
                    found.append(batches.as_json(event))
                except ValueError as error:
                    _log.error("webhook %s: event %s left out: %s", self._id, event.get("event_id"), error)
        return found

    def _of_tenant(self, webhook: Webhook, events: tuple[Fields, ...]) -> tuple[Fields, ...]:
        """Return the events of the webhook's tenant. Fields do not name one, so the store is asked."""
        if not webhook.tenant or not events:
            return events
        ids = tuple(str(event["event_id"]) for event in events)
        query = Query(ids=ids, tenant=webhook.tenant, expired=True, limit=len(ids))
        known = {event["event_id"] for event in self._tools.store.find(query)}
        return tuple(event for event in events if event["event_id"] in known)


def due_again(stored: Stored) -> Stored:
    """Return a batch that is tried at once, with all its tries before it."""
    return Stored(replace(stored.batch, tries=0, due_ms=0), stored.version)
