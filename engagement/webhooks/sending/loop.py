"""The program: takes webhooks that nobody sends for, and runs a thread for each (`worker`)."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from engagement.metrics.model import Reading
from engagement.registry.port import RegistryError
from engagement.webhooks.documents import SENDER, STATE, WEBHOOK, Documents, NotOursError
from engagement.webhooks.model import State
from engagement.webhooks.sending.lease import Lease
from engagement.webhooks.sending.metrics import read
from engagement.webhooks.sending.tools import Tools
from engagement.webhooks.sending.worker import Worker

_log = logging.getLogger("engagement.webhooks")

LOOK_SECONDS: Final = 1.0  # from one look for changed webhooks to the next
_TIDY_SECONDS: Final = 60.0  # from one removal of what is no longer needed to the next
_END_SECONDS: Final = 15.0  # for requests under way at the end; a request may take 10


class _Running(NamedTuple):
    worker: Worker
    thread: threading.Thread


class Sending:
    """All webhooks that this program sends for. owner: its name, different each time."""

    def __init__(self, tools: Tools, owner: str) -> None:
        self._tools = tools
        self._documents: Documents = tools.documents
        self._lease = Lease(tools.documents, owner, tools.options.takeover)
        self._stop_workers = threading.Event()
        self._running: dict[str, _Running] = {}
        self._known: set[str] = set()
        self._mark = self._state_mark = ""
        self._tidied = float("-inf")

    def run(
        self,
        stop: threading.Event,
        ready: Callable[[], None] = lambda: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Send until stop is set. ready: called once, when the registry answers. alive: in each turn."""
        signs = threading.Event()
        signer: threading.Thread | None = None
        reported = ""
        while not stop.is_set():
            alive()
            try:
                if signer is None:
                    self._lease.sign()
                    signer = threading.Thread(target=self._lease.run, args=(signs, _log.error), daemon=True)
                    signer.start()
                    ready()
                self.step()
                reported = ""
            except RegistryError as error:
                if str(error) != reported:
                    reported = str(error)
                    _log.error("waiting: %s", error)
            stop.wait(LOOK_SECONDS)
        self._end()
        signs.set()

    def readings(self) -> Iterator[Reading]:
        """Yield the readings of the metrics, from another thread."""
        workers = [running.worker for running in list(self._running.values())]
        return read(self._tools.counts, [worker.health() for worker in workers])

    def step(self) -> None:
        """Follow changes, take what is free, and start threads. Raises RegistryError."""
        self._follow()
        self._tidy()
        for webhook_id in sorted(self._known):
            running = self._running.get(webhook_id)
            if running is not None and running.thread.is_alive():
                continue
            self._running.pop(webhook_id, None)
            if self._take(webhook_id):
                self._start(webhook_id)

    def _follow(self) -> None:
        more = True
        while more:
            found = self._documents.registry.changes(WEBHOOK, self._mark)
            self._mark, more = found.mark, found.more
            for change in found.changes:
                if change.document is None:
                    self._known.discard(change.key)
                else:
                    self._known.add(change.key)
                self._look_again(change.key, None)
        more = True
        while more:
            found = self._documents.registry.changes(STATE, self._state_mark)
            self._state_mark, more = found.mark, found.more
            for change in found.changes:
                self._look_again(change.key, change.document.version if change.document else None)

    def _look_again(self, webhook_id: str, version: int | None) -> None:
        running = self._running.get(webhook_id)
        if running is not None and (version is None or version > running.worker.version):
            running.worker.look_again()

    def _take(self, webhook_id: str) -> bool:
        """Become the owner of a webhook if its owner is gone; return whether it is ours."""
        state, _ = self._documents.state(webhook_id)
        if state.owner == self._lease.owner:
            return True
        if not self._lease.holds() or not self._lease.is_free(state.owner):
            return False
        before = state.owner

        def taken(now: State) -> State:
            if now.owner != before:
                raise NotOursError(webhook_id)
            return replace(now, owner=self._lease.owner)

        try:
            self._documents.change_state(webhook_id, taken)
        except NotOursError:
            return False
        if before:
            _log.warning("webhook %s: taken over, as %s gives no sign of life", webhook_id, before)
        return True

    def _start(self, webhook_id: str) -> None:
        worker = Worker(self._tools, webhook_id, self._lease.owner, self._lease.holds)
        thread = threading.Thread(
            target=worker.run, args=(self._stop_workers,), name=f"webhook {webhook_id[:8]}", daemon=True
        )
        self._running[webhook_id] = _Running(worker, thread)
        thread.start()

    def _end(self) -> None:
        self._stop_workers.set()
        for running in self._running.values():
            running.thread.join(_END_SECONDS)
        try:
            if not any(running.thread.is_alive() for running in self._running.values()):
                self._lease.leave()
        except RegistryError as error:
            _log.error("not left in order: %s", error)

    def _tidy(self) -> None:
        """Remove, now and then, the signs of life of programs that are gone."""
        if time.monotonic() - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        owners = {self._lease.owner} | {
            self._documents.state(webhook_id)[0].owner for webhook_id in self._known
        }
        for document in self._documents.registry.find(SENDER):
            if document.key not in owners and self._lease.is_free(document.key):
                self._lease.forget(document.key)
