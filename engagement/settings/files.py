"""Read a configuration file with everything it includes into one tree (contract.md 2.2).

Options have no meaning yet, except `Local_Changes_File`, which names a file that is read last. Invariants:
reading ends, whatever the files include; problems are collected, so that those of one file do not hide those
of others.
"""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from engagement.settings.errors import NoConfiguration, Place, Problem
from engagement.settings.syntax import MAX_DEPTH, SyntaxProblem, parse
from engagement.settings.syntax_tree import AssignNode, IncludeNode, Item, ScopeNode, TextNode

MAX_INCLUDES = 32  # levels; real configurations have two or three
MAX_FILES = 10_000  # files that include each other twice double at every level
_TOO_MANY = "too many files are included"
_MAX_FILE = 64 * 1024 * 1024  # bytes; real files have a few kilobytes


class FileReader:
    """A reader of one configuration. base: Momentum's …/etc/conf folder. node: this host's folder in it."""

    def __init__(self, base: Path | None = None, node: str = "") -> None:
        self.base = base
        self.node = node or platform.node()
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.paths: dict[Path, None] = {}  # each file that was read, in order
        self._files = 0
        self._local_changes: list[TextNode] = []

    def read(self, path: Path) -> tuple[Item, ...]:
        """Return the tree of a file, includes in place. Raises NoConfiguration where there is no file."""
        if not path.exists():
            raise NoConfiguration([Problem(Place(str(path)), "no such file", "a configuration file")])
        if self.base is None:
            self.base = _base_above(path)
        items = self._file(path, _Within((), 0), Place(str(path)))
        return items + self._last(path.parent)

    def text(self, text: str, name: str) -> tuple[Item, ...]:
        """Return the tree of a text. It has no folder, so it cannot include files."""
        items = self._parsed(text, name)
        return tuple(self._expanded(items, None, _Within((), 0)))

    def _problem(self, place: Place, what: str, expected: str) -> tuple[Item, ...]:
        self.problems.append(Problem(place, what, expected))
        return ()

    def _last(self, folder: Path) -> tuple[Item, ...]:
        """Return the tree of Local_Changes_File, () if it does not exist yet. A later assignment wins."""
        if not self._local_changes or self._find(self._local_changes[-1].text, folder) is None:
            return ()
        return self._included(self._local_changes[-1], folder, _Within((), 0))

    def _file(self, path: Path, within: "_Within", place: Place) -> tuple[Item, ...]:
        real = Path(os.path.realpath(path))
        self._files += 1
        if real in within.files:
            return self._problem(place, f"'{path}' includes itself", "no loop")
        if len(within.files) > MAX_INCLUDES:
            return self._problem(place, "includes are nested too deeply", f"at most {MAX_INCLUDES} levels")
        if self._files > MAX_FILES:
            too_many = self._files == MAX_FILES + 1  # reported once
            return self._problem(place, _TOO_MANY, f"at most {MAX_FILES}") if too_many else ()
        try:
            if not path.is_file() or path.stat().st_size > _MAX_FILE:
                return self._problem(place, f"'{path}' cannot be read", f"a file below {_MAX_FILE} bytes")
            raw = path.read_bytes()
        except OSError as error:
            return self._problem(place, f"'{path}' cannot be read: {error.strerror}", "a readable file")
        self.paths[path] = None
        items = self._parsed(self._decoded(raw, path), str(path))
        return tuple(self._expanded(items, path.parent, replace(within, files=(*within.files, real))))

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

    def _expanded(self, items: tuple[Item, ...], folder: Path | None, within: "_Within") -> Iterator[Item]:
        deeper = replace(within, scopes=within.scopes + 1)
        for item in items:
            match item:
                case IncludeNode(target, _, place) if folder is None:
                    self._problem(place, "an include outside a file", f"the text of '{target.text}'")
                case IncludeNode(target):
                    assert folder is not None
                    yield from self._included(target, folder, within)
                case ScopeNode(name, instance, inner, place) if within.scopes < MAX_DEPTH:
                    yield ScopeNode(name, instance, tuple(self._expanded(inner, folder, deeper)), place)
                case ScopeNode(place=place):
                    self._problem(place, "nested too deeply", f"at most {MAX_DEPTH} levels")
                case AssignNode(name, TextNode() as value) if name.lower() == "local_changes_file":
                    self._local_changes.append(value)
                case AssignNode():
                    yield item

    def _included(self, target: TextNode, folder: Path, within: "_Within") -> tuple[Item, ...]:
        name = target.text.removeprefix("file://")
        if "://" in name or not name or "\0" in name:
            return self._problem(
                target.place, f"'{target.text}' cannot be included", "a path or file:// path"
            )
        found = self._find(name, folder)
        if found is None:
            searched = ", ".join(str(each) for each in self._search(folder))
            return self._problem(target.place, f"'{name}' does not exist", f"it in {searched}")
        try:
            paths = _members(found) if found.is_dir() else [found]
        except OSError as error:
            return self._problem(
                target.place, f"'{found}' cannot be read: {error.strerror}", "a readable folder"
            )
        return tuple(item for path in paths for item in self._file(path, within, target.place))

    def folders(self, folder: Path) -> Iterator[Path]:
        """Yield the folders in which what a file of this folder names is looked for."""
        return self._search(folder)

    def _search(self, folder: Path) -> Iterator[Path]:
        yield folder
        if self.base is not None:
            yield from (self.base / "global", self.base / self.node, self.base / "default")

    def _find(self, name: str, folder: Path) -> Path | None:
        # os.path.exists is False for a name that is too long; Path.exists raises
        return next((each / name for each in self._search(folder) if os.path.exists(each / name)), None)


@dataclass(frozen=True, slots=True)
class _Within:
    """The context of an item: the chain of files that include it, and the number of scopes around it."""

    files: tuple[Path, ...]
    scopes: int


def _base_above(path: Path) -> Path | None:
    """Return Momentum's etc/conf folder above the file, if any; relative where the file's path is."""
    found = next((each for each in path.absolute().parents if each.parts[-2:] == ("etc", "conf")), None)
    return found if found is None or path.is_absolute() else Path(os.path.relpath(found))


def _members(folder: Path) -> list[Path]:
    """Return a folder's files in alphabetical order, without hidden ones and sub-folders. Raises OSError."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.is_file())
