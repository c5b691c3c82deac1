"""Webhooks, their states and their batches in the registry, and who may send for which.

Each program that sends has a document of its own that it changes all the time; a webhook's state names its
owner. Another takes a webhook when it has seen its owner's document unchanged for `webhooks.takeover`, by its
own clock: clocks of hosts need not agree. Each change of a state or a batch names the version it was made
from, so that of two programs that take one webhook, or make one batch, only one succeeds.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from engagement.registry.port import ConflictError, Data, Document, Registry
from engagement.webhooks.batches import packed, unpacked, without_recipient
from engagement.webhooks.model import (
    Batch,
    State,
    Webhook,
    batch_from,
    state_from,
    to_data,
    webhook_from,
)

WEBHOOK: Final = "webhook"
STATE: Final = "webhook_state"
BATCH: Final = "webhook_batch"
BODY: Final = "webhook_body"
SENDER: Final = "webhook_sender"

_PAGE: Final = 500  # documents of one read
_TRIES: Final = 20  # of one change that others overtake; a program and a person at most


class NotOursError(Exception):
    """Another program sends for this webhook now."""


class Stored(NamedTuple):
    """A batch and the version of its document."""

    batch: Batch
    version: int


class Documents:
    """Webhooks' documents. Every method raises RegistryError where the registry fails."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def webhooks(self) -> Iterator[Webhook]:
        """Yield all webhooks, those too that were deleted and still have batches in the queue."""
        for document in self._all(WEBHOOK, ""):
            yield webhook_from(document.data)

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return a webhook, None for none."""
        document = self.registry.get(WEBHOOK, webhook_id)
        return webhook_from(document.data) if document else None

    def change_webhook(self, webhook_id: str, change: Callable[[Webhook], Webhook]) -> Webhook | None:
        """Change a webhook; return it as it is then, None if there is none."""

        def changed(data: Data) -> Data:
            return to_data(change(webhook_from(data)))

        document = self._change(WEBHOOK, webhook_id, changed, missing=None)
        return webhook_from(document.data) if document else None

    def put_webhook(self, webhook: Webhook, state: State) -> None:
        """Store a new webhook; its state first, so that nothing is sent from a wrong mark."""
        self.registry.put(STATE, webhook.id, to_data(state))
        self.registry.put(WEBHOOK, webhook.id, to_data(webhook), expected=0)

    def state(self, webhook_id: str) -> tuple[State, int]:
        """Return a webhook's state and the version of its document."""
        document = self.registry.get(STATE, webhook_id)
        return (state_from(document.data), document.version) if document else (State(), 0)

    def change_state(self, webhook_id: str, change: Callable[[State], State]) -> tuple[State, int]:
        """Change a state; return it with its version. change: may raise NotOursError, which leaves it."""
        document = self._change(
            STATE, webhook_id, lambda data: to_data(change(state_from(data))), missing=to_data(State())
        )
        assert document is not None
        return state_from(document.data), document.version

    def batches(self, webhook_id: str, after: int = 0) -> Iterator[Stored]:
        """Yield the batches of a webhook with greater numbers, by number."""
        for document in self._all(BATCH, f"{webhook_id}/", _key(webhook_id, after)):
            yield Stored(batch_from(document.data), document.version)

    def add_batch(self, webhook_id: str, batch: Batch, body: bytes) -> Stored:
        """Store a new batch. The batch itself comes last: without it its octets are nobody's.

        Raises NotOursError if there is one of its number already.
        """
        self.registry.put(BODY, batch.body, packed(body))
        try:
            made = self.registry.put(BATCH, _key(webhook_id, batch.number), to_data(batch), expected=0)
        except ConflictError as error:
            self.registry.delete(BODY, batch.body)
            raise NotOursError(str(error)) from error
        return Stored(batch, made.version)

    def body_key(self, webhook_id: str, number: int, owner: str) -> str:
        """Return the key of the octets of a batch that this owner makes."""
        return f"{_key(webhook_id, number)}/{owner}"

    def body(self, batch: Batch) -> bytes | None:
        """Return the octets of a batch; None if they are gone."""
        document = self.registry.get(BODY, batch.body)
        return unpacked(document.data) if document else None

    def put_batch(self, webhook_id: str, stored: Stored, batch: Batch) -> Stored:
        """Store what became of a batch. Raises ConflictError if it was changed meanwhile."""
        key = _key(webhook_id, batch.number)
        made = self.registry.put(BATCH, key, to_data(batch), expected=stored.version)
        return Stored(batch, made.version)

    def change_batch(self, webhook_id: str, number: int, change: Callable[[Batch], Batch]) -> Batch | None:
        """Change a batch, whatever its sender does just then; return it, None if there is none any more."""

        def changed(data: Data) -> Data:
            return to_data(change(batch_from(data)))

        document = self._change(BATCH, _key(webhook_id, number), changed, missing=None)
        return batch_from(document.data) if document else None

    def remove_batch(self, webhook_id: str, number: int) -> None:
        """Remove a batch with its octets, and those that a program made for it and did not come to use."""
        self.registry.delete(BATCH, _key(webhook_id, number))
        self.remove_bodies(webhook_id, number)

    def remove_bodies(self, webhook_id: str, number: int) -> None:
        """Remove the octets of a batch of this number, whoever made them."""
        for document in self.registry.find(BODY, f"{_key(webhook_id, number)}/", limit=10):
            self.registry.delete(BODY, document.key)

    def remove_webhook(self, webhook_id: str) -> None:
        """Remove all that there is of a webhook."""
        for stored in self.batches(webhook_id):
            self.remove_batch(webhook_id, stored.batch.number)
        self.registry.delete(WEBHOOK, webhook_id)
        self.registry.delete(STATE, webhook_id)

    def erase(self, address: str, tenant: str = "") -> int:
        """Take the events of a recipient out of all batches that are kept; return of how many.

        tenant: with one, out of batches of that tenant's webhooks, and of those for all tenants. Batches in
        the queue get other octets then under the same id; who has taken them before drops them.
        """
        changed = 0
        for webhook in self.webhooks():
            if tenant and webhook.tenant not in ("", tenant):
                continue
            for stored in self.batches(webhook.id):
                body = self.body(stored.batch)
                left = without_recipient(body, address) if body else body
                if left is not None and left != body:
                    self.registry.put(BODY, stored.batch.body, packed(left))
                    changed += 1
        return changed

    def _all(self, kind: str, prefix: str, after: str = "") -> Iterator[Document]:
        while True:
            page = self.registry.find(kind, prefix, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].key

    def _change(
        self, kind: str, key: str, change: Callable[[Data], Data], *, missing: Data | None
    ) -> Document | None:
        for _ in range(_TRIES):
            document = self.registry.get(kind, key)
            if document is None and missing is None:
                return None
            data = document.data if document else missing
            assert data is not None
            try:
                return self.registry.put(
                    kind, key, change(data), expected=document.version if document else 0
                )
            except ConflictError:
                continue
        raise ConflictError(f"{kind} {key}: others change it all the time; try again")


def _key(webhook_id: str, number: int) -> str:
    return f"{webhook_id}/{number:012d}"
