"""An independent judge of rewritten mail: it takes input, output and report, and no code of the product.

`check` holds that nothing differs outside the reported edits, that every edit is what it says, and that each
http(s) link an HTML parser sees in the top HTML part was tracked or left with a reason, with the exact
target.

As a program (`python tests/fidelity.py --all`) it takes every mail and document of the corpus next to the
checkout, runs `smtpapi rewrite` over them and judges the outcome.
"""

import argparse
import binascii
import email
import email.message
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import html5lib
from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import tokenTypes
from lxml import etree
from lxml import html as lxml_html

from foreign_readers import Readers, Replaced, differences

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
LONGEST = 990
QP_LONGEST = 76

_HTTP = re.compile(r"https?://", re.IGNORECASE)
_TRACKED = re.compile(rb"https?://[^/]+/f/[A-Za-z0-9._-]+/[A-Za-z0-9][A-Za-z0-9_-]*[A-Za-z0-9]")
_PIXEL = re.compile(
    rb'<(?:img|amp-img)[^<>]* src="https?://[^/"]+/q/[A-Za-z0-9][A-Za-z0-9_-]*[A-Za-z0-9]"[^<>]*>(?:</amp-img>)?'
)
_MACRO = re.compile(rb"\{\{\s*(?:opening|closing)_(?:single|double|triple)_curly\(\)\s*\}\}")
_OURS = (
    *("x-msys-api", "x-smtpapi-id", "content-transfer-encoding", "mime-version"),
    *("content-md5", "content-length"),
)
# The fields of one-click unsubscribing (RFC 8058 3.1), as they may be added and never changed.
_LEAVING = {
    "list-unsubscribe": re.compile(
        rb"List-Unsubscribe: <https://[!-;=?-~]+/f/a/[A-Za-z0-9_-]+>(?:,\r?\n <mailto:[!-;=?-~]+>)?\r?\n"
    ),
    "list-unsubscribe-post": re.compile(rb"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?\n"),
}
_CHARSETS = dict.fromkeys(
    ("utf-16", "ucs-2", "iso-10646-ucs-2", "unicode"), "utf-16-le"
)  # as the WHATWG has it
_CLOSED = ("multipart/signed", "multipart/encrypted", "multipart/report", "application/pkcs7-mime")


class Done(NamedTuple):
    """One edit carried out: what stood there, what stands there now."""

    edit: dict[str, Any]
    old: bytes
    new: bytes


def check(before: bytes, after: bytes, report: dict[str, Any], *, clicks: bool = True) -> list[str]:
    """What is wrong with one rewritten message; nothing, if it is as it must be. clicks: are they tracked?"""
    if report["action"] == "untouched":
        return [] if before == after else ["reported as untouched, but it differs"]
    problems: list[str] = []
    done = _follow(before, after, report["edits"], problems)
    if problems:
        return problems
    if before == after:
        problems.append("reported as rewritten, but nothing differs")
    parts, sections = _top_parts(before), _sections(before)
    for item in done:
        problems += _check_edit(item, parts, sections)
    problems += _check_lines(before, after)
    if "text/html" in parts and not report["reason"] and clicks:
        problems += _check_links(parts["text/html"], done, report)
    return problems


def replaced(before: bytes, after: bytes, report: dict[str, Any]) -> list[Replaced]:
    """What stood and stands at each edit as a reader decodes it, for the foreign readers' judgement."""
    found = []
    encodings = _encodings(before)
    for item in _follow(before, after, report["edits"], []):
        done = [item]
        quoted = encodings.get(item.edit["part"], "") == "quoted-printable"
        if item.edit["kind"] == "reencoded":
            inner = item.edit.get("inner", [])
            if encodings.get(item.edit["part"], "") == "base64":
                done = _follow(binascii.a2b_base64(item.old), binascii.a2b_base64(item.new), inner, [])
            else:
                done = _follow(item.old, _unquoted(item.new), inner, [])
        found += [
            Replaced(one.edit["part"], one.edit["kind"], _decoded(one.old, quoted), _decoded(one.new, quoted))
            for one in done
            if one.edit["kind"] != "header"
        ]
    return found


def _decoded(data: bytes, quoted: bool) -> str:
    """The ASCII text of an edit; in UTF-16 too."""
    return (_unquoted(data) if quoted else data).replace(b"\0", b"").decode("latin-1")


def _encodings(raw: bytes) -> dict[str, str]:
    """Each leaf's transfer encoding by its section number."""
    found: dict[str, str] = {}

    def walk(part: email.message.Message, section: str) -> None:
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            for number, inner in enumerate(part.get_payload(), 1):
                walk(inner, f"{section}.{number}".removeprefix("."))
        else:
            found[section or "1"] = str(part.get("Content-Transfer-Encoding", "")).strip().lower()

    walk(_parsed(raw), "")
    return found


def links(before: bytes, report: dict[str, Any]) -> list[str]:
    """What `check` says of the links of a message that was left untouched because it had none."""
    parts = _top_parts(before)
    return list(_check_links(parts["text/html"], [], report)) if "text/html" in parts else []


def _follow(before: bytes, after: bytes, edits: list[dict[str, Any]], problems: list[str]) -> list[Done]:
    """Walk both messages side by side: equal outside the edits, which ascend."""
    done: list[Done] = []
    here = there = 0
    for edit in edits:
        start, stop, length = edit["start"], edit["end"], edit["length"]
        if not here <= start <= stop <= len(before):
            problems.append(f"edits overlap or run out of the message at {start}")
            return done
        gap = start - here
        if before[here:start] != after[there : there + gap]:
            problems.append(f"bytes differ outside the edits between {here} and {start}")
            return done
        there += gap
        done.append(Done(edit, before[start:stop], after[there : there + length]))
        here, there = stop, there + length
    if before[here:] != after[there:]:
        problems.append(f"bytes differ after the last edit, from {here} on")
    return done


class Part(NamedTuple):
    """A top part by the standard library: its decoded bytes, its transfer encoding, its charset."""

    data: bytes
    encoding: str
    charset: str


def _top_parts(raw: bytes) -> dict[str, Part]:
    """The first part of each kind that is shown and no file, as Python's own parser sees them."""
    seen: list[tuple[str, Part, bool]] = []

    def walk(part: email.message.Message, version: bool) -> None:
        kind = part.get_content_type()
        if kind in _CLOSED or kind.startswith("message/"):
            return
        if part.is_multipart():
            inside: Any = part.get_payload()
            root = inside[0] if inside else None
            if kind == "multipart/related" and (start := str(part.get_param("start") or "")):
                roots = [one for one in inside if str(one.get("Content-ID", "")).strip() == start]
                root, inside = (roots[0], roots) if roots else (None, inside)
            for inner in inside:
                of_root = kind == "multipart/related" and version and inner is root
                walk(inner, kind == "multipart/alternative" or of_root)
            return
        disposition = (part.get_content_disposition() or "").strip()
        if kind in ("text/html", "text/plain", "text/x-amp-html") and disposition in ("", "inline"):
            encoding = re.sub(r"\(.*?\)|;.*", "", str(part.get("Content-Transfer-Encoding", "")))
            encoding = encoding.strip().lower()
            payload: object
            if encoding == "quoted-printable":
                payload = _unquoted(part._payload.encode("ascii", "surrogateescape"))  # type: ignore[attr-defined] # the octets as they came
            else:
                payload = part.get_payload(decode=True)
            charset = str(part.get_param("charset") or "")
            data = payload if isinstance(payload, bytes) else b""
            named = bool(part.get_filename()) and not version
            seen.append((kind, Part(data, encoding, _CHARSETS.get(charset.lower(), charset)), named))

    walk(_parsed(raw), version=False)
    files_count = all(named for _, _, named in seen)
    found: dict[str, Part] = {}
    for kind, one, named in seen:
        if files_count or not named:
            found.setdefault(kind, one)
    return found


def _parsed(raw: bytes) -> email.message.Message:
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    head, blank, body = raw.partition(b"\n\r\n" if b"\n\r\n" in raw else b"\n\n")
    raw = re.sub(rb"(?m)^([!-9;-~]+)[ \t]+:", rb"\1:", head) + blank + body  # RFC 5322 4.5
    return email.message_from_bytes(raw)


def _unquoted(data: bytes) -> bytes:
    """Quoted-printable as mail programs read it: blanks after a soft break go, malformed escapes stay."""
    return re.sub(
        rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))",
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"",
        data,
    )


def _sections(raw: bytes) -> dict[str, Part]:
    """How each leaf is encoded, by its section number; without its bytes."""
    found: dict[str, Part] = {}

    def walk(part: email.message.Message, section: str) -> None:
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            inside: Any = part.get_payload()
            for number, inner in enumerate(inside, 1):
                walk(inner, f"{section}.{number}".removeprefix("."))
            return
        encoding = re.sub(r"\(.*?\)|;.*", "", str(part.get("Content-Transfer-Encoding", "")))
        charset = str(part.get_param("charset") or "")
        found[section] = Part(b"", encoding.strip().lower(), _CHARSETS.get(charset.lower(), charset))

    walk(_parsed(raw), "")
    return found


def _check_edit(item: Done, parts: dict[str, Part], sections: dict[str, Part]) -> Iterator[str]:
    edit = item.edit
    kind = edit["kind"]
    where = f"edit at {edit['start']} ({kind})"
    part = parts.get(edit["type"], Part(b"", "", ""))
    if kind in ("macro", "reencoded"):  # in every part that is shown, not in the first of its kind alone
        part = sections.get(edit["part"], part)
    if kind == "header":
        leaving = _LEAVING.get(edit["name"].lower())
        if leaving is not None:
            if item.old or not leaving.fullmatch(item.new) or max(map(len, item.new.splitlines())) > 998:
                yield f"{where}: not the field of one-click unsubscribing, added"
        elif edit["name"].lower() not in _OURS:
            yield f"{where}: field {edit['name']!r} is none of ours to change"
        if b"\n\n" in item.new.replace(b"\r", b""):
            yield f"{where}: an empty line in a header"
    elif kind == "reencoded":
        yield from _check_reencoded(item, part, where)
    else:
        quoted = part.encoding == "quoted-printable"
        old = _unquoted(item.old) if quoted else item.old
        new = _unquoted(item.new) if quoted else item.new
        yield from _check_values(edit, _ascii(old, part), _ascii(new, part), where)


def _check_values(edit: dict[str, Any], old: bytes, new: bytes, where: str) -> Iterator[str]:
    """An edit's decoded bytes are what its kind says."""
    match edit["kind"]:
        case "link":
            if not _TRACKED.fullmatch(new):
                yield f"{where}: {new[:80]!r} is no tracked link"
            target = _attribute(old) if "html" in edit["type"] else old.decode("latin-1")
            if "{{" not in target and target != edit["target"]:
                yield f"{where}: the target is {edit['target']!r}, the author wrote {target!r}"
        case "pixel":
            if old or not _PIXEL.fullmatch(new):
                yield f"{where}: {old[:40]!r} -> {new[:80]!r} is no pixel"
        case "attribute":
            if new or b"data-msys-" not in old.lower():
                yield f"{where}: {old[:80]!r} is no attribute of ours"
        case "macro":
            if not _MACRO.fullmatch(old) or not re.fullmatch(rb"\{{1,3}|\}{1,3}", new):
                yield f"{where}: {old[:80]!r} is no brace macro"
        case kind:
            yield f"{where}: unknown kind {kind}"


def _check_reencoded(item: Done, part: Part, where: str) -> Iterator[str]:
    """Old and new body, both decoded, differ in the inner edits alone."""
    if part.encoding == "base64":
        old, new = (binascii.a2b_base64(data) for data in (item.old, item.new))
    else:
        old, new = item.old, _unquoted(item.new)
    problems: list[str] = []
    inner = item.edit.get("inner", [])
    done = _follow(old, new, inner, problems)
    if problems:
        # Offsets of a charset that is not ASCII's superset are in its own bytes too, so this must hold.
        yield f"{where}: decoded, {problems[0]}"
        return
    for one in done:
        yield from _check_values(one.edit, _ascii(one.old, part), _ascii(one.new, part), f"{where}, inner")


def _ascii(data: bytes, part: Part) -> bytes:
    """An edit's bytes without their charset, where that is none of ASCII's family."""
    label = {"unicode-1-1-utf-7": "utf-7"}.get(part.charset.lower(), part.charset)
    if not re.match(r"utf-?(16|32|7)|iso-2022|hz|cp037", label, re.IGNORECASE):
        return data
    try:
        return data.decode(label).encode("utf-8")
    except UnicodeError:
        return data


def _attribute(value: bytes) -> str:
    """The attribute's value as a browser reads it."""
    text = value.decode("latin-1")
    quote = '"' if '"' not in text else "'"
    found = _parsed_links(f"<a href={quote}{text}{quote}>")
    return found[0] if found else ""


class _Tokens(HTMLTokenizer):
    """Keeps each a and area start tag's href as it passes to the parser, before the tree repairs anything."""

    def __iter__(self) -> Iterator[Any]:
        for token in super().__iter__():
            if token["type"] == tokenTypes["StartTag"] and token["name"] in ("a", "area"):
                attributes: Any = token["data"]
                href = attributes.get("href")
                if href is not None:
                    self.parser.found.append(href.strip(" \t\n\f\r"))
            yield token


class _Parser(html5lib.HTMLParser):
    found: list[str]

    def mainLoop(self) -> None:  # noqa: N802 - html5lib's name
        self.tokenizer.__class__ = _Tokens
        super().mainLoop()


def _parsed_links(text: str) -> list[str]:
    parser = _Parser(tree=html5lib.getTreeBuilder("etree"), strict=False)
    parser.found = []
    parser.parse(text)
    return parser.found


@lru_cache(maxsize=64)
def _html_links(data: bytes, charset: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Every a and area href by html5lib in order, and the http(s) ones by lxml."""
    try:
        text = data.decode(charset or "utf-8")
    except (LookupError, UnicodeError):
        text = data.decode("latin-1")
    seen = []
    try:
        tree = lxml_html.document_fromstring(data.decode("latin-1") if text.isascii() else text)
        seen = [(e.get("href") or "").strip(" \t\n\f\r") for e in tree.iter("a", "area")]
    except (etree.ParserError, ValueError, AssertionError):
        pass  # nothing to parse
    return tuple(_parsed_links(text)), frozenset(link for link in seen if _HTTP.match(link))


def _check_links(part: Part, done: list[Done], report: dict[str, Any]) -> Iterator[str]:
    """All http(s) links of the top HTML part are accounted for, in number and target."""
    if any(s["offset"] < 0 for s in report["skipped"]):
        return
    edits = [item.edit for item in done if item.edit["type"] == "text/html"]
    edits += [inner for edit in edits for inner in edit.get("inner", ())]
    tracked = Counter(_key(edit["target"]) for edit in edits if edit["kind"] == "link")
    left = Counter(_key(s["url"]) for s in report["skipped"])
    by_html5lib, by_lxml = _html_links(part.data, part.charset)
    seen = Counter(_key(link) for link in by_html5lib if _HTTP.match(link) and "_curly()" not in link)
    for link, number in seen.items():
        if tracked[link] + left[link] < number:
            yield f"{link!r}: seen {number} times, {tracked[link]} tracked, {left[link]} left with a reason"
    for link in tracked:
        if link not in seen and "{" not in link:
            yield f"{link!r} was tracked, and html5lib sees no such link"
    for link in by_lxml:
        if _key(link) not in seen and _key(link) not in left and "_curly()" not in link:
            yield f"{link!r} is seen by lxml alone"


def _key(link: str) -> str:
    """Links compared by their ASCII characters: how others were decoded is the charset's matter."""
    return "".join(c for c in link if c.isascii() and c.isprintable())


def _check_lines(before: bytes, after: bytes) -> Iterator[str]:
    """No line was made too long that was not too long before."""
    old = {line.rstrip(b"\r") for line in before.split(b"\n")}
    longest = max(map(len, old)) + 1  # such a line may be cut by a soft break, whose "=" comes behind it
    for line in after.split(b"\n"):
        length = len(line.rstrip(b"\r"))
        if length > max(LONGEST, longest) and line.rstrip(b"\r") not in old:
            yield f"a line of {length} octets was made"


# --- the run over the corpus -----------------------------------------------------------------------------

_CONFIG = """
smtpapi { }
ESMTP_Listener {
  click_tracking_enabled = true
  open_tracking_enabled = true
  initial_open_tracking_enabled = true
  click_tracking_scheme = "https"
  open_tracking_scheme = "https"
  tracking_domain = "track.example.net"
}
"""
_SIGNATURES = re.compile(rb"(?im)^(?:DKIM-Signature|ARC-[A-Za-z-]+|X-MSYS-API):[^\n]*\n(?:[ \t][^\n]*\n)*")
_ENCODERS = ("7bit", "8bit", "quoted-printable", "base64")


def mails() -> Iterator[tuple[str, bytes]]:
    """(name, raw) of each mail, and again without its signatures where it has some."""
    for path in sorted((CORPUS / "mail").rglob("*.eml")):
        raw = path.read_bytes()
        name = path.relative_to(CORPUS).as_posix()
        yield name, raw
        head, blank, body = raw.partition(b"\n\r\n" if b"\n\r\n" in raw else b"\n\n")
        if (bare := _SIGNATURES.sub(b"", head + b"\n")[:-1]) != head:
            yield f"unsigned/{name}", bare + blank + body


def wrapped() -> Iterator[tuple[str, bytes]]:
    """(name, raw) of each HTML and AMP document as mail: each encoding, alone and in an alternative."""
    for kind, media in (("html", "text/html"), ("amp", "text/x-amp-html")):
        for path in sorted((CORPUS / kind).rglob("*.html")):
            document = path.read_bytes()
            name = path.relative_to(CORPUS).as_posix()
            for encoding in _ENCODERS:
                if encoding == "7bit" and not document.isascii():
                    continue
                part = _part(document, media, encoding)
                if kind == "html":
                    yield f"{name}.{encoding}.alone.eml", _HEAD + part
                text_part = _part(b"See https://www.example.com/ for more.\r\n", "text/plain", encoding)
                parts = [text_part, part]
                if kind == "amp":
                    parts.append(_part(b"<p>Hi", "text/html", encoding))
                yield f"{name}.{encoding}.alternative.eml", _HEAD + _alternative(parts)


_HEAD = b"From: a@example.com\r\nTo: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"


def _part(document: bytes, media: str, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        text = document.replace(b"\r\n", b"\n")
        body = binascii.b2a_qp(text).replace(b"\n", b"\r\n")
    elif encoding == "base64":
        code = binascii.b2a_base64(document, newline=False)
        body = b"".join(code[at : at + 76] + b"\r\n" for at in range(0, len(code), 76))
    else:
        body = document
    fields = f"Content-Type: {media}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return fields.encode() + body


def _alternative(parts: list[bytes]) -> bytes:
    boundary = "=_" + hashlib.sha256(b"".join(parts)).hexdigest()[:24]
    pieces = [f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode()]
    pieces += [f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def foreign(folder: Path, reports: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What postal-mime and mailparser see differently in rewritten mail; mails are below `in` and `out`."""
    with Readers(folder) as readers:
        for name, report in reports.items():
            before, after = ((folder / place / name).read_bytes() for place in ("in", "out"))
            if before != after:
                old, new = readers.see([f"in/{name}", f"out/{name}"])
                for difference in differences(old, new, replaced(before, after, report)):
                    yield f"{name}: {difference}"


def judge(
    cases: list[tuple[str, bytes]], command: list[str], *, readers: bool = False
) -> tuple[Counter[str], list[str]]:
    """Run the command over the cases. Counts of what became of them, and a line for each fault.

    readers: whether foreign readers judge as well.
    """
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, raw in cases:
            target = root / "in" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
        ring = ["keys", "init", "--ring", str(root / "ring")]
        subprocess.run([*command, *ring], check=True, capture_output=True)
        (root / "smtpapi.conf").write_text(f'{_CONFIG}keys {{ ring = "{root}/ring" }}\n')
        places = ["--config", "smtpapi.conf", "--output-dir", "out", "--report", "report", "in"]
        options = [place if place.startswith("-") else str(root / place) for place in places]
        subprocess.run([*command, "rewrite", *options], check=True)
        lines = [json.loads(line) for line in (root / "report").read_text().splitlines()]
        reports = {line["file"]: line for line in lines}
        if reports.keys() != {name for name, _ in cases}:
            faults.append("the report does not name the same messages")
        for name, raw in cases:
            report = reports[name]
            outcomes[f"{report['action']} {report['reason']}".strip()] += 1
            outcomes["skipped links"] += len(report["skipped"])
            outcomes["edits"] += len(report["edits"])
            problems = check(raw, (root / "out" / name).read_bytes(), report)
            if report["reason"] == "no-link":
                problems += links(raw, report)
            if report["reason"] == "internal-error":
                problems.append("an internal error")
            faults += [f"{name}: {problem}" for problem in problems]
        if readers:
            faults += foreign(root, reports)
    return outcomes, faults


def main() -> int:
    """Judge the whole corpus, or a part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all mails and documents; else every twentieth")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    if not CORPUS.is_dir():
        print(f"no corpus at {CORPUS}")
        return 2
    cases = [case for case in [*mails(), *wrapped()] if arguments.only in case[0]]
    if not arguments.all:
        cases = cases[::20]
    outcomes, faults = judge(cases, COMMAND, readers=True)
    for outcome, number in outcomes.most_common():
        print(f"{number:8} {outcome}")
    print(*faults, sep="\n")
    print(f"{len(cases)} messages, {len({fault.partition(': ')[0] for fault in faults})} with faults")
    return bool(faults)


_ROOT = Path(__file__).resolve().parents[1]
COMMAND = [
    sys.executable,
    "-c",
    f"import sys; sys.path[:0] = [{str(_ROOT / 'milter')!r}, {str(_ROOT)!r}];"
    " from smtpapi.commands import main; main()",
]

if __name__ == "__main__":
    sys.exit(main())
