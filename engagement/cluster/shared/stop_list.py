"""The list of stopped links, shared: entry by entry."""

from pathlib import Path
from typing import Final

from engagement.cluster.shared.port import SharedError, Values
from engagement.cluster.shared.ring import file_stamp
from engagement.links.stops import Stops, StopsError, copy_of, edit, load

_SORTS: Final = ("messages", "transmissions", "campaigns", "targets", "points")


def taken_apart(stops: Stops) -> dict[str, str]:
    """Return a list as values: "campaigns/spring" and who stopped it."""
    return {f"{sort}/{name}": value for sort in _SORTS for name, value in getattr(stops, sort).items()}


def put_together(values: Values) -> Stops:
    """Return the list that has these values; of a sort that this program does not know nothing."""
    maps: dict[str, dict[str, str]] = {sort: {} for sort in _SORTS}
    for name, value in values.items():
        sort, _, rest = name.partition("/")
        if sort in maps:
            maps[sort][rest] = value
    return Stops(**maps)


class _ChangedError(Exception):
    """Somebody edited the file meanwhile."""


class SharedStops:
    """The list in its file."""

    name = "stops"
    parts = 16
    own = ""
    only_grows = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, name: str) -> bool:
        """Return whether an entry of this name has a place in the file."""
        return name.partition("/")[0] in _SORTS

    def stamp(self) -> object:
        """Return what is another value once the file has changed."""
        return file_stamp(self._path)

    def read(self, before: Values) -> Values | None:
        """Return the values; see the port. Raises SharedError."""
        if not self._path.exists() and not copy_of(self._path).exists():
            return None
        try:
            return taken_apart(load(self._path))
        except StopsError as error:
            raise SharedError(str(error)) from error

    def write(self, before: Values | None, after: Values) -> bool:
        """Write the list; see the port. Raises SharedError."""

        def change(old: Stops) -> Stops:
            if taken_apart(old) != (before or {}):
                raise _ChangedError
            return put_together(after)

        try:
            edit(self._path, change)
        except _ChangedError:
            return False
        except StopsError as error:
            raise SharedError(str(error)) from error
        return True

    def clash(self, own: Values, others: Values) -> str:
        """Return "": any two lists can be one."""
        return ""
