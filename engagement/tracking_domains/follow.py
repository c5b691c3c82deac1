"""The copy of entered domains is kept up to date: a thread beside the shipper.

Invariants: a change is in the file within 5 seconds while the registry can be reached; a failure is reported
once, and tried again.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.registry.port import Registry, RegistryError
from engagement.tracking_domains.copy_file import write
from engagement.tracking_domains.kept import every
from engagement.tracking_domains.model import encoded

_log = logging.getLogger("engagement.tracking_domains")

LOOK_SECONDS: Final = 3.0  # they are few and change seldom; each look reads all of them


class CopyWriter:
    """Writes the verified domains of a registry to a file. registry: opens it."""

    def __init__(self, registry: Callable[[], Registry], path: Path) -> None:
        self._open = registry
        self._registry: Registry | None = None
        self._path = path
        self._reported = ""

    def step(self) -> bool:
        """Write the file if it would be another one; return whether it was. Raises RegistryError, OSError."""
        if self._registry is None:
            self._registry = self._open()
        copy = encoded(every(self._registry))
        try:
            if self._path.read_bytes() == copy:
                return False
        except FileNotFoundError:
            pass
        write(self._path, copy)
        return True

    def run(self, stop: threading.Event) -> None:
        """Keep the file up to date until stop is set. Raises nothing."""
        while not stop.is_set():
            self.attempt()
            stop.wait(LOOK_SECONDS)
        if self._registry is not None:
            self._registry.close()

    def attempt(self) -> bool:
        """Do one step; return whether it succeeded. A failure is logged once."""
        try:
            if self.step():
                _log.info("tracking domains: written to %s", self._path)
        except (RegistryError, OSError) as error:
            self._report(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the thread
            self._report(type(error).__name__)
            return False
        self._reported = ""
        return True

    def _report(self, why: str) -> None:
        if why != self._reported:
            self._reported = why
            _log.error("tracking domains not copied to %s: %s", self._path, why)
