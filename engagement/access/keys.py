"""API keys: made once, kept as a hash in the registry, found by it, revoked.

A key has 256 random bits, so a plain hash keeps it as safe as a slow one would; nobody can guess it. Each
document's key is the hash, so that a request costs one look-up. A revoked key stays in the list.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from engagement.access.scopes import checked
from engagement.registry.port import ConflictError, Document, Registry

KIND: Final = "apikey"
LONGEST_NAME: Final = 100  # characters: it has to fit into a line of the list
_PREFIX: Final = "smtpapi_"  # so that those who look for lost secrets in files find ours
_LONGEST_KEY: Final = 200  # characters; ours have 51. What is longer is not hashed
_HINT: Final = len(_PREFIX) + 4  # characters of a key that the list shows: 24 bits of 256
_USE_STEP: Final = 60_000  # milliseconds; the time of the last use is kept to the minute


class NameTakenError(Exception):
    """A key of that name is in use. The text says what to do."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. hint: how it begins. Times are Unix milliseconds, 0 where there was none."""

    name: str
    scopes: tuple[str, ...]
    tenant: str
    hint: str
    created_ms: int
    used_ms: int
    revoked_ms: int


class ApiKeys:
    """The API keys of a registry. now: returns Unix seconds. Every method raises RegistryError."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._now = now

    def add(self, name: str, scopes: tuple[str, ...], tenant: str = "") -> str:
        """Make a key and return it; nothing can show it again.

        Raises ValueError for a name or scope that cannot be, NameTakenError.
        """
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"a key's name has 1 to {LONGEST_NAME} printable characters")
        if not scopes:
            raise ValueError("a key without a scope could do nothing")
        allowed = checked(scopes)
        if any(key.name == name and not key.revoked_ms for key in self.all()):
            raise NameTakenError(f"there is a key named {name}: revoke it first, or choose another name")
        key = _PREFIX + secrets.token_urlsafe(32)
        made = ApiKey(name, allowed, tenant, key[:_HINT], self._now_ms(), 0, 0)
        self._registry.put(KIND, _hash(key), _data(made), expected=0)
        return key

    def all(self) -> Iterator[ApiKey]:
        """Yield every key, also revoked ones, by name."""
        yield from sorted(
            (_key(each) for each in self._documents()), key=lambda key: (key.name, key.created_ms)
        )

    def revoke(self, name: str) -> bool:
        """End the key of that name from now on; return whether there was one in use."""
        done = False
        for document in self._documents():
            key = _key(document)
            while key.name == name and not key.revoked_ms:
                try:
                    data = {**document.data, "revoked_ms": self._now_ms()}
                    self._registry.put(KIND, document.key, data, expected=document.version)
                    done = True
                    break
                except ConflictError:  # it was used meanwhile
                    again = self._registry.get(KIND, document.key)
                    if again is None:
                        break
                    document, key = again, _key(again)
        return done

    def find(self, offered: str) -> ApiKey | None:
        """Return the key that was offered, None where there is none or it was revoked.

        Writes down that it was used, at most once a minute.
        """
        if not offered or len(offered) > _LONGEST_KEY or not offered.isascii():
            return None
        document = self._registry.get(KIND, _hash(offered))
        if document is None:
            return None
        key = _key(document)
        if key.revoked_ms:
            return None
        now = self._now_ms()
        if now - key.used_ms >= _USE_STEP:
            try:
                data = {**document.data, "used_ms": now}
                self._registry.put(KIND, document.key, data, expected=document.version)
            except ConflictError:
                pass  # another process wrote the same, or it was revoked just now
        return key

    def _documents(self) -> Iterator[Document]:
        after = ""
        while page := self._registry.find(KIND, after=after):
            yield from page
            after = page[-1].key

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("ascii")).hexdigest()


def _data(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": list(key.scopes),
        "tenant": key.tenant,
        "hint": key.hint,
        "created_ms": key.created_ms,
        "used_ms": key.used_ms,
        "revoked_ms": key.revoked_ms,
    }


def _key(document: Document) -> ApiKey:
    data = document.data
    return ApiKey(
        str(data["name"]),
        tuple(data["scopes"]),
        str(data["tenant"]),
        str(data["hint"]),
        int(data["created_ms"]),
        int(data["used_ms"]),
        int(data["revoked_ms"]),
    )
