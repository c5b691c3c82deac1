"""The sign of life of a program that sends, and whether another's is there.

By this program's own clock alone: a document that did not change for so long is that of a program that is
gone, stopped, or cut off; that one finds its own sign of life too old at the same time, and sends no more.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from engagement.registry.port import RegistryError
from engagement.webhooks.documents import SENDER, Documents

_SIGNS: Final = 3  # in the time after which another takes over
_SAFE: Final = 0.75  # of that time: so long a program trusts its last sign, as a request takes time, too


class Lease:
    """Who is alive. owner: this program. takeover: seconds. clock: returns seconds that never go back."""

    def __init__(
        self,
        documents: Documents,
        owner: str,
        takeover: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner
        self._registry = documents.registry
        self._takeover = takeover
        self._clock = clock
        self._signed = float("-inf")
        self._count = 0
        self._seen: dict[str, tuple[int, float]] = {}

    def sign(self) -> None:
        """Give a sign of life. Raises RegistryError."""
        began = self._clock()
        self._count += 1
        self._registry.put(SENDER, self.owner, {"signs": self._count})
        self._signed = began

    def run(self, stop: threading.Event, report: Callable[[str], None]) -> None:
        """Give signs of life until stop is set. report: what to do with an error's text."""
        while not stop.wait(self._takeover / _SIGNS):
            try:
                self.sign()
            except RegistryError as error:
                report(f"no sign of life could be given: {error}")

    def holds(self) -> bool:
        """Return whether the last sign is young enough that nobody else can have taken over."""
        return self._clock() - self._signed < self._takeover * _SAFE

    def is_free(self, owner: str) -> bool:
        """Return whether an owner's webhooks can be taken. Raises RegistryError.

        A program that ended in order has left no document.
        """
        if owner in ("", self.owner):
            return True
        document = self._registry.get(SENDER, owner)
        if document is None:
            return True
        version, since = self._seen.get(owner, (0, 0.0))
        if version != document.version:
            self._seen[owner] = document.version, self._clock()
            return False
        return self._clock() - since >= self._takeover

    def leave(self) -> None:
        """Take the sign of life away, so that others need not wait. Raises RegistryError."""
        self._signed = float("-inf")
        self._registry.delete(SENDER, self.owner)

    def forget(self, owner: str) -> None:
        """Remove the document of a program that is gone. Raises RegistryError."""
        self._seen.pop(owner, None)
        self._registry.delete(SENDER, owner)
