"""The shipper's status, in a small file beside the segments. Losing the file costs nothing."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

FILE: Final = "shipper.json"


@dataclass(slots=True)
class ShipperStatus:
    """What a shipper has done so far.

    began, at, last_error_at: Unix seconds. carried: records since it began.
    rate: records a second, over about the last minute. set_aside: records and rests put into `corrupt/`.
    outdated: records removed unshipped, older than events are kept. trouble: a segment that cannot be read.
    failing: the last attempt failed. busy: the last attempt shipped records.
    """

    pid: int = 0
    began: float = 0.0
    at: float = 0.0
    carried: int = 0
    rate: float = 0.0
    set_aside: int = 0
    outdated: int = 0
    trouble: str = ""
    last_error: str = ""
    last_error_at: float = 0.0
    failing: bool = False
    busy: bool = False

    @classmethod
    def begun(cls, now: float) -> "ShipperStatus":
        """Return the status of a shipper that starts in this process."""
        return cls(pid=os.getpid(), began=now, at=now)

    def shipped(self, records: int, set_aside: int, trouble: str, now: float) -> None:
        """Record a step that succeeded. records: shipped by it. now: Unix seconds."""
        elapsed = max(now - self.at, 0.001)
        weight = min(1.0, elapsed / 60)
        self.rate += weight * (records / elapsed - self.rate)
        self.at = now
        self.carried += records
        self.set_aside = set_aside
        self.trouble = trouble
        self.failing = False
        self.busy = records > 0

    def failed(self, error: str, now: float) -> None:
        """Record a step that failed. now: Unix seconds."""
        self.at = self.last_error_at = now
        self.last_error = error
        self.failing = True
        self.busy = False


def save(directory: Path, status: ShipperStatus) -> None:
    """Write the status to the spool's directory. Raises nothing: without it shipping goes on."""
    temporary = directory / f"{FILE}.new"
    try:
        temporary.write_text(json.dumps(asdict(status)), "utf-8")
        temporary.replace(directory / FILE)
    except OSError:
        return


def load(directory: Path) -> ShipperStatus | None:
    """Return the status of the last shipper on the directory, None if there is none that can be read."""
    try:
        values = json.loads((directory / FILE).read_bytes())
        known = {field.name for field in fields(ShipperStatus)}
        return ShipperStatus(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, AttributeError, TypeError):
        return None
