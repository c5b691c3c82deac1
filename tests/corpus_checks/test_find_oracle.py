"""Links found by position against two other opinions: html5lib's tokenizer and lxml's tree.

The first must agree in full, in order; the second is no HTML5 parser, and may only see nothing that we miss.
On the developers' corpus beside the checkout where there is one, and always on the golden documents.
"""

import email
import email.policy
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from html5lib.constants import DataLossWarning

from corpus_checks.html5lib_links import as_html5lib_reads, hrefs, is_http
from smtpapi.find import (
    amp,
    foreign,
    html,
    text,
)
from smtpapi.find.html_syntax import markup, raw_text
from smtpapi.find.html_syntax.entities import decode

CHECKOUT = Path(__file__).parents[2]
CORPUS = CHECKOUT.parent / "shared" / "corpus"
GOLDEN = CHECKOUT / "tests" / "golden" / "documents"
DATA_STATE = "Data state"


def documents() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every HTML document: files, and HTML parts of mails."""
    for path in sorted(
        [*GOLDEN.glob("*/in.html"), *CORPUS.glob("html/*/*.html"), *CORPUS.glob("amp/*/*.html")]
    ):
        yield path.name if CORPUS not in path.parents else str(path.relative_to(CORPUS)), path.read_bytes()
    for path in sorted(CORPUS.glob("mail/*/*.eml")):
        for number, part in enumerate(html_parts(path.read_bytes())):
            yield f"{path.relative_to(CORPUS)}#{number}", part


def html_parts(raw: bytes) -> Iterator[bytes]:
    for part in email.message_from_bytes(raw, policy=email.policy.compat32).walk():
        if part.get_content_type() == "text/html" and not part.is_multipart():
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes) and payload:
                yield payload


def one_byte_one_character(data: bytes) -> bytes:
    """The document as if it were Latin-1, in UTF-8: any bytes, and one offset for both readers."""
    return data.decode("latin-1").encode("utf-8")


@pytest.fixture(scope="module")
def all_documents() -> list[tuple[str, bytes]]:
    return [(name, one_byte_one_character(data)) for name, data in documents()]


def _differences(documents: list[tuple[str, bytes]]) -> dict[str, tuple[list[str], list[str]]]:
    different = {}
    for name, data in documents:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataLossWarning)
            theirs = [target for target in hrefs(data.decode("utf-8")) if is_http(target)]
        ours = [as_html5lib_reads(anchor.target) for anchor in html.scan(data).anchors]
        ours = [target for target in ours if is_http(target)]
        if ours != theirs:
            different[name] = (ours, theirs)
    return different


def test_html5lib_sees_the_same_links_in_the_same_order(all_documents: list[tuple[str, bytes]]) -> None:
    assert _differences(all_documents[::8]) == {}


@pytest.mark.long
def test_html5lib_sees_the_same_links_in_all_documents(all_documents: list[tuple[str, bytes]]) -> None:
    assert _differences(all_documents) == {}


def test_every_link_of_lxml_is_found(all_documents: list[tuple[str, bytes]]) -> None:
    missing = {}
    for name, data in all_documents:
        if not data.strip() or b"\0" in data:  # libxml2 ends at a NUL
            continue
        ours = {_comparable(anchor.target.decode("utf-8")) for anchor in html.scan(data).anchors}
        lost = [target for target in _lxml_links(data) if target not in ours]
        if lost:
            missing[name] = lost
    assert missing == {}


def _lxml_links(data: bytes) -> list[str]:
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree: Any = lxml.html.document_fromstring(data, parser=parser)
    except lxml.etree.ParserError:  # a document without any element
        return []
    found = (element.get("href") or "" for element in tree.iter("a", "area"))
    return [_comparable(href) for href in found if is_http(href.strip())]


def _comparable(target: str) -> str:
    return "".join(target.split())


def test_amp_documents_hold_the_links_of_html_but_mustache(all_documents: list[tuple[str, bytes]]) -> None:
    for name, data in all_documents:
        if not name.startswith("amp/"):
            continue
        anchors = [a for a in html.scan(data).anchors if a.tag == "a" and b"{{" not in a.target]
        assert list(amp.scan(data).anchors) == anchors


def test_spans_hold_the_targets(all_documents: list[tuple[str, bytes]]) -> None:
    for name, data in all_documents:
        end = 0
        for anchor in html.scan(data).anchors:
            assert end <= anchor.start <= anchor.stop <= len(data), name
            end = anchor.stop


# The tokenizer's own cases, of html5lib-tests where they are and a few of our own.
OWN_TAGS: list[tuple[str, list[tuple[str, dict[str, str]]]]] = [
    ("<h a='>' b=\">\">", [("h", {"a": ">", "b": ">"})]),
    ("<h a=1 A=2>", [("h", {"a": "1"})]),
    ("<h =a=b>", [("h", {"=a": "b"})]),
    ("<h a\"b'=c>", [("h", {"a\"b'": "c"})]),
    ("<h a= ><h a>", [("h", {"a": ""})] * 2),
    ("<h/a/b=c/>", [("h", {"a": "", "b": "c/"})]),
    ("<h><h a='>", [("h", {})]),
    ("</h <h>", []),
    ("</h a='<h>'><h>", [("h", {})]),
    ("<!h><?h></ h><h>", [("h", {})]),
    ("<!--><h><!---><h>", [("h", {})] * 2),
    ("<!----!><h><!-- --!><h>", [("h", {})] * 2),
    ("<h'\"<=&a>", [("h'\"<=&a", {})]),
]
OWN_RAW_TEXT = [
    ("RAWTEXT state", "xmp", "</xmpx></XMP >", True),
    ("RCDATA state", "title", "<title></title", False),
    ("Script data state", "script", "<!--<script></script>--></script>", True),
    ("Script data state", "script", "<!--<script></script>", False),
]


def vectors() -> Iterator[dict[str, Any]]:
    for source, tags in OWN_TAGS:
        yield {"input": source, "output": [["StartTag", *tag] for tag in tags]}
    for state, name, source, ends in OWN_RAW_TEXT:
        output = [["Character"], ["EndTag"]] if ends else [["Character"]]
        yield {"input": source, "initialStates": [state], "lastStartTag": name, "output": output}
    for path in sorted((CORPUS / "vectors" / "html5lib-tokenizer").glob("*.test")):
        for test in json.loads(path.read_text("utf-8")).get("tests", []):
            if test.get("doubleEscaped"):
                test = json.loads(json.dumps(test).replace(r"\\u", r"\u"))
            if not any(
                "\ud800" <= character <= "\udfff" for character in test["input"]
            ):  # no bytes hold them
                yield test


def start_tags(data: bytes, expression: re.Pattern[bytes]) -> list[tuple[str, dict[str, str]]]:
    """Start tags with decoded attributes, found by an expression that stops at each tag of interest."""
    tags = []
    position = 0
    while (found := expression.match(data, position)) and found.end() > position:
        position = found.end(1) if found[1] is not None else found.end()
        token = found[1]
        if token == b"!--":
            position = markup.comment_end(data, position, len(data))
        elif token and token[:1] != b"!":
            start, position = position, markup.tag_end(data, position, len(data))
            if position < 0:
                break
            if token[:1] != b"/":
                tags.append((_name(token), _attributes(data, start, position)))
        elif token is not None and data[position : position + 1] in {b"!", b"?", b"/", b"C"}:
            end = data.find(b">", position)
            position = len(data) if end < 0 else end + 1
    return tags


def _name(raw: bytes) -> str:
    return as_html5lib_reads(bytes(raw).lower())


def _attributes(data: bytes, start: int, stop: int) -> dict[str, str]:
    values: dict[str, str] = {}
    for found in markup.attributes(data, start, stop):
        which = found.lastindex or 1
        raw = decode(found[which]) if which > 1 else b""
        text = raw.decode("utf-8").replace("\r\n", "\n").replace("\0", "\ufffd")
        values.setdefault(_name(found[1]), text)
    return values


def test_tokenizer_vectors_in_the_data_state() -> None:
    seen = 0
    for test in vectors():
        if DATA_STATE not in test.get("initialStates", [DATA_STATE]):
            continue
        data = test["input"].encode("utf-8")
        expected = [(token[1], token[2]) for token in test["output"] if token[0] == "StartTag"]
        assert start_tags(data, foreign.TOKEN) == expected, test
        names = {name.encode("utf-8") for name, _ in expected if "\ufffd" not in name} | {b"a"}
        swift = [tag for tag in start_tags(data, markup.tokens(*names)) if tag[0].encode("utf-8") in names]
        assert swift == [tag for tag in expected if tag[0].encode("utf-8") in names], test
        seen += 1
    assert seen >= len(OWN_TAGS)


RAW_STATES = {"RCDATA state", "RAWTEXT state", "Script data state", "PLAINTEXT state"}


def test_tokenizer_vectors_in_raw_text() -> None:
    seen = 0
    for test in vectors():
        name = test.get("lastStartTag", "script").encode()
        for state in RAW_STATES.intersection(test.get("initialStates", ())):
            data = test["input"].encode("utf-8")
            is_plaintext = state == "PLAINTEXT state"
            end = raw_text.end(data, b"plaintext" if is_plaintext else name, 0, len(data))
            ends = any(token[0] == "EndTag" for token in test["output"])
            closed = end < len(data) and markup.tag_end(data, end + 2 + len(name), len(data)) > 0
            assert closed == ends, test
            seen += 1
    assert seen >= len(OWN_RAW_TEXT)


URL_CHARACTERS = re.compile(r"https?://[A-Za-z0-9][!-~]*[A-Za-z0-9/]", re.IGNORECASE)


def test_url_vectors_are_found_whole_in_an_href_and_in_text() -> None:
    source = CORPUS / "vectors" / "url" / "urltestdata.json"
    cases = json.loads(source.read_text("utf-8")) if source.exists() else OWN_URLS
    urls = [case["input"] for case in cases if isinstance(case, dict) and "failure" not in case]
    whole = [url for url in urls if URL_CHARACTERS.fullmatch(url)]
    for url in whole:
        raw = url.encode("ascii")
        quoted = raw.replace(b"&", b"&amp;").replace(b'"', b"&quot;")
        (anchor,) = html.scan(b'<a href="%s">' % quoted).anchors
        assert anchor.target == raw
        if not re.search(r"[\\`<>\"\[\](){}]", url):
            assert [link.target for link in text.scan(b"at %s now" % raw)] == [raw]
    assert len(whole) >= len(OWN_URLS)


OWN_URLS = [
    {"input": "http://example.com/foo%2Ehtml?q=a+b&c=%41#x/y"},
    {"input": "HTTPS://EX%41MPLE.example:443/~user/../;a=b,c/$d'e!f*g"},
    {"input": "http://192.168.0.1:8080/?@:=/?#a?b"},
]
