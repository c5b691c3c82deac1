"""Short HTML documents, grown from real ones and then broken, or strung from odd pieces: the same for a seed.

A window of the tokens of a real document (the corpus beside the checkout, the golden cases, a few lines of
our own), with tokens doubled, dropped and moved, unclosed things put in, bytes changed and the end cut off.
"""

import email
import random
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CORPUS = ROOT.parents[1] / "shared" / "corpus"

_TOKEN = re.compile(rb"<!--.*?-->|<[^<>]*>|[^<]+|<", re.DOTALL)
_LONGEST_TEXT = 60  # bytes of a text or tag that are kept: a page's shape is in its tags
_OWN = (
    b"<!DOCTYPE html><html><head><title>t</title><style>p{color:red}</style></head><body><table><tr><td>"
    b"<a href='http://a.example/'>x</a></td></tr></table></body></html>",
    b"<p>Hello <b>you <a href=http://a.example/?q=1&amp;b=2>x</a></b></p><ul><li>one<li>two</ul>",
    b"<BODY bgcolor=white><center><font face=arial>t<br><A HREF = 'https://b.example/x'>y</A></font></center>",
)
_PIECES = (
    *(
        b"</body>",
        b"</body></html>",
        b"<body>",
        b"<html>",
        b"</html>",
        b"<head>",
        b"</head>",
        b"<!doctype html>",
    ),
    *(b"<b>", b"</b>", b"<i>", b"<p>", b"</p>", b"<div>", b"</div>", b"<font size=1>", b"</font>", b"<nobr>"),
    *(
        b"<a href='http://in.example/a'>",
        b"<a href=http://in.example/b>",
        b"</a>",
        b'<A\nHREF="https://in.example/c?a=1&b=2">',
    ),
    *(
        b"<area href=http://in.example/d>",
        b"<a href>",
        b"<a href='http://in.example/cut",
        b"<a title='>",
        b"<a",
    ),
    *(
        b"<table>",
        b"</table>",
        b"<tr>",
        b"<td>",
        b"</td>",
        b"<caption>",
        b"<col>",
        b"<tbody>",
        b"<form>",
        b"</form>",
    ),
    *(
        b"<style>",
        b"</style>",
        b"<style>a{}</style>",
        b"<script>",
        b"</script>",
        b"<script><!--<script>",
        b"<title>",
    ),
    *(
        b"<textarea>",
        b"</textarea>",
        b"<xmp>",
        b"<iframe>",
        b"<noscript>",
        b"</noscript>",
        b"<pre>\n",
        b"<plaintext>",
    ),
    *(
        b"<select>",
        b"<option>",
        b"</select>",
        b"<button>",
        b"<object>",
        b"</object>",
        b"<template>",
        b"</template>",
    ),
    *(
        b"<svg>",
        b"</svg>",
        b"<math>",
        b"<mi>",
        b"<title>",
        b"<desc>",
        b"<foreignObject>",
        b"<![CDATA[",
        b"]]>",
    ),
    *(
        b"<!--",
        b"-->",
        b"<!-->",
        b"<!--[if mso]>",
        b"<![endif]-->",
        b"<!",
        b"<?",
        b"</",
        b"<",
        b"&",
        b"&amp",
        b"\x00",
    ),
    *(
        b"text",
        b" ",
        b"\r\n",
        b"\n",
        b"<br>",
        b"<img src=x>",
        b"<hr>",
        b"<h1>",
        b"<li>",
        b"<meta charset=utf-8>",
    ),
    *(
        b"<frameset>",
        b"<frame>",
        b"<link href=x>",
        b"<base href=y>",
        b"<input>",
        b"<marquee>",
        b"<rp>",
        b"'",
        b'"',
        b"=",
    ),
)
_MORE_PIECES = (
    *(b"<a href='http://in.example/z'>x</a>", b"<svg><a href='http://in.example/s'>", b"<a name=q>"),
    *(b"<math><mi>", b"<svg><desc>", b"<svg/>", b"<svg><style>", b"<svg><title>", b"</math>", b"<math></p>"),
    *(
        b"<annotation-xml encoding=text/html>",
        b"<font color=red>",
        b"<image src=x>",
        b"<listing>\n",
        b"x</br>",
    ),
    *(b"<!--[if mso]></table><![endif]-->", b"<colgroup>", b"<th>", b"<tfoot>", b"<input type=hidden>"),
    *(b"<noembed>", b"<ruby>", b"<rt>", b"<rb>", b"<dd>", b"<details><summary>", b"<dialog>", b"<video>"),
    *(b"<legend>", b"<fieldset>", b"<optgroup>", b"<body class=x>", b"<wbr>", b"<isindex>"),
)
_BEGINS = (b"<body>", b"<html><body>", b"<p>x", b"<table>", b"<p><i>x</p><table>", b"", b"")
_ENDS = (b"</body></html>\n", b"\n", b"</body>", b" </body> x", b"", b"", b"")


@lru_cache(maxsize=1)
def sources() -> list[list[bytes]]:
    """The tokens of each real document there is."""
    found = [*_OWN]
    for path in sorted([*CORPUS.glob("html/*/*.html"), *ROOT.glob("golden/documents/*/in.html")]):
        found.append(path.read_bytes())
    for path in sorted([*CORPUS.glob("mail/*/*.eml"), *ROOT.glob("golden/messages/*/in.eml")]):
        for part in email.message_from_bytes(path.read_bytes()).walk():
            payload = part.get_payload(decode=True) if part.get_content_type() == "text/html" else None
            if isinstance(payload, bytes):
                found.append(payload)
    return [_tokens(data) for data in found]


def _tokens(data: bytes) -> list[bytes]:
    tokens = []
    for token in _TOKEN.findall(data[:200_000]):
        if len(token) > _LONGEST_TEXT and not token.startswith(b"<"):
            token = token[: _LONGEST_TEXT // 2] + token[-_LONGEST_TEXT // 2 :]
        if len(token) <= 4 * _LONGEST_TEXT:
            tokens.append(token)
    return tokens


def documents(seed: int, count: int) -> Iterator[bytes]:
    """So many documents of at most about a kilobyte each."""
    chance = random.Random(seed)
    grown = sources()
    for _ in range(count):
        yield _mutant(chance, chance.choice(grown))


def strung(seed: int, count: int) -> Iterator[bytes]:
    """So many documents of a few odd pieces each, where no real page comes between them."""
    chance = random.Random(f"strung {seed}")
    pieces = (*_PIECES, *_MORE_PIECES)
    for _ in range(count):
        inner = (chance.choice(pieces) for _ in range(chance.randint(1, 14)))
        yield b"".join((chance.choice(_BEGINS), *inner, chance.choice(_ENDS)))


def _mutant(chance: random.Random, tokens: list[bytes]) -> bytes:
    length = chance.randint(0, 40)
    start = chance.randrange(max(1, len(tokens) - length)) if chance.random() < 0.7 else 0
    pieces = tokens[start : start + length]
    if chance.random() < 0.5:
        pieces += tokens[-chance.randint(1, 6) :]
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 8))):
        _change(chance, pieces)
    data = b"".join(pieces)
    if chance.random() < 0.15 and data:
        data = data[: chance.randrange(len(data))]
    if chance.random() < 0.1 and data:
        place = chance.randrange(len(data))
        data = data[:place] + bytes([chance.choice(b"<>/\"'=!- \n&a\xc3")]) + data[place + 1 :]
    return data


def _change(chance: random.Random, pieces: list[bytes]) -> None:
    place = chance.randint(0, len(pieces))
    match chance.randrange(6):
        case 0 if pieces:
            del pieces[place - 1]
        case 1 if pieces:
            pieces.insert(place, chance.choice(pieces))
        case 2 if pieces:
            other = chance.randrange(len(pieces))
            pieces[other], pieces[place - 1] = pieces[place - 1], pieces[other]
        case 3:
            pieces.append(chance.choice(_PIECES))
        case _:
            pieces.insert(place, chance.choice(_PIECES))
