"""The copy of entered domains is kept up to date: a thread beside the shipper.

Invariants: a change is in the file within 5 seconds while the registry can be reached; a failure is reported
once, and tried again.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.registry.list_copy import ListCopy
from engagement.registry.port import Registry
from engagement.tracking_domains.copy_file import write
from engagement.tracking_domains.documents import every
from engagement.tracking_domains.model import encoded

_log = logging.getLogger("engagement.tracking_domains")

LOOK_SECONDS: Final = 3.0  # they are few and change seldom; each look reads all of them


class CopyWriter(ListCopy):
    """Writes the verified domains of a registry to a file. registry: opens it."""

    def __init__(self, registry: Callable[[], Registry], path: Path) -> None:
        super().__init__(registry, path, "tracking domains", LOOK_SECONDS, _log)

    def step(self) -> bool:
        """Write the file if it would be another one; return whether it was. Raises RegistryError, OSError."""
        copy = encoded(every(self.registry()))
        try:
            if self._path.read_bytes() == copy:
                return False
        except FileNotFoundError:
            pass
        write(self._path, copy)
        return True
