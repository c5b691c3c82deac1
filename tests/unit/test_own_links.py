"""Our own links are found in a body however it was wrapped or encoded on its way (smtpapi.hop.own_links)."""

import base64
import quopri

import pytest

from engagement.links.model import Kind
from smtpapi.hop.own_links import carries
from web.web_cases import NOW, RING, identity, token

MESSAGE = identity().message_id
OTHER = b"\1" * 16
LINK = f"see https://t.example/f/a/{token()} there\n".encode()
MIDDLE = LINK.index(b"/f/a/") + 40


def wrapped(link: bytes, end: bytes) -> bytes:
    return link[:MIDDLE] + b"=" + end + link[MIDDLE:]


@pytest.mark.parametrize(
    "body",
    [
        LINK,
        wrapped(LINK, b"\n"),
        wrapped(LINK, b"\r\n"),
        LINK.replace(b"/f/a/", b"=2Ff/a/") + b"=3D",
        b"x=3Dy\n" + wrapped(LINK, b"\n"),
        quopri.encodestring(LINK, quotetabs=True),
        base64.encodebytes(LINK),
        base64.encodebytes(LINK).replace(b"\n", b"\r\n"),
        base64.encodebytes(LINK.decode().encode("utf-16-le")),
        b"--b\n\ntext\n--b\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(b"x" * 200 + LINK),
        f"<img src=https://t.example/q/{token(Kind.OPEN, None)}>".encode(),
        LINK.replace(b" there", b"-_ there"),
    ],
)
def test_a_link_of_the_message_is_found(body: bytes) -> None:
    assert carries(body, [MESSAGE], RING, NOW - 86_400)
    assert carries(body, [OTHER, MESSAGE], RING, identity().issued)
    assert not carries(body, [MESSAGE], RING, identity().issued + 1)
    assert not carries(body, [OTHER], RING, NOW - 86_400)
    assert not carries(body, [], RING, NOW - 86_400)


@pytest.mark.parametrize("body", [b"", b"see https://t.example/f/a/ there", LINK[:MIDDLE], LINK.swapcase()])
def test_what_holds_no_whole_link_holds_none(body: bytes) -> None:
    assert not carries(body, [MESSAGE], RING, NOW - 86_400)
