"""The site's own rules of classification, shared: a file of the folder is an entry, its text the value.

Rules that cannot be read are not sent to others: a slip of the pen stays on the host where it was made.
"""

import os
import re
from pathlib import Path
from typing import Final

from engagement.classify.read import RulesError, read_rules
from engagement.cluster.shared.port import SharedError, Values
from engagement.extras import NotInstalledError

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_LARGEST: Final = 16 << 20  # bytes of a file; more could not be packed into a document anyway
_BESIDE: Final = ".new"


class SharedRules:
    """The folder of rules, without folders and hidden files in it."""

    name = "rules"
    parts = 64
    own = ""
    only_grows = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def holds(self, name: str) -> bool:
        """Return whether an entry of this name has a place in the file."""
        return _NAME.fullmatch(name) is not None and not name.endswith(_BESIDE)

    def stamp(self) -> object:
        """Return what is another value once a file has changed."""
        try:
            return tuple(
                (path.name, state.st_mtime_ns, state.st_ctime_ns, state.st_size)
                for path in self._files()
                for state in (path.stat(),)
            )
        except OSError:
            return None

    def read(self, before: Values) -> Values | None:
        """Return the values; see the port. Raises SharedError."""
        if not self._folder.is_dir():
            return None
        try:
            read_rules(self._folder)
            return {path.name: _text(path) for path in self._files()}
        except (RulesError, NotInstalledError, UnicodeDecodeError) as error:
            raise SharedError(f"{error}. Rules are exchanged with other hosts once this is mended") from error
        except OSError as error:
            raise SharedError(f"{error.filename or self._folder}: {error.strerror}") from error

    def write(self, before: Values | None, after: Values) -> bool:
        """Write the files; see the port. Raises SharedError."""
        if before is not None and self.read({}) != before:
            return False
        before = before or {}
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for name, text in after.items():
                if before.get(name) != text:
                    _put(self._folder / name, text)
            for name in before.keys() - after.keys():
                (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise SharedError(f"{error.filename or self._folder}: {error.strerror}") from error
        return True

    def clash(self, own: Values, others: Values) -> str:
        """Return "": any two folders can be one."""
        return ""

    def _files(self) -> list[Path]:
        found = sorted(self._folder.iterdir())
        return [path for path in found if self.holds(path.name) and path.is_file()]


def _text(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > _LARGEST:
        raise SharedError(f"{path}: larger than {_LARGEST} bytes: copy it to each host by other means")
    return data.decode("utf-8")


def _put(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}{_BESIDE}")
    with beside.open("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.replace(beside, path)
