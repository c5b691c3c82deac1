"""Makes text of strangers safe to print on a terminal.

Subjects, link names, addresses and file names are written by strangers. A terminal obeys ESC and C1 controls,
an OSC sequence may set its title or clipboard, and bidirectional controls show a host's name backwards.

Invariants: what `printable` and `lines` return is printable, except the ends of lines; a guarded terminal
gets no control sequences except those of this program's own styles and progress bars.
"""

import json
import re
import sys
import unicodedata
from typing import Any, Protocol, TextIO, cast

_NO_COLUMN = ("Mn", "Me", "Cf")
_SHOWN = "\N{REPLACEMENT CHARACTER}"
# click's styles, its progress bars, and a line that goes over the one before.
_OWN = re.compile(r"\x1b\[(?:[0-4]|2[2-9]|3[0-79]|9[0-7])m|\x1b\[\?25[lh]|\x1b\[[0-2]?K|\r\n|[\n\t]|\A\r")


class _Stream(Protocol):
    def isatty(self) -> bool: ...

    def write(self, text: str, /) -> int: ...


def printable(text: str) -> str:
    """Return a text in one line, each character that a terminal might obey replaced."""
    return text if text.isprintable() else "".join(map(_sign, text))


def wide(text: str) -> int:
    """Return how many columns a terminal takes for a printable text (UAX 11; combining signs take none)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(sign) in _NO_COLUMN else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Return a text with spaces behind it, with `right` before it, up to so many columns."""
    spaces = " " * (columns - wide(text))
    return spaces + text if right else text + spaces


def lines(text: str) -> str:
    """Return a text with its lines, each of them `printable`."""
    return "\n".join(printable(line.removesuffix("\r")) for line in text.split("\n"))


def json_line(value: Any) -> str:
    """Return a value as JSON in one line of printable ASCII. Raises TypeError for what JSON cannot hold."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _sign(sign: str) -> str:
    if sign.isprintable():
        return sign
    return " " if unicodedata.category(sign) == "Zs" or sign in "\t\n" else _SHOWN


class _Guarded:
    """A terminal's stream whose `write` is safe; everything else is passed on to the stream."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the sequences of `_OWN` and what is printable, the rest replaced; return a length."""
        if text.isprintable():
            return self._stream.write(text)
        pieces: list[str] = []
        at = 0
        for own in _OWN.finditer(text):
            pieces += printable(text[at : own.start()]), own[0]
            at = own.end()
        pieces.append(printable(text[at:]))
        self._stream.write("".join(pieces))
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        """Write each text."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guarded(stream: TextIO) -> TextIO:
    """Return a guarded stream for a terminal, any other stream as it is."""
    if isinstance(stream, _Guarded) or not stream.isatty():
        return stream
    return cast(TextIO, _Guarded(stream))


def guard() -> None:
    """Guard standard output and standard error for the rest of this process."""
    sys.stdout, sys.stderr = guarded(sys.stdout), guarded(sys.stderr)
