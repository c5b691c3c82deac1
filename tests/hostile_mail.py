"""Mails made to cost as much as they can, of any size: kinds for tests and bench/hostile.py."""

from collections.abc import Callable

from smtpapi.model.message import Field, Message


def html(body: bytes, kind: str = "text/html", encoding: str = "8bit") -> Message:
    """A mail of one part."""
    return Message(
        (
            Field("Content-Type", b" " + kind.encode()),
            Field("Content-Transfer-Encoding", b" " + encoding.encode()),
            Field("Message-ID", b" <h@example.org>"),
        ),
        body,
    )


def repeated(unit: bytes, size: int, begin: bytes = b"", end: bytes = b"") -> bytes:
    """The unit over and over, about `size` bytes."""
    return begin + unit * max(1, size // len(unit)) + end


def parts(size: int, header: bytes = b"Content-Type: text/html\r\n") -> Message:
    """Many parts in one multipart."""
    part = b"--b\r\n" + header + b"\r\n<a href=http://x.example/>x</a>\r\n"
    return html(repeated(part, size, end=b"--b--\r\n"), 'multipart/mixed; boundary="b"')


def nested(size: int) -> Message:
    """Multiparts in multiparts."""
    head = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1)
        for n in range(size // 58)
    )
    return html(head + b"<p>" * 10, "multipart/mixed; boundary=b0")


def boundaries(size: int) -> Message:
    """Lines that are almost the boundary, of a boundary of the longest length, with long runs of blanks."""
    boundary = b"-" * 70
    line = b"--" + boundary + b" " * 200 + b"x\r\n"
    return html(repeated(line, size), f'multipart/mixed; boundary="{boundary.decode()}"')


def folds(size: int) -> Message:
    """Fields of hardly anything but folds."""
    value = b" multipart/mixed;" + b"\n " * (size // 4) + b' boundary="b"'
    return Message(
        (Field("Content-Type", value), Field("X-MSYS-API", b"\n " * (size // 4) + b"{}")), b"--b\r\n\r\nx\r\n"
    )


def _of(
    unit: bytes, kind: str = "text/html", encoding: str = "8bit", *, begin: bytes = b"", end: bytes = b""
) -> Callable[[int], Message]:
    return lambda size: html(repeated(unit, size, begin, end), kind, encoding)


_LINK = b"<a href=http://x.example/1>x</a>"
_BROKEN_UP = b"<=\r\na=\r\n =\r\nh=\r\nr=\r\ne=\r\nf=\r\n=\r\n=3D=\r\nh=\r\nt=\r\nt=\r\np:=\r\n//x>x</a>\r\n"
_LONG_LINE = _LINK * 20 + b"<a href=http://x.example/1>" + b"x" * 990 + b"</a>"
_MACRO = b"{{opening_single_curly()}}"

# Each takes a size in bytes.
HOSTILE: dict[str, Callable[[int], Message]] = {
    "parts": parts,
    "parts with many fields": lambda size: parts(size, b"A: b\r\n" * 900),
    "parts with long types": lambda size: parts(size, b"Content-Type: text/html;" + b" (" * 30_000 + b"\r\n"),
    "a field of a part that never ends": lambda size: html(
        repeated(b"\r\n a=b;", size, b"--b\r\nContent-Type: text/html;"), "multipart/mixed; boundary=b"
    ),
    "parts nested in each other": nested,
    "almost boundaries": boundaries,
    "dashes alone": _of(b"-", 'multipart/mixed; boundary="-"'),
    "empty delimiters": _of(b"--\r\n", "multipart/mixed; boundary=b", begin=b"--b\r\n\r\n"),
    "folds": folds,
    "<": _of(b"<"),
    "</": _of(b"</"),
    "<a": _of(b"<a "),
    "<a href=": _of(b"<a href="),
    "quoted hrefs begun": _of(b'<a href="'),
    "links": _of(_LINK),
    "links that are none": _of(b"<a href=mailto:x>"),
    "links of 4,000 bytes": _of(b"<a href=http://x.example/" + b"x" * 4000 + b">x</a>"),
    "comments begun": _of(b"<!--"),
    "comments almost closed": _of(b"<!-- --!"),
    "comments closed with a bang": _of(b"<!--[--!>"),
    "conditional comments": _of(b"<!--[if mso]><a href=http://x/>"),
    "CDATA in svg": _of(b"<svg><![CDATA["),
    "tags in svg": _of(b"<p x=1>", begin=b"<svg><mi>"),
    "attributes of a font in svg": _of(b"x=1 ", begin=b"<svg><font ", end=b">"),
    "<script>": _of(b"<script>"),
    "<script><!--<script>": _of(b"<script><!--<script>"),
    "</title almost": _of(b"</titl", begin=b"<title>"),
    "</ in a style": _of(b"</", begin=b"<style>"),
    "attributes": _of(b"x=1 ", begin=b"<a ", end=b"href=http://x.example/>"),
    "quoted attributes": _of(b' x="1"', begin=b"<td", end=b">"),
    "attributes of ours": _of(b" data-msys-x=1", begin=b"<a href=http://x.example/", end=b">"),
    "entities": _of(b"&amp", begin=b'<a href="http://x/?', end=b'">x</a>'),
    "blanks in a tag": _of(b" ", begin=b"<a", end=b"href=x>"),
    "blanks before an attribute of ours": _of(b" ", begin=b"<a", end=b"data-msys-x=1 href=http://x.example/>"),
    "elements nested": _of(b"<div>", end=_LINK),
    "links in text": _of(b"http://x.example/1 ", "text/plain"),
    "http:// in text": _of(b"http://", "text/plain"),
    "URLs in brackets": _of(b"(http://a)", "text/plain"),
    "brackets in text": _of(b"(", "text/plain", begin=b"http://x.example/"),
    "notation in text": _of(b"http://x.example/[[", "text/plain"),
    "notation without end": _of(b"[[data-msys-clicktrack=0]]", "text/plain", begin=b"http://x.example/"),
    "attributes in one notation": _of(
        b" data-msys-clicktrack=0", "text/plain", begin=b"http://x/[[data-msys-clicktrack=0", end=b"]]"
    ),
    "braces": _of(b"{{ "),
    "brace macros": _of(_MACRO),
    "brace macros in a link": _of(_MACRO, begin=b'<a href="http://x.example/', end=b'">x</a>'),
    "one base64 line": _of(b"PGEg", encoding="base64"),
    "short base64 lines": _of(b"PGEg\r\n", encoding="base64"),
    "base64 padding": _of(b"PA==", encoding="base64"),
    "one quoted-printable line": _of(b"=3Ca", encoding="quoted-printable"),
    "soft breaks": _of(b"=\r\n", encoding="quoted-printable", end=b"x"),
    "soft breaks in every place": _of(_BROKEN_UP, encoding="quoted-printable"),
    "= in quoted-printable": _of(b"=", encoding="quoted-printable"),
    "empty lines to encode": _of(b"\n", begin=_LONG_LINE),
    "octets to encode": _of(b"\xff", begin=_LONG_LINE),
    "UTF-16": lambda size: html(repeated(b"<\0", size), "text/html; charset=utf-16le"),
    "ISO-2022-JP": _of(b"\x1b$B$\"\x1b(B", "text/html; charset=iso-2022-jp"),
    "AMP": _of(b"<amp-img src=", "text/x-amp-html"),
    "VML": _of(b"<v:roundrect href='http://x"),
    "inline PGP": _of(b"-----BEGIN PGP MESSAGE----\r\n", "text/plain"),
}  # fmt: skip
