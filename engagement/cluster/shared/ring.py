"""The key ring, shared: the union of all hosts' keys by id, and the key that was last named to sign.

A key that two hosts know by one id with two secrets can be had by neither: that is a clash for people.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engagement.cluster.shared.port import SharedError, Values
from engagement.links.keys import Key, KeyStatus, Ring, RingError
from engagement.links.ring_file import SHARED_MODE, edit_ring, load_ring, may_be_shared, save_ring

_SIGNING: Final = "signing"


def taken_apart(ring: Ring) -> dict[str, str]:
    """Return a ring as values."""
    found: dict[str, str] = {}
    for key in ring.keys:
        found[f"key/{key.id}"] = f"{key.created} {key.secret.hex()}"
        found[f"status/{key.id}"] = str(
            KeyStatus.REVOKED if key.status is KeyStatus.REVOKED else KeyStatus.ACCEPTED
        )
        if key.note:
            found[f"note/{key.id}"] = key.note
        if key.status is KeyStatus.SIGNING:
            found[_SIGNING] = str(key.id)
    return found


def put_together(values: Values) -> Ring:
    """Return the ring that has these values. Raises RingError for values of which none can be made.

    Where the key that should sign was revoked meanwhile, the newest accepted one signs; without any, it signs
    all the same, as mail must go on.
    """
    keys: list[Key] = []
    for name, value in values.items():
        sort, _, number = name.partition("/")
        if sort == "key":
            created, _, secret = value.partition(" ")
            try:
                status = KeyStatus(values.get(f"status/{number}", KeyStatus.ACCEPTED))
                found = Key(
                    int(number), status, int(created), bytes.fromhex(secret), values.get(f"note/{number}", "")
                )
            except ValueError as error:
                raise RingError(f"key {number} of the cluster cannot be read: {error}") from None
            keys.append(found)
    accepted = [key for key in keys if key.status is KeyStatus.ACCEPTED]
    named = values.get(_SIGNING, "")
    signer = next((key.id for key in accepted if str(key.id) == named), None)
    if signer is None and accepted:
        signer = max(accepted, key=lambda key: (key.created, key.id)).id
    if signer is None:
        signer = next((key.id for key in keys if str(key.id) == named), None)
    return Ring(tuple(_signs(key) if key.id == signer else key for key in keys))


def _signs(key: Key) -> Key:
    return Key(key.id, KeyStatus.SIGNING, key.created, key.secret, key.note)


def clashing(own: Values, others: Values) -> list[str]:
    """Return the ids of keys that have two secrets."""
    return sorted(
        (
            name.partition("/")[2]
            for name in own.keys() & others.keys()
            if name.startswith("key/") and own[name].partition(" ")[2] != others[name].partition(" ")[2]
        ),
        key=int,
    )


def acknowledged(ring: Ring) -> Mapping[str, str]:
    """Return of each key that opens links its id, and what distinguishes it from another one of that id."""
    return {
        str(key.id): key.derive(b"cluster ack", size=4).hex()
        for key in ring.keys
        if key.status is not KeyStatus.REVOKED
    }


class _ChangedError(Exception):
    """Somebody edited the file meanwhile."""


class SharedRing:
    """The key ring in its file."""

    name = "ring"
    parts = 1  # which key signs, and that key, are one document
    own = ""
    only_grows = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, name: str) -> bool:
        """Return whether an entry of this name has a place in the file."""
        return name == _SIGNING or name.startswith(("key/", "status/", "note/"))

    def stamp(self) -> object:
        """Return what is another value once the file has changed."""
        return file_stamp(self._path)

    def read(self, before: Values) -> Values | None:
        """Return the values; see the port. Raises SharedError."""
        if not self._path.exists():
            return None
        try:
            return taken_apart(load_ring(self._path))
        except RingError as error:
            raise SharedError(str(error)) from error

    def write(self, before: Values | None, after: Values) -> bool:
        """Write the ring; see the port. Raises SharedError."""

        def change(old: Ring) -> Ring:
            if taken_apart(old) != before:
                raise _ChangedError
            new = put_together(after)
            if {key.id for key in old.keys} - {key.id for key in new.keys}:
                raise RingError(f"{self._path}: the cluster lacks keys of this ring; nothing was written")
            return new

        try:
            if before is None:
                save_ring(self._path, put_together(after), new=True)
                if may_be_shared(os.stat(self._path).st_uid):
                    os.chmod(self._path, SHARED_MODE)
            else:
                edit_ring(self._path, change)
        except _ChangedError:
            return False
        except RingError as error:
            raise SharedError(str(error)) from error
        except OSError as error:
            raise SharedError(f"{self._path}: {error.strerror}") from error
        return True

    def clash(self, own: Values, others: Values) -> str:
        """Return why two rings cannot be one; see the port."""
        ids = clashing(own, others)
        if not ids:
            return ""
        return (
            f"{self._path}: key {', '.join(ids)} here has another secret than in the cluster. If no link "
            "in mail was made with this host's ring, take the cluster's: `smtpapi cluster join --take-ring`. "
            "Else this host cannot be one with them until those links have expired"
        )


def file_stamp(path: Path) -> object:
    """Return what is another value once a file has changed; None without a file."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_size
