"""Momentum's dialect of Lua 5.1, cut into tokens and turned into plain Lua 5.1.

Momentum's interpreter takes more than Lua 5.1: `!=` and `!`, and on numbers `&`, `|`, `^^` (exclusive or),
`<<`, `>>`, `~` and `\\` (division without a rest). Strings and comments stay, and so do the numbers of lines.
What a name means is in `scan`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    rb"""(?P<space>[ \t\r\n\f\v]+)
    |(?P<comment>--\[(?P<c>=*)\[.*?\](?P=c)\]|--(?!\[=*\[)[^\n]*)
    |(?P<text>\[(?P<l>=*)\[.*?\](?P=l)\]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\.\.\.|\.\.|==|~=|!=|<=|>=|<<|>>|\^\^|[-+*/%^\#<>=(){}\[\];:,.!&|~\\])
    """,
    re.VERBOSE | re.DOTALL,
)
# Between numbers: Lua's own operators in their place, around a value that knows what is meant. `..` ranks
# below arithmetic and above comparisons, as the bit operators of later versions of Lua do.
_BITS = {
    b"&": b" .. __smtpapi_and .. ",
    b"|": b" .. __smtpapi_or .. ",
    b"^^": b" .. __smtpapi_xor .. ",
    b"<<": b" .. __smtpapi_left .. ",
    b">>": b" .. __smtpapi_right .. ",
}
_OTHERS = {b"!=": b"~=", b"!": b" not ", b"~": b" __smtpapi_not ^ ", b"\\": b" * __smtpapi_whole * "}
_OPENING, _CLOSING = frozenset({b"(", b"[", b"{"}), frozenset({b")", b"]", b"}"})
_BOM = b"\xef\xbb\xbf"


class Token(NamedTuple):
    """One token of a policy. kind: "text", "number", "name" or "sign". line: from 1."""

    kind: str
    text: bytes
    line: int


class DialectError(ValueError):
    """Raised for text that is no Lua. line: where. str(error): what is wrong there."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def translate(source: bytes) -> tuple[bytes, Sequence[Token]]:
    """Return a policy as plain Lua 5.1 with the same lines, and its tokens. Raises `DialectError`."""
    out: list[bytes] = []
    tokens: list[Token] = []
    for kind, text, line in _pieces(_prepared(source)):
        if kind == "sign":
            out.append(_BITS.get(text) or _OTHERS.get(text) or text)
        else:
            out.append(text)
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, text, line))
    _check_mixed(tokens)
    return b"".join(out), tokens


def _prepared(source: bytes) -> bytes:
    """Return the source without a byte order mark; a first line that begins with # becomes a comment."""
    source = source.removeprefix(_BOM)
    return b"--" + source if source.startswith(b"#") else source


def _pieces(source: bytes) -> Iterator[tuple[str, bytes, int]]:
    at, line = 0, 1
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise DialectError(line, _fault(source, at))
        text = found[0]
        yield found.lastgroup or "", text, line
        line += text.count(b"\n")
        at = found.end()


def _fault(source: bytes, at: int) -> str:
    if source.startswith((b"--[", b"["), at):
        return "a long bracket does not end"
    if source[at : at + 1] in (b'"', b"'"):
        return "a string does not end on its line"
    return f"unexpected character {source[at : at + 1].decode('latin-1')!a}"


def _check_mixed(tokens: Sequence[Token]) -> None:
    """Refuse two different bit operators next to each other: their ranks are nowhere written down.

    Raises `DialectError`.
    """
    depths: list[bytes | None] = [None]
    last = 0
    for kind, text, line in tokens:
        if line != last and kind != "sign":
            depths[-1] = None  # an expression may go on, but a mix over lines is not guessed at
        last = line
        if kind != "sign":
            continue
        if text in _OPENING:
            depths.append(None)
        elif text in _CLOSING and len(depths) > 1:
            depths.pop()
        elif text in (b",", b";", b"="):
            depths[-1] = None
        elif text in _BITS:
            before = depths[-1]
            if before is not None and (before != text or text in (b"<<", b">>")):
                raise DialectError(line, f"{before.decode()} and {text.decode()} without parentheses")
            depths[-1] = text
