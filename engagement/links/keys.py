"""The key ring: which secrets seal links, and which still open them.

Pure values and their text form. Files are in `ring_file`; random bytes and time are arguments.

The text form has one key a line, `#` begins a comment:

    # ID  STATUS    CREATED               SECRET (32 bytes in hexadecimal)  CHECK
      1   accepted  2026-01-05T08:00:00Z  6d1f…                             9c0a51e2
      2   signing   2026-07-01T08:00:00Z  b87e…                             e01f77aa

CHECK (optional when written by hand) is the start of the secret's SHA-256, so that a damaged line is noticed
at load and not by readers of old mail. A comment behind a key becomes its note. Comments on lines of their
own are lost when the ring is written anew.

Invariants: exactly one key signs. An id (1 to 65535, it stands in each link) is never used twice: a key that
leaves service stays in the ring as "revoked". Only `derive` hands out bytes that come from a secret, and each
purpose and tenant gets its own.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_SIZE = 32  # bytes; the security of AES-256 and of HKDF-SHA256 asks for no more
VERSION = 1  # of the text form; a later one begins with a line "format 2"
LAST_ID = 0xFFFF  # two bytes in the token; one rotation a day lasts 179 years

_LAST_TIME = 253_402_300_799  # the last second of the year 9999, the last one that _TIME can write
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_HEADING = """\
# Keys of tracked links. Whoever reads this file can forge links: mode 0600.
# Keep every line: mail already sent needs its key. Change it with `smtpapi keys rotate` and `revoke`.
# id  status  created  secret  check
"""


class RingError(ValueError):
    """The ring cannot be used. The text says where the fault is and what to do."""


class KeyStatus(StrEnum):
    """What a key is good for."""

    SIGNING = "signing"  # seals new links, opens its own
    ACCEPTED = "accepted"  # opens links sealed earlier
    REVOKED = "revoked"  # opens nothing any more


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of the ring. created: Unix seconds. note: the operator's own words."""

    id: int
    status: KeyStatus
    created: int
    secret: bytes = field(repr=False)
    note: str = ""

    def derive(self, purpose: bytes, tenant: str = "", size: int = 32) -> bytes:
        """Derive `size` bytes that only this key, purpose and tenant yield (HKDF-SHA256, RFC 5869)."""
        return derive(self.secret, purpose, tenant, size)


@lru_cache(maxsize=1024)
def derive(secret: bytes, purpose: bytes, tenant: str, size: int) -> bytes:
    """Derive bytes as `Key.derive` does, for callers that cache results by secret and not by key."""
    # The length before the purpose keeps ("a", "bc") and ("ab", "c") apart.
    info = b"smtpapi-engagement" + bytes((len(purpose),)) + purpose + tenant.encode("utf-8", "surrogatepass")
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(secret)


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys, in the order of their ids.

    A ring without any key may be made, as the start of `rotated`, but nothing in it signs. Raises RingError
    for keys that break an invariant.
    """

    keys: tuple[Key, ...] = ()
    _opening: dict[int, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen: set[int] = set()
        for key in self.keys:
            if not 1 <= key.id <= LAST_ID:
                raise RingError(f"key {key.id}: an id is a number from 1 to {LAST_ID}")
            if key.id in seen:
                raise RingError(f"key {key.id} stands in the ring twice; ids are never used again")
            if not 0 <= key.created <= _LAST_TIME:
                raise RingError(f"key {key.id}: created outside the years 1970 to 9999")
            if len(key.secret) != SECRET_SIZE:
                raise RingError(f"key {key.id}: a secret is {SECRET_SIZE} bytes, this one {len(key.secret)}")
            seen.add(key.id)
        signing = [key.id for key in self.keys if key.status is KeyStatus.SIGNING]
        if self.keys and len(signing) != 1:
            found = f"keys {', '.join(map(str, signing))} sign" if signing else "no key signs"
            raise RingError(f"exactly one key must have the status signing; {found}")
        object.__setattr__(self, "keys", tuple(sorted(self.keys, key=lambda key: key.id)))
        opening = {key.id: key for key in self.keys if key.status is not KeyStatus.REVOKED}
        object.__setattr__(self, "_opening", opening)

    @property
    def signing(self) -> Key:
        """The key that seals new links. Raises RingError in an empty ring."""
        for key in self.keys:
            if key.status is KeyStatus.SIGNING:
                return key
        raise RingError("the key ring is empty; make a first key with `smtpapi keys init`")

    def get(self, key_id: int) -> Key | None:
        """Return the key that may open links of this id, None when there is none or it was revoked."""
        return self._opening.get(key_id)

    def rotated(self, secret: bytes, now: int, key_id: int | None = None) -> "Ring":
        """Return a ring in which a new key made of `secret` signs, and the one before it still opens.

        key_id: None for the last id plus one. Raises RingError for an id that cannot be used, or a known
        secret.
        """
        status = KeyStatus.ACCEPTED if self.keys else KeyStatus.SIGNING  # a ring's first key must sign
        added = Ring((*self.keys, self._fresh(secret, now, key_id, status)))
        return added.used(next(key.id for key in added.keys if key.secret == secret))

    def added(self, secret: bytes, now: int, key_id: int | None = None) -> "Ring":
        """Return a ring in which a new key opens links and does not sign yet: the first step of two.

        key_id: None for the last id plus one. Raises RingError for an id that cannot be used, or a known
        secret.
        """
        return Ring((*self.keys, self._fresh(secret, now, key_id, KeyStatus.ACCEPTED)))

    def _fresh(self, secret: bytes, now: int, key_id: int | None, status: "KeyStatus") -> Key:
        if key_id is None:
            key_id = max((key.id for key in self.keys), default=0) + 1
        if key_id > LAST_ID:
            raise RingError(f"all {LAST_ID} key ids are used up")
        if any(key.secret == secret for key in self.keys):
            raise RingError("this secret is in the ring already; a new key needs a new one")
        return Key(key_id, status, now, secret)

    def used(self, key_id: int) -> "Ring":
        """Return a ring in which this key signs, and the one that signed before still opens links.

        Raises RingError for a key that is unknown or revoked.
        """
        found = next((key for key in self.keys if key.id == key_id), None)
        if found is None:
            raise RingError(f"there is no key {key_id} in the ring; see `smtpapi keys list`")
        if found.status is KeyStatus.REVOKED:
            raise RingError(f"key {key_id} was revoked; it never signs again")
        return Ring(
            tuple(
                replace(key, status=KeyStatus.SIGNING)
                if key is found
                else replace(key, status=KeyStatus.ACCEPTED)
                if key.status is KeyStatus.SIGNING
                else key
                for key in self.keys
            )
        )

    def revoked(self, key_id: int) -> "Ring":
        """Return a ring in which this key opens nothing any more.

        Raises RingError for a key that is unknown or signs.
        """
        found = next((key for key in self.keys if key.id == key_id), None)
        if found is None:
            raise RingError(f"there is no key {key_id} in the ring; see `smtpapi keys list`")
        if found.status is KeyStatus.SIGNING:
            raise RingError(f"key {key_id} signs new links; run `smtpapi keys rotate` first, then revoke it")
        return Ring(
            tuple(replace(key, status=KeyStatus.REVOKED) if key is found else key for key in self.keys)
        )

    def dump(self) -> str:
        """Return the text form, with the secrets; `parse` returns an equal ring."""
        lines = (
            f"{key.id} {key.status} {datetime.fromtimestamp(key.created, UTC).strftime(_TIME)}"
            f" {key.secret.hex()} {_check(key.secret)}{_comment(key.note)}\n"
            for key in self.keys
        )
        return _HEADING + "".join(lines)

    @staticmethod
    def parse(text: str, name: str = "key ring") -> "Ring":
        """Return the ring of a text form.

        Raises RingError ("name:line: fault, what to do") for any other text; it never quotes a secret.
        """
        keys: list[Key] = []
        for number, line in enumerate(text.splitlines(), 1):
            line, _, note = line.partition("#")
            columns = line.split()
            if not columns:
                continue
            if columns[0] == "format" and len(columns) == 2 and columns[1] != str(VERSION):
                raise RingError(
                    f"{name}:{number}: a ring of format {columns[1]:.9}, this program knows {VERSION}; "
                    "use the newer program"
                )
            try:
                keys.append(_parse_key(columns, note.strip()))
            except RingError as error:
                raise RingError(f"{name}:{number}: {error}") from None
        if not keys:
            raise RingError(f"{name}: there is no key in it; make a first one with `smtpapi keys init`")
        try:
            return Ring(tuple(keys))
        except RingError as error:
            raise RingError(f"{name}: {error}") from None


def _parse_key(columns: list[str], note: str) -> Key:
    if not 4 <= len(columns) <= 5:
        raise RingError(f"expected ID STATUS CREATED SECRET [CHECK], found {len(columns)} words")
    if not re.fullmatch("[0-9]{1,5}", columns[0], re.ASCII):
        raise RingError(f"expected a key id, a number from 1 to {LAST_ID}, as the first word")
    if columns[1] not in tuple(KeyStatus):
        raise RingError("expected signing, accepted or revoked as the second word")
    try:
        created = datetime.strptime(columns[2], _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise RingError("expected a time like 2026-07-01T08:00:00Z as the third word") from None
    if not re.fullmatch(f"[0-9A-Fa-f]{{{2 * SECRET_SIZE}}}", columns[3], re.ASCII):
        raise RingError(f"expected a secret of {2 * SECRET_SIZE} hexadecimal digits as the fourth word")
    secret = bytes.fromhex(columns[3])
    if len(columns) == 5 and columns[4].lower() != _check(secret):
        raise RingError(
            f"key {columns[0]} is damaged (its check does not match); restore the line from a backup,"
            " or links sealed with it stay dead"
        )
    return Key(int(columns[0]), KeyStatus(columns[1]), int(created.timestamp()), secret, note)


def _comment(note: str) -> str:
    return f"  # {' '.join(note.split())}" if note else ""


def _check(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()[:8]
