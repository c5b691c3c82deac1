"""How fast links are found, beside parsers that build a tree or call back for every tag.

    python bench/scanning.py FILE…            a table: MB/s of each, and ours in multiples of it
    python bench/scanning.py FILE… --json     the same as one JSON object

FILEs are HTML documents or mails, whose HTML parts are decoded beforehand. Each way finds the href of every
`a` and `area`; only ours also tells where in the bytes they stand, and is timed without its part in C, too. A
filter on lxml must serialise as well, so that is timed too.
"""

import argparse
import email
import json
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import lxml.html
from bs4 import BeautifulSoup

from smtpapi.find import html

LINKS = ("a", "area")


class _Callbacks(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LINKS:
            self.hrefs += [value for name, value in attrs if name == "href"]


def by_span(document: bytes) -> int:
    return len(html.scan(document).anchors)


def by_span_in_python(document: bytes) -> int:
    return len(html.scan_by_expressions(document).anchors)


def by_lxml(document: bytes) -> int:
    tree = lxml.html.document_fromstring(document)
    return sum(element.get("href") is not None for element in tree.iter(*LINKS))


def by_lxml_and_back(document: bytes) -> int:
    tree = lxml.html.document_fromstring(document)
    links = [element for element in tree.iter(*LINKS) if element.get("href") is not None]
    for element in links:
        element.set("href", "https://track.example/f/a/x")
    return len(links) if lxml.html.tostring(tree) else 0


def by_html_parser(document: bytes) -> int:
    parser = _Callbacks()
    parser.feed(document.decode("latin-1"))
    return len(parser.hrefs)


def by_beautiful_soup(document: bytes) -> int:
    return len(BeautifulSoup(document, "html.parser").find_all(LINKS, href=True))


WAYS: dict[str, Callable[[bytes], int]] = {
    "smtpapi.find.html": by_span,
    "the same without C": by_span_in_python,
    "lxml": by_lxml,
    "lxml, serialised": by_lxml_and_back,
    "html.parser": by_html_parser,
    "BeautifulSoup": by_beautiful_soup,
}


def documents(paths: list[Path]) -> list[bytes]:
    found = []
    for path in paths:
        raw = path.read_bytes()
        if path.suffix.lower() not in {".eml", ".msg"}:
            found.append(raw)
            continue
        for part in email.message_from_bytes(raw).walk():
            payload = part.get_payload(decode=True)
            if part.get_content_type() == "text/html" and isinstance(payload, bytes):
                found.append(payload)
    return [document for document in found if document.strip()]


def measure(way: Callable[[bytes], int], documents: list[bytes], seconds: float) -> dict[str, float]:
    """CPU time of whole rounds over all documents, until seconds have passed; the best round counts."""
    best = float("inf")
    links = 0
    end = time.monotonic() + seconds
    while True:
        start = time.process_time()
        links = sum(way(document) for document in documents)
        best = min(best, time.process_time() - start)
        if time.monotonic() > end:
            break
    size = sum(map(len, documents))
    return {
        "links": links,
        "mb_per_second": size / best / 1e6,
        "milliseconds_per_document": best / len(documents) * 1e3,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each way (default: 2)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = documents(arguments.files)
    if not found:
        print("scanning: no HTML in these files", file=sys.stderr)
        return 2
    results = {name: measure(way, found, arguments.seconds) for name, way in WAYS.items()}
    ours = results["smtpapi.find.html"]["mb_per_second"]
    for result in results.values():
        result["ours_is_times"] = ours / result["mb_per_second"]
    size = sum(map(len, found))
    if arguments.json:
        print(json.dumps({"docs": len(found), "bytes": size, "ways": results}))
        return 0
    print(f"{len(found)} documents, {size} bytes")
    for name, result in results.items():
        print(
            f"{name:18} {result['links']:6} links {result['mb_per_second']:8.1f} MB/s "
            f"{result['milliseconds_per_document']:8.3f} ms each, ours {result['ours_is_times']:5.1f} times"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
