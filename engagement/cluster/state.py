"""What a host remembers of the entries that its files had last: stamps and digests, no values.

Without it a change made while the cluster's program did not run could not be distinguished from a change of
others. A file that is lost costs that alone: the host then joins anew.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from engagement.cluster.entries import Entries, Entry, Stamp

NAME: Final = "state.json"
VERSION: Final = 1
_UNKNOWN: Final = "\0"

# Of each entry its stamp, and the digest of its value; None where it was deleted.
Remembered = Mapping[str, tuple[Stamp, str | None]]


class StateError(ValueError):
    """The file cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered, by sort. host: whose it is."""

    host: str
    sorts: Mapping[str, Remembered]


def digest(value: str) -> str:
    """Return what distinguishes values and shows none."""
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def remembered(file: Entries) -> Remembered:
    """Return what is to be remembered of entries."""
    return {
        name: (entry.stamp, None if entry.value is None else digest(entry.value))
        for name, entry in file.items()
    }


def recalled(known: Remembered, local: Mapping[str, str]) -> dict[str, Entry]:
    """Return entries as the file had them. local: the file now, for the values.

    For a value that the file has otherwise now, and which is not known any more, `_UNKNOWN` stands.
    """
    found: dict[str, Entry] = {}
    for name, (stamp, value) in known.items():
        now = local.get(name)
        same = value is not None and now is not None and digest(now) == value
        found[name] = Entry(stamp, None if value is None else now if same else _UNKNOWN)
    return found


def load(folder: Path) -> State | None:
    """Return the state in a folder, None without one. Raises StateError, OSError."""
    path = folder / NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StateError(f"{path}: {error}; remove it, and this host joins anew") from error
    try:
        if (version := content["version"]) != VERSION:
            raise StateError(
                f"{path}: its version is {version!r:.20}, this program knows {VERSION}. "
                "Use the newer program."
            )
        sorts = {
            str(sort): {
                str(name): (Stamp(int(at_ms), str(host)), None if value is None else str(value))
                for name, (at_ms, host, value) in entries.items()
            }
            for sort, entries in content["sorts"].items()
        }
        return State(str(content["host"]), sorts)
    except (KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path}: no state of a cluster; remove it, and this host joins anew") from error


def save(folder: Path, state: State) -> None:
    """Write the state, as a whole. Raises OSError."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    sorts = {
        sort: {name: [stamp.at_ms, stamp.host, value] for name, (stamp, value) in entries.items()}
        for sort, entries in state.sorts.items()
    }
    text = json.dumps({"version": VERSION, "host": state.host, "sorts": sorts}, separators=(",", ":"))
    temporary = folder / f"{NAME}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, folder / NAME)
