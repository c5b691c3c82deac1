"""Perl's regular expressions for policies (msys.pcre), on bytes, each look at a text with a time limit.

Not Lua's own patterns (prelude/sandbox.lua).
"""

import functools
import re

import regex

SECONDS = 0.25  # the longest that one search may take: an eighth of a hook's time (`policy { lua_time }`)
_SPECIAL = re.compile(rb"\\Q(.*?)(?:\\E|\Z)|\\x\{([0-9A-Fa-f]{1,2})\}|\\(.)", re.DOTALL)
_REFERENCE = re.compile(rb"\$(?:\{(\w+)\}|(\d{1,2}))|\\(\d)|\$\$")


class PatternError(ValueError):
    """Raised for a pattern that is none, or one that takes too long. at: its offset."""

    def __init__(self, what: str, at: int = 0) -> None:
        super().__init__(what)
        self.at = at


@functools.lru_cache(maxsize=256)
def _compiled(pattern: bytes) -> "regex.Pattern[bytes]":
    try:
        return regex.compile(_SPECIAL.sub(_translated, pattern))
    except regex.error as error:
        raise PatternError(str(error), error.pos or 0) from None
    except (RecursionError, OverflowError, MemoryError) as error:
        raise PatternError(type(error).__name__) from None


def _translated(found: "re.Match[bytes]") -> bytes:
    """Return in the library's words what Perl writes otherwise."""
    if found[1] is not None:
        return re.escape(found[1])
    if found[2] is not None:
        return re.escape(bytes([int(found[2], 16)]))
    return {b"z": rb"\Z", b"Z": rb"(?=\n?\Z)"}.get(found[3], found[0])


def match(text: bytes, pattern: bytes) -> tuple[object, ...] | None:
    """Return a match as (number of groups, whole, group 1, …, name, group of that name, …), None for none.

    A group that took no part is None. Raises `PatternError`.
    """
    compiled = _compiled(pattern)
    try:
        found = compiled.search(text, timeout=SECONDS, concurrent=True)
    except TimeoutError:
        raise PatternError("the pattern takes too long on this text") from None
    if found is None:
        return None
    named: list[object] = []
    for name, value in found.groupdict().items():
        if value is not None:
            named += (name.encode(), value)
    return (compiled.groups, found[0], *found.groups(), *named)


def replace(text: bytes, pattern: bytes, replacement: bytes) -> bytes:
    """Return the text with every match replaced; $1 and ${name} stand for groups. Raises `PatternError`."""
    compiled = _compiled(pattern)

    def filled(found: "regex.Match[bytes]") -> bytes:
        return _REFERENCE.sub(lambda reference: _group(found, reference), replacement)

    try:
        return compiled.sub(filled, text, timeout=SECONDS, concurrent=True)
    except TimeoutError:
        raise PatternError("the pattern takes too long on this text") from None


def _group(found: "regex.Match[bytes]", reference: "re.Match[bytes]") -> bytes:
    if reference[0] == b"$$":
        return b"$"
    number = reference[2] or reference[3]
    name: int | str = int(number) if number else reference[1].decode()
    if isinstance(name, str) and name.isdigit():
        name = int(name)
    try:
        return found[name] or b""
    except IndexError:
        return b""


def split(text: bytes, pattern: bytes) -> list[bytes]:
    """Return the pieces between the matches. Raises `PatternError`."""
    try:
        return [piece or b"" for piece in _compiled(pattern).split(text, timeout=SECONDS, concurrent=True)]
    except TimeoutError:
        raise PatternError("the pattern takes too long on this text") from None
