"""The ways: each takes a raw mail, or an HTML document, and gives it back with tracked links and a pixel.

Each is written as its own documentation says, or as most people write it first. `leads` tells where a link
of the way leads; it makes the judge's work the same for all.
"""

from __future__ import annotations

import email
import email.policy
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from bench import program  # noqa: F401 - finds what follows
from bench.rewriting import KEY, NOW, copy_links, filter_, html_rewriter
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Kind
from engagement.links.token import BadToken, open_token
from engagement.links.urls import read_path

HOST = "track.example.net"
CLICK, OPEN = f"https://{HOST}/c/", f"https://{HOST}/o/"
PIXEL = "pixel"
_RING = Ring(()).rotated(bytes(range(32)), NOW)
_HERE = Path(__file__).parent

Leads = Callable[[str], str]
"""Gives the target of a tracked link, `PIXEL` for a pixel's address, "" for anything else."""


@dataclass(frozen=True, slots=True)
class Way:
    """name: for the tables. mail, document: what rewrites a whole mail, its HTML alone; None: it cannot."""

    name: str
    leads: Leads
    mail: Callable[[bytes], bytes] | None = None
    document: Callable[[bytes], bytes] | None = None


# --- ours --------------------------------------------------------------------------------------------


def _ours_lead(url: str) -> str:
    if not url.startswith(f"https://{HOST}/"):
        return ""
    requested = read_path(urlsplit(url).path.encode())
    if requested is None:
        return ""
    try:
        opened = open_token(requested.token, _RING)
    except BadToken:
        return ""
    if opened.kind in CLICKS and opened.link is not None:
        return opened.link.target.decode()
    return PIXEL if opened.kind in (Kind.OPEN, Kind.INITIAL_OPEN) else ""


def ours() -> Way:
    """Return the filter's whole work: trust, header, decision, rewriting, record."""
    assert _RING.signing == KEY
    assert copy_links(1) is not None
    return Way("ours", _ours_lead, filter_(), html_rewriter())


# --- what is written first ---------------------------------------------------------------------------


def _query_leads(url: str) -> str:
    if url.startswith(OPEN):
        return PIXEL
    return parse_qs(urlsplit(url).query).get("u", [""])[0] if url.startswith(CLICK) else ""


def _soup(document: bytes) -> bytes:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(document.decode("utf-8", "replace"), "html.parser")
    for anchor in soup.find_all("a", href=True):
        if str(anchor["href"]).startswith(("http://", "https://")):
            anchor["href"] = f"{CLICK}?u={quote(str(anchor['href']), safe='')}"
    soup.append(soup.new_tag("img", src=OPEN, width="1", height="1"))
    return str(soup).encode()


def _lxml(document: bytes) -> bytes:
    from lxml import etree, html

    tree = html.document_fromstring(document)
    for anchor in tree.iter("a", "area"):
        href = anchor.get("href") or ""
        if href.startswith(("http://", "https://")):
            anchor.set("href", f"{CLICK}?u={quote(href, safe='')}")
    pixel = etree.SubElement(tree, "img")
    pixel.set("src", OPEN)
    done: bytes = etree.tostring(tree, method="html")
    return done


def through_email(document: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what takes a mail through the email package: its HTML parts decoded, changed, put back in."""

    def rewrite(raw: bytes) -> bytes:
        mail = email.message_from_bytes(raw, policy=email.policy.SMTP)
        for part in mail.walk():
            if part.get_content_type() == "text/html":
                changed = document(part.get_content().encode("utf-8", "replace"))
                part.set_content(changed.decode("utf-8", "replace"), subtype="html", cte="quoted-printable")
        return mail.as_bytes()

    return rewrite


def soup() -> Way:
    """Return the email package with BeautifulSoup, the filter most people write first."""
    return Way("BeautifulSoup", _query_leads, through_email(_soup), _soup)


def lxml() -> Way:
    """Return the email package with lxml, parsed and serialised."""
    return Way("lxml", _query_leads, through_email(_lxml), _lxml)


def untouched() -> Way:
    """Return the email package alone: read and written, nothing changed."""
    return Way("email package alone", _query_leads, through_email(bytes))


# --- pytracking --------------------------------------------------------------------------------------


def pytracking() -> Way:
    """Return pytracking (PyPI) with its `adapt_html`. Raises ImportError without it."""
    from pytracking import Configuration, get_click_tracking_result
    from pytracking.html import adapt_html

    settings = Configuration(base_open_tracking_url=OPEN, base_click_tracking_url=CLICK)
    facts = {"message": "0123456789abcdef", "recipient": "reader@example.test", "campaign": "spring"}

    def document(raw: bytes) -> bytes:
        changed: str = adapt_html(raw.decode("utf-8", "replace"), facts, configuration=settings)
        return changed.encode()

    def leads(url: str) -> str:
        if url.startswith(OPEN):
            return PIXEL
        if not url.startswith(CLICK):
            return ""
        found = get_click_tracking_result(url.removeprefix(CLICK), configuration=settings)
        return str(found.tracked_url)

    return Way("pytracking", leads, through_email(document), document)


# --- sparkypmtatracking ------------------------------------------------------------------------------


@contextmanager
def sparky(source: Path, folder: Path) -> Iterator[Way]:
    """sparkypmtatracking's TrackHTML, in a process of Go, built in `folder` from the operator's copy.

    Raises subprocess.CalledProcessError where it does not build, OSError without Go.
    """
    place = folder / "sparky"
    (place / "lib").mkdir(parents=True)
    shutil.copy(source / "wrap_html.go", place / "lib")
    shutil.copy(_HERE / "sparky.go.txt", place / "main.go")
    (place / "go.mod").write_text("module peer\n\ngo 1.20\n")
    for arguments in (("mod", "tidy"), ("build", "-o", "peer", ".")):
        subprocess.run(["go", *arguments], cwd=place, check=True, capture_output=True, timeout=300)
    with subprocess.Popen([place / "peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        writer, reader = process.stdin, process.stdout

        def ask(verb: bytes, data: bytes) -> bytes:
            writer.write(verb + struct.pack(">I", len(data)) + data)
            writer.flush()
            return reader.read(struct.unpack(">I", reader.read(4))[0])

        try:
            yield Way(
                "sparkypmtatracking",
                lambda url: ask(b"L", url.encode()).decode() if url.startswith(f"https://{HOST}/") else "",
                document=lambda raw: ask(b"D", raw),
            )
        finally:
            writer.close()
            process.wait(timeout=10)
