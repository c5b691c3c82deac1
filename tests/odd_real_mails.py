"""Real mails, their MIME fields and boundaries broken by a few bytes or lines: the same for the same seed.

From the golden cases and the corpus beside the checkout, without signatures, as signed mail is left alone.
"""

import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import odd_mime

ROOT = Path(__file__).resolve().parent
CORPUS = ROOT.parents[1] / "shared" / "corpus"

_LARGEST = 60_000  # bytes: what is odd is in the header, and readers take a while for the rest
_SIGNATURES = re.compile(
    rb"(?im)^(?:(?:X-Google-)?DKIM-Signature|DomainKey-Signature|ARC-[A-Za-z-]+|X-Developer-\w+|X-MSYS-API):"
    rb"[^\n]*\n(?:[ \t][^\n]*\n)*"
)
_PLACES = re.compile(
    rb"(?im)^(?:content-[^\n]*\n(?:[ \t][^\n]*\n)*|--[^\n]*\n|mime-version[^\n]*\n|\r?\n)"
)  # whole lines
_PIECES = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\r\n",
        b"\r\n ",
        b"\n\t",
        b"\r\n\r\n",
        b"\n\n",
        b"\r\n \r\n",
        b"\0",
        b" ",
        b"\t",
    ),
    *(
        b'"',
        b"'",
        b";",
        b" ;",
        b"(",
        b")",
        b"(c)",
        b"\\",
        b":",
        b",",
        b"<",
        b">",
        b"=",
        b"-",
        b"--",
        b".",
        b"%",
    ),
    *(
        b"*",
        b"*0",
        b"*=utf-8''",
        b"=?utf-8?q?x?=",
        b"\x0b",
        b"\x0c",
        b"\x1a",
        b"\x7f",
        b"\x85",
        b"\xa0",
        b"\xe9",
    ),
    *(b"\xc3\xa9", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"; charset=utf-16", b"; boundary=x", b"; name=x.html"),
    b"; filename=x.html",
)


@cache
def _mails() -> tuple[bytes, ...]:
    paths = sorted([*CORPUS.glob("mail/*/*.eml"), *ROOT.glob("golden/messages/*/in.eml")])
    found = (_SIGNATURES.sub(b"", path.read_bytes()) for path in paths)
    return tuple(raw for raw in found if len(raw) < _LARGEST and b"multipart" in raw)


def broken(seed: str, count: int) -> Iterator[bytes]:
    """So many mails, each with one to three changes."""
    chance = random.Random(seed)
    for _ in range(count):
        raw = chance.choice(_mails())
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            raw = _changed(chance, raw)
        yield raw


def _changed(chance: random.Random, raw: bytes) -> bytes:
    lines = [found.span() for found in _PLACES.finditer(raw)]
    if not lines:
        return raw
    start, stop = chance.choice(lines)
    other = slice(*chance.choice(lines))
    at = chance.randint(start, stop)
    match chance.randrange(8):
        case 0 | 1 | 2:
            return raw[:at] + chance.choice(_PIECES) + raw[at:]
        case 3:
            return raw[:start] + raw[stop:]
        case 4:
            return raw[:stop] + raw[start:]
        case 5:
            return (
                raw[:start] + chance.choice(odd_mime.lines()) + chance.choice((b"\r\n", b"\n")) + raw[start:]
            )
        case 6:
            return raw[:stop] + raw[other] + raw[stop:]
        case _:
            return raw[:at] + raw[at + 1 :]
