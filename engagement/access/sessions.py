"""Sessions of people who signed in, in the registry, so that any process knows them and any can end them.

A cookie holds 256 random bits; its hash is the document's key, so that reading the registry opens nothing.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from engagement.access.users import Role, User
from engagement.registry.port import Document, Registry

KIND: Final = "session"
LIFETIME: Final = 86_400  # seconds; a working day, and the morning after it
_LONGEST: Final = 100  # characters of a cookie; ours have 43


@dataclass(frozen=True, slots=True)
class Session:
    """One session.

    form: what its forms send back, so that no other site's form is taken. until: Unix seconds.
    """

    user: str
    role: Role
    tenant: str
    form: str
    until: int


class Sessions:
    """The sessions of a registry. now: returns Unix seconds. Every method raises RegistryError."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._now = now

    def start(self, user: User) -> str:
        """Begin a session; return its cookie. Sessions that are over are removed."""
        self.sweep()
        cookie = secrets.token_urlsafe(32)
        data = {
            "user": user.name,
            "role": user.role.value,
            "tenant": user.tenant,
            "form": secrets.token_urlsafe(24),
            "until": int(self._now()) + LIFETIME,
        }
        self._registry.put(KIND, _key(cookie), data)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None where there is none or it is over."""
        if not cookie or len(cookie) > _LONGEST or not cookie.isascii():
            return None
        document = self._registry.get(KIND, _key(cookie))
        if document is None or int(document.data["until"]) <= self._now():
            return None
        return _session(document)

    def end(self, cookie: str) -> None:
        """End the session of a cookie."""
        if cookie and len(cookie) <= _LONGEST and cookie.isascii():
            self._registry.delete(KIND, _key(cookie))

    def end_of(self, name: str) -> int:
        """End all sessions of a user; return how many."""
        found = [each for each in self._documents() if str(each.data["user"]).lower() == name.lower()]
        return sum(self._registry.delete(KIND, each.key) for each in found)

    def sweep(self) -> None:
        """Remove the sessions that are over."""
        for document in list(self._documents()):
            if int(document.data["until"]) <= self._now():
                self._registry.delete(KIND, document.key)

    def _documents(self) -> Iterator[Document]:
        after = ""
        while page := self._registry.find(KIND, after=after):
            yield from page
            after = page[-1].key


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("ascii")).hexdigest()


def _session(document: Document) -> Session:
    data = document.data
    return Session(
        str(data["user"]), Role(data["role"]), str(data["tenant"]), str(data["form"]), int(data["until"])
    )
