"""A mail with links in three parts, and its tracked links once it is delivered. Not a test."""

import base64
import quopri
import re

from engagement.html_copies.tracked_links import Place
from engagement.links.keys import Ring
from engagement.links.model import BadToken
from engagement.links.token import open_token
from engagement.links.urls import read_url
from hop_mail import RING
from smtpapi.model.message import Field

OURS = re.compile(rb"https?://t\.example\.net/f/[A-Za-z0-9._-]+/[A-Za-z0-9_-]+")
HTML = b"""<html><body><a href="http://x.example/">x</a>
<a href="https://www.shop.example/a?x=1&amp;y=2#z" data-msys-linkname="top banner">a</a>
<a href="https://shop.example/sub" data-msys-sublink="promo">s</a>
<a href="https://shop.example/leave" data-msys-unsubscribe="1">leave</a></body></html>\r\n"""
TEXT = b'x: http://x.example/ and https://shop.example/sub[[data-msys-linkname="there"]]\r\n'
AMP = b"""<!doctype html><html amp4email><head></head><body><a href="http://x.example/">x</a></body></html>\r\n"""
PARAMETERS = (
    ("text/plain", TEXT, "7bit"),
    ("text/x-amp-html", AMP, "7bit"),
    ("text/html", HTML, "quoted-printable"),
)


def several(encoding: str = "quoted-printable") -> tuple[Field, bytes]:
    """The type and body of a mail with a text, an AMP and an HTML part."""
    pieces = []
    for kind, content, default in PARAMETERS:
        used = encoding if kind == "text/html" else default
        coded = content
        if used == "quoted-printable":
            coded = quopri.encodestring(content).replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
        elif used == "base64":
            coded = base64.encodebytes(content).replace(b"\n", b"\r\n")
        head = f"--b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {used}\r\n\r\n".encode()
        pieces.append(head + coded + b"\r\n")
    return Field("Content-Type", b' multipart/alternative; boundary="b"'), b"".join(pieces) + b"--b--\r\n"


def delivered(body: bytes, ring: Ring = RING) -> dict[Place, tuple[str, str]]:
    """The tracked links in a mail by their places: target and address."""
    found = {}
    for url in dict.fromkeys(OURS.findall(body)):
        requested = read_url(url)
        assert requested is not None
        try:
            link = open_token(requested.token, ring).link
        except BadToken:  # cut by a soft break: the whole one is there too
            continue
        assert link is not None
        place = Place(link.part, link.ordinal, link.name or "Raw URL")
        found[place] = (link.target.decode(), url.decode())
    return found
