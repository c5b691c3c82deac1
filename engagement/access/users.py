"""People who may sign in to the pages: names, passwords as Argon2id hashes, and what each may do.

Documents of the registry by the name in lower case. A wrong name takes as long to refuse as a wrong password,
so that nobody learns names by trying.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engagement.registry.port import ConflictError, Document, Registry

KIND: Final = "user"
LONGEST_NAME: Final = 100  # characters: it stands in one line of lists and pages
SHORTEST_PASSWORD: Final = 12  # characters; a guess between the 8 and 15 of NIST SP 800-63B-4
LONGEST_PASSWORD: Final = 256  # characters: hashing a book takes this machine's time
_HASHER: Final = PasswordHasher()
_NOBODY: Final = _HASHER.hash("nobody has this password")


class Role(StrEnum):
    """What a user may do; each may do what those before it may."""

    LOOKS = "looks"
    MANAGES = "manages"
    ADMINISTERS = "administers"

    def includes(self, other: "Role") -> bool:
        """Return whether who has this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class UserError(Exception):
    """A user cannot be made or changed so. The text says why."""


@dataclass(frozen=True, slots=True)
class User:
    """A user without the password. tenant: whose data alone is shown, "" for data without one."""

    name: str
    role: Role
    tenant: str = ""
    created_ms: int = 0


class Users:
    """The users of a registry. now: returns Unix seconds. Every method raises RegistryError."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._now = now

    def add(self, name: str, password: str, role: Role, tenant: str = "") -> User:
        """Make a user. Raises UserError for a name or password that cannot be, or a name in use."""
        if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise UserError(f"a name has 1 to {LONGEST_NAME} printable characters, no blank at either end")
        _check(name, password)
        made = User(name, role, tenant, int(self._now() * 1000))
        try:
            self._registry.put(KIND, name.lower(), _data(made, _HASHER.hash(password)), expected=0)
        except ConflictError:
            raise UserError(f"there is a user named {name}") from None
        return made

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password. Raises UserError, ConflictError."""
        document = self._registry.get(KIND, name.lower())
        if document is None:
            raise UserError(f"there is no user named {name}")
        _check(name, password)
        data = {**document.data, "hash": _HASHER.hash(password)}
        self._registry.put(KIND, document.key, data, expected=document.version)

    def remove(self, name: str) -> bool:
        """Remove a user; return whether there was one."""
        return self._registry.delete(KIND, name.lower())

    def all(self) -> Iterator[User]:
        """Yield every user, by name."""
        after = ""
        while page := self._registry.find(KIND, after=after):
            yield from map(_user, page)
            after = page[-1].key

    def get(self, name: str) -> User | None:
        """Return a user by name, in any letter case."""
        document = self._registry.get(KIND, name.lower()) if name and len(name) <= LONGEST_NAME else None
        return _user(document) if document else None

    def signed_in(self, name: str, password: str) -> User | None:
        """Return the user with this name and password, None where there is none."""
        if len(password) > LONGEST_PASSWORD:
            return None
        known = self._registry.get(KIND, name.lower()) if 0 < len(name) <= LONGEST_NAME else None
        hashed = str(known.data["hash"]) if known else _NOBODY
        try:
            _HASHER.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return None
        return _user(known) if known else None


def _check(name: str, password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if password.lower() == name.lower():
        raise UserError("a password is not the name")


def _data(user: User, hashed: str) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role.value,
        "tenant": user.tenant,
        "created_ms": user.created_ms,
        "hash": hashed,
    }


def _user(document: Document) -> User:
    data = document.data
    return User(str(data["name"]), Role(data["role"]), str(data["tenant"]), int(data["created_ms"]))
