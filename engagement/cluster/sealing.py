"""The cluster's key, and what is sealed with it (AES-SIV, RFC 5297): nobody else reads or makes a document.

A key file has one key a line, 64 hexadecimal digits; `#` begins a comment. The first key seals, all open: so
a new one is put last on every host, and then first. Invariant: a document opens only under the name of the
cluster and the place that it was sealed for.
"""

import base64
import json
import os
import secrets
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links.keys import derive
from engagement.registry.port import Data

VERSION: Final = 1  # of a sealed document
_SECRET: Final = 32  # bytes
_NONCE: Final = 16  # bytes: the widest that RFC 5297 3.1 names; equal ones would only show equal documents
_LARGEST: Final = 1 << 26  # bytes of a document's content; a registry's document has at most 1 MiB sealed
_MODE: Final = 0o640
_PURPOSE: Final = b"cluster"


class SealError(ValueError):
    """A key or document cannot be used. The text says what to do."""


class NewerError(SealError):
    """A document was written by a later program."""


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """The keys of a cluster. name: the cluster's. Raises SealError without a key."""

    name: str
    keys: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise SealError("there is no cluster key; make one with `smtpapi cluster init`")

    def seal(self, place: str, content: Mapping[str, Any], nonce: bytes | None = None) -> dict[str, Any]:
        """Return a document with the content sealed. nonce: for tests."""
        nonce = secrets.token_bytes(_NONCE) if nonce is None else nonce
        text = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        sealed = _cipher(self.keys[0]).encrypt(
            zlib.compress(text.encode("ascii"), 9), [*self._place(place), nonce]
        )
        return {"version": VERSION, "sealed": base64.b64encode(nonce + sealed).decode("ascii")}

    def open(self, place: str, data: Data) -> Any:
        """Return the content of a document.

        Raises SealError for one that is not of this cluster and place, NewerError for one of a later program.
        """
        version = data.get("version")
        if type(version) is int and version > VERSION:
            raise NewerError(
                f"{place}: its version is {version}, this program knows {VERSION}. Use the newer program."
            )
        try:
            raw = base64.b64decode(str(data["sealed"]), validate=True)
        except (KeyError, ValueError) as error:
            raise SealError(f"{place}: no document of a cluster") from error
        for key in self.keys:
            try:
                text = _cipher(key).decrypt(raw[_NONCE:], [*self._place(place), raw[:_NONCE]])
            except (InvalidTag, ValueError):
                continue
            return json.loads(_inflated(text))
        raise SealError(
            f"{place}: sealed with a key that is not in the key file of this host; copy the file of a host "
            "of the cluster here"
        )

    def _place(self, place: str) -> list[bytes]:
        return [b"smtpapi cluster %d" % VERSION, self.name.encode(), place.encode()]


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, _LARGEST)
    if not inflater.eof:
        raise SealError(f"a document of more than {_LARGEST} bytes")
    return text


def _cipher(key: bytes) -> AESSIV:
    return AESSIV(derive(key, _PURPOSE, "", 64))


def parse(text: str, file: str) -> tuple[bytes, ...]:
    """Return the keys of a key file. Raises SealError with file and line for what is none."""
    keys: list[bytes] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            key = bytes.fromhex(word)
        except ValueError:
            key = b""
        if len(key) != _SECRET:
            raise SealError(f"{file}:{number}: expected a key of {2 * _SECRET} hexadecimal digits")
        keys.append(key)
    if not keys:
        raise SealError(f"{file}: there is no key in it; copy the file of a host of the cluster here")
    return tuple(keys)


def load(name: str, path: Path) -> ClusterKeys:
    """Return the keys in a file. Raises SealError for a file that cannot be used."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise SealError(
            f"{path}: no such file; make it on the first host with `smtpapi cluster init`, and copy it to "
            "the others"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(
            f"{path}: cannot read the cluster key: {getattr(error, 'strerror', 'no text')}"
        ) from None
    if mode & 0o027:
        raise SealError(
            f"{path}: others may read or write the cluster key (mode {stat.S_IMODE(mode):04o}); run "
            f"`chmod 640 {path}`"
        )
    return ClusterKeys(name, parse(text, str(path)))


def make(path: Path) -> None:
    """Write a file with a fresh key, mode 0640. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, _MODE)
        file.write(
            "# The key of a cluster (docs/cluster.md). Who has it and reads the registry can make links.\n"
            f"{secrets.token_hex(_SECRET)}\n"
        )
        file.flush()
        os.fsync(descriptor)
