"""Keeps a file in step with a list in the registry: a step again and again, each failure reported once."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from engagement.registry.port import Registry, RegistryError


class ListCopy(ABC):
    """The copy of one list. registry: opens it. path: the copy's file. name: of the list, in the log.

    every: seconds from one look at the registry to the next.
    """

    def __init__(
        self, registry: Callable[[], Registry], path: Path, name: str, every: float, log: logging.Logger
    ) -> None:
        self._open = registry
        self._opened: Registry | None = None
        self._path = path
        self._name = name
        self._every = every
        self._log = log
        self._reported = ""

    @abstractmethod
    def step(self) -> bool:
        """Write the file if it would be another one; return whether it was. Raises RegistryError, OSError."""

    def written(self) -> str:
        """Return what the log says of a file that was written."""
        return f"written to {self._path}"

    def registry(self) -> Registry:
        """Return the registry, opened where it is not yet. Raises RegistryError."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def run(self, stop: threading.Event) -> None:
        """Keep the file up to date until stop is set. Raises nothing."""
        while not stop.is_set():
            self.attempt()
            stop.wait(self._every)
        if self._opened is not None:
            self._opened.close()

    def attempt(self) -> bool:
        """Do one step; return whether it succeeded. A failure is logged once."""
        try:
            if self.step():
                self._log.info("%s: %s", self._name, self.written())
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
            self._log.error("%s not copied to %s: %s", self._name, self._path, why)
