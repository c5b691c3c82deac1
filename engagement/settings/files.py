"""Reads a configuration file with everything it includes, and gives one tree (contract.md 2.2).

No meaning of options but `Local_Changes_File`, which names a file read last. Invariants: reading ends,
whatever the files include; problems are collected, and one broken file does not hide those of the others.
"""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from engagement.settings.problems import NoConfiguration, Place, Problem
from engagement.settings.syntax import SyntaxProblem, parse
from engagement.settings.tree import Assign, Include, Item, Scope, Text

MAX_DEPTH = 32
MAX_FILES = 10_000  # files that include each other twice double at every level
_MAX_FILE = 64 * 1024 * 1024


class Reader:
    """Reads one configuration. base: Momentum's …/etc/conf folder, node: the machine's folder below it."""

    def __init__(self, base: Path | None = None, node: str = "") -> None:
        self.base = base
        self.node = node or platform.node()
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._files = 0
        self._local_changes: list[Text] = []

    def read(self, path: Path) -> tuple[Item, ...]:
        """The tree of a file, includes put in place. Raises NoConfiguration where there is no such file."""
        if not path.exists():
            raise NoConfiguration([Problem(Place(str(path)), "no such file", "a configuration file")])
        if self.base is None:
            self.base = _base_above(path)
        items = self._file(path, (), Place(str(path)))
        return items + self._last(path.parent)

    def text(self, text: str, name: str) -> tuple[Item, ...]:
        """The tree of a text. It is no file, so it has nothing to include from."""
        items = self._parsed(text, name)
        return tuple(self._expanded(items, None, ()))

    def _last(self, folder: Path) -> tuple[Item, ...]:
        found: list[Item] = []
        for target in self._local_changes[-1:]:  # a later assignment wins
            self._local_changes = []
            if self._find(target.text, folder) is not None:
                found += self._included(target, folder, ())
        return tuple(found)

    def _file(self, path: Path, within: tuple[Path, ...], place: Place) -> tuple[Item, ...]:
        real = Path(os.path.realpath(path))
        self._files += 1
        if real in within:
            self.problems.append(Problem(place, f"'{path}' includes itself", "no loop"))
            return ()
        if len(within) > MAX_DEPTH:
            self.problems.append(
                Problem(place, "includes are nested too deeply", f"at most {MAX_DEPTH} levels")
            )
            return ()
        if self._files > MAX_FILES:
            if self._files == MAX_FILES + 1:
                self.problems.append(Problem(place, "too many files are included", f"at most {MAX_FILES}"))
            return ()
        try:
            if not path.is_file() or path.stat().st_size > _MAX_FILE:
                self.problems.append(
                    Problem(place, f"'{path}' cannot be read", f"a file below {_MAX_FILE} bytes")
                )
                return ()
            raw = path.read_bytes()
        except OSError as error:
            self.problems.append(
                Problem(place, f"'{path}' cannot be read: {error.strerror}", "a readable file")
            )
            return ()
        return tuple(
            self._expanded(self._parsed(self._decoded(raw, path), str(path)), path.parent, (*within, real))
        )

    def _decoded(self, raw: bytes, path: Path) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self.warnings.append(f"{path}:{line}: not UTF-8; the file is read as ISO-8859-1")
            return raw.decode("iso-8859-1")

    def _parsed(self, text: str, name: str) -> tuple[Item, ...]:
        try:
            parsed = parse(text, name)
        except SyntaxProblem as error:
            self.problems.append(error.problem)
            return ()
        self.warnings += [f'{place}: typographic quotes, read as "' for place in parsed.curly]
        return parsed.items

    def _expanded(
        self, items: tuple[Item, ...], folder: Path | None, within: tuple[Path, ...]
    ) -> Iterator[Item]:
        for item in items:
            match item:
                case Include(target, _, place) if folder is None:
                    self.problems.append(
                        Problem(place, "an include outside a file", f"the text of '{target.text}'")
                    )
                case Include(target):
                    assert folder is not None
                    yield from self._included(target, folder, within)
                case Scope(name, instance, inner, place):
                    yield Scope(name, instance, tuple(self._expanded(inner, folder, within)), place)
                case Assign(name, Text() as value) if name.lower() == "local_changes_file":
                    self._local_changes.append(value)
                case Assign():
                    yield item

    def _included(self, target: Text, folder: Path, within: tuple[Path, ...]) -> tuple[Item, ...]:
        name = target.text.removeprefix("file://")
        if "://" in name or not name or "\0" in name:
            self.problems.append(
                Problem(target.place, f"'{target.text}' cannot be included", "a path or file:// path")
            )
            return ()
        found = self._find(name, folder)
        if found is None:
            looked = ", ".join(str(each) for each in self._search(folder))
            self.problems.append(Problem(target.place, f"'{name}' does not exist", f"it in {looked}"))
            return ()
        items: list[Item] = []
        for each in _members(found) if found.is_dir() else [found]:
            items += self._file(each, within, target.place)
        return tuple(items)

    def _search(self, folder: Path) -> Iterator[Path]:
        yield folder
        if self.base is not None:
            yield from (self.base / "global", self.base / self.node, self.base / "default")

    def _find(self, name: str, folder: Path) -> Path | None:
        return next((each / name for each in self._search(folder) if os.path.exists(each / name)), None)


def _base_above(path: Path) -> Path | None:
    """Momentum's etc/conf folder that the file lies below, if any; relative where the file's path is."""
    found = next((each for each in path.absolute().parents if each.parts[-2:] == ("etc", "conf")), None)
    return found if found is None or path.is_absolute() else Path(os.path.relpath(found))


def _members(folder: Path) -> list[Path]:
    """A folder's files in alphabetical order, without hidden ones and sub-folders."""
    try:
        return sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.is_file())
    except OSError:
        return []
