"""The list of readers who objected, shared: an address or @domain is an entry, without a value."""

from pathlib import Path

from engagement import objections
from engagement.cluster.shared.port import SharedError, Values
from engagement.cluster.shared.ring import file_stamp


class SharedObjections:
    """The list in its file. Comments and the order of its lines stay as they are."""

    name = "objections"
    parts = 64
    own = ""
    only_grows = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, name: str) -> bool:
        """Return whether an entry of this name has a place in the file."""
        return "@" in name

    def stamp(self) -> object:
        """Return what is another value once the file has changed."""
        return file_stamp(self._path)

    def read(self, before: Values) -> Values | None:
        """Return the values; see the port. Raises SharedError."""
        if not self._path.exists():
            return None
        try:
            found = objections.load(self._path)
        except objections.ObjectionsError as error:
            raise SharedError(str(error)) from error
        return dict.fromkeys((*found.addresses, *(f"@{domain}" for domain in found.domains)), "")

    def write(self, before: Values | None, after: Values) -> bool:
        """Write the list; see the port. Raises SharedError."""
        known = before or {}
        try:
            if before is None:
                objections.begin(self._path)
            if gone := known.keys() - after.keys():
                objections.remove(self._path, gone)
            if new := after.keys() - known.keys():
                objections.extend(self._path, sorted(new))
        except objections.ObjectionsError as error:
            raise SharedError(str(error)) from error
        return True

    def clash(self, own: Values, others: Values) -> str:
        """Return "": any two lists can be one."""
        return ""
