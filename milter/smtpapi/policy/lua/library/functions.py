"""What a policy's Lua calls in Python that has nothing to do with a message: texts, patterns, lists, data.

Values cross as bytes, numbers, booleans and None, so that nothing in Lua can reach an object of Python. No
function raises: what is wrong is returned, and the Lua side (prelude/) makes an error of it at the policy's
own line.
"""

import contextlib
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from smtpapi.policy.lua import calls
from smtpapi.policy.lua.library import patterns, texts
from smtpapi.policy.lua.library.cidr import ListError, NetworkLists
from smtpapi.policy.lua.library.counts import Counts
from smtpapi.policy.lua.library.datasource import DataError, DataSources, Values
from smtpapi.policy.lua.library.names import Resolver
from smtpapi.policy.lua.library.patterns import PatternError
from smtpapi.policy.lua.state import Script
from smtpapi.policy.replies import code_in

# Values that one call returns; the rest is fetched by `more`. Lua's stack takes 8,000 (LUAI_MAXCSTACK).
_PIECE = 200
# Bytes of a body or text that a policy may have: all the memory that an interpreter has by default
# (`policy { lua_memory }`).
LARGEST = 32 * 1024 * 1024
_SLEEP = 1.0  # seconds that one call waits at most; a hook has two by default (`policy { lua_time }`)


@dataclass(slots=True)
class Shared:
    """What all states of one loaded policy share.

    ignored: calls and hooks that the operator lets do nothing. module: finds and translates a module of the
    policy's own; raises LookupError with a text. folder: the policy's, for `msys.readfile`. binding_header:
    the field that names the binding to the MTA, "" for none. notices: lines logged while it loads.
    """

    ignored: Container[str]
    lists: NetworkLists
    sources: DataSources
    module: Callable[[str], Script]
    folder: Path
    binding_header: str = ""
    counts: Counts = field(default_factory=Counts)
    resolver: Resolver = field(default_factory=Resolver)
    notices: list[str] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)


class Library:
    """The functions of one state that need no message."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._waiting: list[object] = []
        self._found: tuple[object, ...] = ()

    def functions(self) -> dict[str, Callable[..., object]]:
        """Return all functions by the names that the prelude calls them by."""
        return {
            "code_in": self._code_in,
            "parse_addresses": self._parse_addresses,
            "split": self._split,
            "groups": self._groups,
            "pcre_match": self._pcre_match,
            "pcre_replace": self._pcre_replace,
            "pcre_split": self._pcre_split,
            "json": self._json,
            "code_text": self._code_text,
            "db": self._db,
            "cidr_define": self._cidr_define,
            "cidr_reload": self._cidr_reload,
            "readfile": self._readfile,
            "bits": self._bits,
            "now": self._now,
            "sleep": self._sleep,
            "refused": self._refused,
            "refusals": self._refusals,
            "offered": self._offered,
            "module": self._module,
            "more": self._more,
        }

    def _code_in(self, text: bytes) -> tuple[int, bytes]:
        code, rest = code_in(text.decode("utf-8", "replace"))
        return code or 550, rest.encode()

    def _parse_addresses(self, text: bytes, component: bytes) -> object:
        return self._pieces(texts.addresses([word(text)], word(component)))

    def _split(self, address: bytes) -> tuple[bytes, bytes]:
        return texts.split_address(word(address))

    def _groups(self) -> tuple[object, ...]:
        return self._found

    def _pcre_match(self, text: bytes, pattern: bytes) -> object:
        try:
            found = patterns.match(text, pattern)
        except PatternError as error:
            return None, str(error).encode(), error.at
        if found is None:
            return False
        self._found = found
        return found[0]

    def _pcre_replace(self, text: bytes, pattern: bytes, replacement: bytes) -> object:
        try:
            found = patterns.replace(text, pattern, replacement)
        except PatternError as error:
            return None, str(error).encode()
        return found if len(found) <= LARGEST else (None, b"the result is too large")

    def _pcre_split(self, text: bytes, pattern: bytes) -> object:
        try:
            return self._pieces(patterns.split(text, pattern))
        except PatternError as error:
            return False, str(error).encode()

    def _json(self, text: bytes) -> object:
        return self._pieces(texts.json_tokens(text))

    def _code_text(self, name: bytes, text: bytes, option: bytes) -> object:
        try:
            return texts.coded(word(name), text, option)
        except (ValueError, UnicodeError) as error:
            return None, str(error).encode()

    def _db(self, source: bytes, query: bytes, nocache: bool, count: int, *flat: object) -> object:
        values = {word(key): _parameter(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}
        given: Values = values
        if values and all(name.isdigit() for name in values):
            given = tuple(values[name] for name in sorted(values, key=int))
        try:
            found = self._shared.sources.query(word(source), word(query), given, cached=not nocache)
        except DataError as error:
            return False, str(error).encode()
        out: list[object] = [len(found.names), *found.names]
        for row in found.rows:
            for value in row:
                out += (b"n",) if value is None else (b"v", value)
        return self._pieces(out)

    def _cidr_define(
        self, name: bytes, kind: bytes, source: bytes, value: bytes, default: object, refresh: float
    ) -> bytes | None:
        arguments = word(name), word(kind), word(source), word(value)
        try:
            self._shared.lists.define(
                *arguments, default if isinstance(default, bytes) else None, float(refresh)
            )
        except ListError as error:
            return str(error).encode()
        return None

    def _cidr_reload(self, name: bytes) -> bytes | None:
        try:
            self._shared.lists.reload(word(name))
        except ListError as error:
            return str(error).encode()
        return None

    def _readfile(self, name: bytes) -> object:
        folder = self._shared.folder.resolve()
        path = (folder / word(name)).resolve()
        if not path.is_relative_to(folder):
            return None, f"{path}: only files below {folder} are read".encode()
        try:
            if path.stat().st_size > LARGEST:
                return None, f"{path}: too large".encode()
            return path.read_bytes()
        except OSError as error:
            return None, f"{path}: {error.strerror}".encode()

    def _bits(self, sign: bytes, left: float, right: float) -> int | None:
        a, b = int(left) & 0xFFFFFFFF, int(right) & 0xFFFFFFFF
        match sign:
            case b"&":
                return a & b
            case b"|":
                return a | b
            case b"^^":
                return a ^ b
            case b"<<":
                return a << b & 0xFFFFFFFF if b < 32 else 0
            case b">>":
                return a >> b
            case _:
                return ~a & 0xFFFFFFFF

    def _now(self) -> float:
        return float(int(time.time()))

    def _sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, min(float(seconds), _SLEEP)))

    def _refused(self, name: bytes) -> bytes | None:
        call_name = word(name)
        known = calls.ignorable(call_name)
        return (
            None if any(each in self._shared.ignored for each in known) else calls.refused(call_name).encode()
        )

    def _refusals(self) -> bytes:
        return " ".join(f"{name}={name}" for name in calls.unconditional_refusals()).encode()

    def _offered(self) -> bytes:
        return " ".join(calls.OFFERED).encode()

    def _module(self, name: bytes) -> tuple[object, bytes]:
        try:
            script = self._shared.module(word(name))
        except LookupError as error:
            return None, str(error.args[0]).encode()
        return script.text, script.name.encode()

    def _more(self) -> tuple[object, ...]:
        found, self._waiting = tuple(self._waiting[:_PIECE]), self._waiting[_PIECE:]
        return found

    def _pieces(self, values: Iterable[object]) -> tuple[object, ...]:
        """Return the first of many values; `_more` returns the others."""
        found = tuple(values)
        self._waiting = list(found[_PIECE:])
        return found[:_PIECE]


def word(value: object) -> str:
    """Return what Lua handed over as text."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def octets(text: str) -> bytes:
    """Return a text as Lua is handed it."""
    return text.encode("utf-8", "surrogateescape")


def _parameter(value: object) -> object:
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    return value
