"""Replace files so that it can be undone: what was there is kept in a file of our own first.

Invariants: what was there is on the disk before anything is changed; each file is the old or the new one, as
a whole, with its mode and owner. `undone` gives back the very octets where nobody has edited the file since;
else it takes out what was put in, and refuses where that is no longer there as it was.
"""

import base64
import difflib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

VERSION = 1  # of the record


class CannotUndo(Exception):
    """A file was edited where we had changed it. The text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """What is known of a changed file.

    before: its octets, None where there was no file. after: what we wrote.
    """

    before: bytes | None
    after: bytes


def load(record: Path) -> dict[Path, FileChange]:
    """Return what a record keeps, {} without one. Raises ValueError for a file that is none, OSError."""
    try:
        found = json.loads(record.read_bytes())
    except FileNotFoundError:
        return {}
    try:
        if found["version"] != VERSION:
            raise ValueError(
                f"{record}: its version is {found['version']!r:.20}, this program knows {VERSION}. "
                "Use the newer program."
            )
        return {
            Path(path): FileChange(_octets(each["before"]), _octets(each["after"]) or b"")
            for path, each in found["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{record} is no record of `smtpapi setup`") from error


def apply(record: Path, files: Mapping[Path, bytes]) -> Callable[[], None]:
    """Write these files, and keep in the record what was there; return what takes just this back.

    A file that a record names already keeps its first `before`, with what was edited since. Raises OSError,
    and ValueError as `load` does; then nothing is changed.
    """
    changes = load(record)
    now = {path: _read(path) for path in (record, *files)}
    for path, after in files.items():
        changes[path] = FileChange(_before(path, changes.get(path), now[path]), after)

    def take_back() -> None:
        for path, content in now.items():
            _put(path, content)

    record.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    try:
        _save(record, changes)
        for path, after in files.items():
            replace(path, after)
    except OSError:
        take_back()
        raise
    return take_back


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif _read(path) != content:
        replace(path, content)


def _before(path: Path, known: FileChange | None, now: bytes | None) -> bytes | None:
    if known is None or now is None or now == known.before:
        return now
    if now == known.after:
        return known.before
    try:
        return reverted(path, known, now)
    except CannotUndo:
        return now


def undone(record: Path) -> dict[Path, bytes | None]:
    """Return each file of the record as it is without our changes; None for one that was not there.

    Only those that differ from what is there now. Raises CannotUndo, OSError, ValueError.
    """
    found: dict[Path, bytes | None] = {}
    for path, change in load(record).items():
        now = _read(path)
        if now is None or now == change.before:
            continue
        found[path] = change.before if now == change.after else reverted(path, change, now)
    return found


def forget(record: Path, files: Mapping[Path, bytes | None]) -> None:
    """Write back what `undone` returned, and remove the record. Raises OSError."""
    for path, before in reversed(list(files.items())):  # what was put in last refers to what was first
        _put(path, before)
    record.unlink(missing_ok=True)


def reverted(path: Path, change: FileChange, now: bytes) -> bytes:
    """Return a file that was edited since, without what we had changed. Raises CannotUndo."""
    before = (change.before or b"").splitlines(keepends=True)
    after = change.after.splitlines(keepends=True)
    lines = now.splitlines(keepends=True)
    places = {
        a + n: b + n
        for a, b, size in difflib.SequenceMatcher(None, after, lines, False).get_matching_blocks()
        for n in range(size)
    }
    for kind, b1, b2, a1, a2 in reversed(difflib.SequenceMatcher(None, before, after, False).get_opcodes()):
        if kind == "equal":
            continue
        start, stop = _where(places, a1, a2, len(after), len(lines))
        if start < 0:
            shown = b"".join(after[a1:a2]).decode("utf-8", "replace").strip()
            raise CannotUndo(
                f"{path} was edited where smtpapi had changed it, so nothing was undone. Take these lines "
                f"out by hand:\n{shown}"
            )
        lines[start:stop] = before[b1:b2]
    return b"".join(lines)


def _where(places: Mapping[int, int], first: int, end: int, size: int, now: int) -> tuple[int, int]:
    """Return where lines from first to end are now, unchanged and together; (-1, -1) where they are not.

    Where there are none, the place between their neighbours. size, now: lines in all, before and now.
    """
    if first == end:
        above = places.get(first - 1, -1) if first else -1
        start = above + 1 if above >= 0 or not first else places.get(first, now if first == size else -1)
        return start, start
    start = places.get(first, -1)
    together = all(places.get(first + n) == start + n for n in range(end - first))
    return (start, start + end - first) if start >= 0 and together else (-1, -1)


def difference(path: Path, before: bytes | None, after: bytes | None) -> str:
    """Return a change as a unified diff, "" for none."""
    old, new = (
        (side or b"").decode("utf-8", "replace").splitlines(keepends=True) for side in (before, after)
    )
    was, will = (str(path) if side is not None else "/dev/null" for side in (before, after))
    lines = difflib.unified_diff(old, new, was, will)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole, with its mode and owner; a link stays one. Raises OSError."""
    target = Path(os.path.realpath(path))
    descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            mode = 0o644
            with suppress(FileNotFoundError):
                old = target.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
                mode = old.st_mode & 0o7777
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _save(record: Path, changes: Mapping[Path, FileChange]) -> None:
    files = {
        str(path): {
            "before": None if each.before is None else base64.b64encode(each.before).decode(),
            "after": base64.b64encode(each.after).decode(),
        }
        for path, each in changes.items()
    }
    replace(record, (json.dumps({"version": VERSION, "files": files}, indent=1) + "\n").encode())


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _octets(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
