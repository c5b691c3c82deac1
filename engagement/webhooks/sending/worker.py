"""Sends for one webhook, in a thread of its own, so that a slow or dead endpoint holds up no other.

Events come in the order of their arrival and go into batches in that order. A batch is in the registry before
it is sent: whatever is killed when, the next program goes on from there, and sends again what was not
answered, with the same id and octets. Only this thread touches what it holds.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engagement.registry.port import ConflictError, RegistryError
from engagement.stores.port import StoreError
from engagement.webhooks.documents import NotOursError, Stored
from engagement.webhooks.model import DELIVERED, FAILED, PENDING, Batch, State, Webhook
from engagement.webhooks.schedule import (
    TRIES,
    Answer,
    Timing,
    after_answer,
    may_fill,
    next_batch,
)
from engagement.webhooks.sending.delivery import NoTokenError
from engagement.webhooks.sending.filling import Filler, due_again
from engagement.webhooks.sending.later import Later, reported_on
from engagement.webhooks.sending.metrics import Health
from engagement.webhooks.sending.tools import Tools
from engagement.webhooks.sending.upkeep import correct, is_ripe, outdated

_log = logging.getLogger("engagement.webhooks")

IDLE_SECONDS: Final = 1.0  # from one look into the store to the next, with nothing to do
_TROUBLE_SECONDS: Final = 5.0  # to wait when registry or store fails
_FAULT_SECONDS: Final = 60.0  # to wait after a fault of ours, which waiting will hardly mend
_NOTE_SECONDS: Final = 60.0  # after which a mark that passed unwanted events, or a success, is written down
_DELETED_MS: Final = 8 * 3600 * 1000  # as long as retries take


class Worker:
    """The work for one webhook. owner: this program. holds: whether its lease is good."""

    def __init__(self, tools: Tools, webhook_id: str, owner: str, holds: Callable[[], bool]) -> None:
        self._tools = tools
        self._id = webhook_id
        self._owner = owner
        self._holds = holds
        self._stale = threading.Event()
        self._stale.set()
        self._webhook: Webhook | None = None
        self._state = State()
        self.version = 0  # of the state's document, as this thread knows it
        self._pending: dict[int, Stored] = {}
        self._filler = Filler(tools, webhook_id, owner)
        self._later = Later(tools, self._filler)
        self._noted = self._swept = float("-inf")
        self._succeeded_ms = 0

    def look_again(self) -> None:
        """Let the thread read webhook, state and batches again, as somebody changed them."""
        self._stale.set()

    def health(self) -> tuple[Health, int]:
        """Return how the webhook is, and how many of its batches wait; for the metrics' thread."""
        state = self._state
        return "paused" if state.paused else "failing" if state.failures else "healthy", len(self._pending)

    def run(self, stop: threading.Event) -> None:
        """Send until stop is set, or the webhook is another's or gone."""
        reported = ""
        while not stop.is_set():
            try:
                busy = self.turn()
                reported = ""
            except NotOursError:
                _log.info("webhook %s: another program sends for it now", self._id)
                return
            except (RegistryError, StoreError) as error:
                self._stale.set()
                if str(error) != reported:
                    reported = str(error)
                    _log.error("webhook %s: waiting: %s", self._id, error)
                stop.wait(_TROUBLE_SECONDS)
                continue
            except Exception:  # noqa: BLE001 - a fault of ours here must not stop the other webhooks
                self._stale.set()
                _log.exception("webhook %s: it goes on in %d s", self._id, _FAULT_SECONDS)
                stop.wait(_FAULT_SECONDS)
                continue
            if self._webhook is None:
                return
            if not busy:
                stop.wait(IDLE_SECONDS)
        self._release()

    def turn(self) -> bool:
        """Do what there is to do now; return whether there may be more at once.

        Raises NotOursError, RegistryError, StoreError.
        """
        if self._stale.is_set():
            self._stale.clear()
            self._load()
        webhook = self._webhook
        if webhook is None or not self._holds():
            return False
        self._keep_up(webhook)
        if webhook.deleted_ms:
            return self._see_out(webhook)
        if self._state.paused or not webhook.active:
            return False
        sent = self._send_next(webhook)
        more = self._fill(webhook)
        more = self._report_later(webhook) or more
        self._note()
        return sent or more

    # --- what is known ---

    def _load(self) -> None:
        documents, before = self._tools.documents, self._state
        self._state, self.version = documents.state(self._id)
        if self._state.owner != self._owner:
            raise NotOursError(self._id)
        self._webhook = documents.webhook(self._id)
        again = bool(self._pending) and before.restarts != self._state.restarts
        self._pending = {}
        number, mark = self._state.number, self._state.mark
        for stored in documents.batches(self._id):
            batch = stored.batch
            if batch.number > number:
                number, mark = batch.number, batch.mark
            if batch.state == PENDING:
                self._pending[batch.number] = due_again(stored) if again else stored
        skipped = self._state.mark != before.mark  # by a person; what this thread changes it knows
        if number != self._filler.number or skipped or not self._filler.settled:
            documents.remove_bodies(self._id, number + 1)  # made by a program that was killed just then
            self._filler.begin(number, mark)

    def _change(self, change: Callable[[State], State]) -> None:
        """Change the state as long as it is ours. Raises NotOursError."""

        def ours(state: State) -> State:
            if state.owner != self._owner:
                raise NotOursError(self._id)
            return change(state)

        before = self._state.restarts
        self._state, self.version = self._tools.documents.change_state(self._id, ours)
        if self._state.restarts != before:
            self._stale.set()

    def _note(self, *, now: bool = False) -> None:
        """Write down the mark and the last success, which the documents of batches do not have for ever."""
        moment = time.monotonic()
        if not now and moment - self._noted < _NOTE_SECONDS:
            return
        self._noted = moment
        number, mark, at_ms = self._filler.number, self._filler.settled, self._succeeded_ms
        known = self._state
        if (number, mark) != (known.number, known.mark) or at_ms > known.last_successful_ms:
            self._change(
                lambda state: replace(
                    state,
                    number=number,
                    mark=mark,
                    last_successful_ms=max(at_ms, state.last_successful_ms),
                )
            )

    def _release(self) -> None:
        try:
            self._note(now=True)
            self._change(lambda state: replace(state, owner=""))
        except (NotOursError, RegistryError) as error:
            _log.info("webhook %s: not released: %s", self._id, error)

    # --- sending ---

    def _send_next(self, webhook: Webhook) -> bool:
        known = [stored.batch for stored in self._pending.values()]
        batch = next_batch(known, self._state, webhook.revision, self._tools.now_ms)
        if batch is None:
            return False
        body = self._tools.documents.body(batch)
        if body is None:
            _log.error("webhook %s: batch %s: its events are gone from the registry", self._id, batch.id)
            self._finish(replace(batch, state=FAILED, failure_code="EGONE", ended_ms=self._tools.now_ms))
            return True
        if body == b"[]":  # all its events were erased
            self._finish(replace(batch, state=DELIVERED, ended_ms=self._tools.now_ms))
            return True
        endpoint = webhook.endpoint if batch.is_replay else webhook.endpoint_of(batch.revision)
        try:
            answer = self._tools.sender.send(endpoint, batch.id, body)
        except NoTokenError as error:
            answer = replace(error.answer, status=0, failure="ENOTOKEN", reason=f"token server: {error}")
        self._learn(batch, answer, counts=not batch.is_replay and batch.revision == webhook.revision)
        return True

    def _learn(self, batch: Batch, answer: Answer, *, counts: bool) -> None:
        before, now_ms = self._state, self._tools.now_ms
        timing = Timing(self._tools.options.retry_after, self._tools.options.pause_after)

        def after(state: State) -> State:
            return after_answer(batch, state, answer, now_ms, timing, counts=counts)[1]

        self._finish(after_answer(batch, before, answer, now_ms, timing, counts=counts)[0])
        if counts and answer.is_success:
            self._succeeded_ms = now_ms
        if answer.is_success:
            self._tools.counts.add("delivered", batch.count)
        else:
            self._tools.counts.add("failed" if batch.number in self._pending else "given_up")
        if counts and (before.failures or not answer.is_success):
            self._change(after)
        self._report(batch, answer, before)
        if answer.is_success and counts and before.failures:  # it answers again: the others at once
            for number, stored in self._pending.items():
                if not stored.batch.is_replay:
                    at_once = replace(stored.batch, due_ms=0)
                    self._pending[number] = Stored(at_once, stored.version)

    def _finish(self, batch: Batch) -> None:
        """Store what became of a batch, and forget it if that is final."""
        try:
            stored = self._tools.documents.put_batch(self._id, self._pending[batch.number], batch)
        except ConflictError:
            self._stale.set()  # a person asked for it again meanwhile, so it is sent again
            return
        if batch.state == PENDING:
            self._pending[batch.number] = stored
            return
        del self._pending[batch.number]
        if batch.state == FAILED:
            _log.error(
                "webhook %s: batch %s of %d event(s) was given up after %d tries. It is kept; "
                "`smtpapi webhook replay` sends it again.",
                *(self._id, batch.id, batch.count, TRIES),
            )

    def _report(self, batch: Batch, answer: Answer, before: State) -> None:
        if self._state.paused and not before.paused:
            _log.error(
                "webhook %s: paused: %s. Nothing is lost; `smtpapi webhook resume` has it go on.",
                *(self._id, self._state.paused),
            )
        elif not answer.is_success and before.failures == 0:
            _log.warning("webhook %s: batch %s: %s; it is tried again", self._id, batch.id, answer)
        elif answer.is_success and before.failures and not self._state.failures:
            _log.info("webhook %s: it answers again after %d failures", self._id, before.failures)

    def _fill(self, webhook: Webhook) -> bool:
        if not may_fill((stored.batch for stored in self._pending.values()), self._state):
            return False
        made, more = self._filler.step(webhook)
        self._pending.update({stored.batch.number: stored for stored in made})
        return more

    def _report_later(self, webhook: Webhook) -> bool:
        """Go on with corrections of later runs, and with times sent again; return whether it made batches."""
        if not may_fill((stored.batch for stored in self._pending.values()), self._state):
            return False
        before = self._state
        waiting = sum(stored.batch.is_replay for stored in self._pending.values())
        made, after = self._later.step(webhook, before, waiting)
        self._pending.update({stored.batch.number: stored for stored in made})
        if after != before:
            self._change(lambda state: reported_on(state, after))
        return after != before

    # --- now and then ---

    def _keep_up(self, webhook: Webhook) -> None:
        """Send corrections, and remove what is kept no longer."""
        now = time.monotonic()
        if now - self._swept < self._tools.sweep_seconds:
            return
        self._swept = now
        self._note(now=True)  # a number must not come twice, once the last batches are removed
        for stored in list(self._tools.documents.batches(self._id)):
            if outdated(self._tools, stored):
                self._tools.documents.remove_batch(self._id, stored.batch.number)
                self._pending.pop(stored.batch.number, None)
            elif webhook.corrections and not webhook.deleted_ms:
                self._correct(webhook, stored)

    def _correct(self, webhook: Webhook, stored: Stored) -> None:
        if is_ripe(self._tools, stored):
            made = correct(self._tools, webhook, self._filler, stored)
            if made is not None:
                self._pending[made.batch.number] = made
            self._tools.documents.put_batch(self._id, stored, replace(stored.batch, checked=True))

    def _see_out(self, webhook: Webhook) -> bool:
        """Send what is in the queue of a webhook that was deleted (contract.md 8.2), then remove it."""
        over = self._tools.now_ms - webhook.deleted_ms > _DELETED_MS
        if not self._pending or over or self._state.paused:
            self._tools.documents.remove_webhook(self._id)
            self._webhook = None
            return False
        return self._send_next(webhook)
