"""What a webhook reports besides what comes in: of hits that a later run classified anew, and of times past.

Both read the store in portions, a batch or none a step, and note in the webhook's state how far they are:
what a killed program did last is done once more, with the same event ids.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from engagement.events.field_values import timestamp
from engagement.events.fields import Fields
from engagement.events.ids import derived
from engagement.stores.port import LabelledHit, Query, cursor_of
from engagement.webhooks import batches, reclassified
from engagement.webhooks.corrections import correction
from engagement.webhooks.documents import Stored
from engagement.webhooks.model import State, Webhook
from engagement.webhooks.reclassified import Run
from engagement.webhooks.sending.filling import Filler
from engagement.webhooks.sending.tools import Tools

PORTION: Final = 500  # hits, or events, of one step
WAITING: Final = 5  # batches of a time past that wait at most, so that a slow target fills no registry
_BEFORE_MS: Final = 600_000  # events that happened before a webhook was made, and came in after


class Later:
    """The reading for one webhook; made anew with each program that sends for it."""

    def __init__(self, tools: Tools, filler: Filler) -> None:
        self._tools = tools
        self._filler = filler
        self._looked = float("-inf")  # when there was no run to report

    def step(self, webhook: Webhook, state: State, waiting: int) -> tuple[list[Stored], State]:
        """Do one step of each; return the batches that were made, and the state then.

        waiting: replays that are not sent yet. Raises NotOursError, RegistryError, StoreError.
        """
        made, after = list[Stored](), state
        if webhook.corrections and time.monotonic() - self._looked >= self._tools.sweep_seconds / 10:
            made, after = self._corrections(webhook, state)
            if after == state:
                self._looked = time.monotonic()
        more, after = self._past(webhook, after, waiting)
        return [*made, *more], after

    def _corrections(self, webhook: Webhook, state: State) -> tuple[list[Stored], State]:
        """Do one step of the runs that are over."""
        run = self._next_run(state)
        if run is None:
            return [], state
        begin = max(run.from_ms, webhook.created_ms - _BEFORE_MS)
        hits = self._tools.store.hits(begin, run.to_ms, state.run_after, PORTION) if begin < run.to_ms else ()
        made = self._batches(webhook, self._corrected(webhook, run, hits))
        if len(hits) < PORTION:
            return made, replace(state, run=run.key, run_after="")
        return made, replace(state, run_after=f"{timestamp(hits[-1].hit.at_ms)}/{hits[-1].hit.id}")

    def _past(self, webhook: Webhook, state: State, waiting: int) -> tuple[list[Stored], State]:
        """Do one step of a time that is sent again from the store."""
        if not state.again_to_ms or waiting >= WAITING:
            return [], state
        query = Query(
            from_ms=state.again_from_ms,
            to_ms=state.again_to_ms,
            types=webhook.events,
            tenant=webhook.tenant,
            expired=True,
            limit=min(PORTION, self._tools.options.batch_events),
            cursor=state.again_after,
        )
        events = list(self._tools.store.find(query))
        made = self._batches(webhook, iter(events), replays=1)
        if len(events) < query.limit:
            return made, replace(state, again_from_ms=0, again_to_ms=0, again_after="")
        return made, replace(state, again_after=cursor_of(events[-1]))

    def _next_run(self, state: State) -> Run | None:
        """Return the first run that was not reported, if it is over."""
        run = next(reclassified.after(self._tools.documents.registry, state.run), None)
        return run if run and run.is_over(self._tools.now_ms) else None

    def _corrected(self, webhook: Webhook, run: Run, hits: tuple[LabelledHit, ...]) -> Iterator[Fields]:
        for each in hits:
            before = next(
                (
                    old.label
                    for old in self._tools.store.past_labels(each.hit.id)
                    if old.until_ms == run.at_ms
                ),
                None,
            )
            if before is None or (before.client, before.certain) == (each.label.client, each.label.certain):
                continue
            for event in self._found((each.hit.id, derived(each.hit.id, 1)), webhook):
                if batches.is_selected(event, webhook.events):
                    yield correction(event, run.key)

    def _found(self, ids: tuple[str, ...], webhook: Webhook) -> list[Fields]:
        query = Query(ids=ids, tenant=webhook.tenant, expired=True, limit=len(ids))
        return list(self._tools.store.find(query))

    def _batches(self, webhook: Webhook, events: Iterator[Fields], replays: int = 0) -> list[Stored]:
        """Make batches of events, none larger than they may be."""
        made: list[Stored] = []
        part: list[bytes] = []
        size = 0
        for event in map(batches.as_json, events):
            if part and size + len(event) + 1 > self._tools.options.batch_size:
                made.append(self._filler.apart(webhook, part, replays))
                part, size = [], 0
            part.append(event)
            size += len(event) + 1
        if part:
            made.append(self._filler.apart(webhook, part, replays))
        return made


def reported_on(state: State, after: State) -> State:
    """Return a state that is as far as another one."""
    return replace(
        state,
        run=after.run,
        run_after=after.run_after,
        again_from_ms=after.again_from_ms,
        again_to_ms=after.again_to_ms,
        again_after=after.again_after,
    )
