"""A copy of a mail's HTML for the click map: its text and looks, and the place of each tracked link.

Made from HTML as it went out. What could load, run, lead somewhere or be sent is left out: addresses of all
kinds, scripts, forms, pictures (their size and alternative text stay), comments, and so is what the mail
itself says of its reader. Pure.

Invariant: only tags and attributes that are named here stand in a copy, with quoted values, and each text is
escaped; so a mark is only where a tracked link ends (`engagement.html_copies.model.MARK`).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html import escape
from typing import Final

from lxml import etree, html

from engagement.html_copies.model import CopiedLink, mark
from engagement.links.model import RAW_URL
from smtpapi.model.edit import Edit

HIDDEN: Final = "▒▒▒▒"  # in the place of what the mail says of its reader
_STAYS: Final = frozenset(
    """
    a abbr address article aside b big blockquote br caption center cite code col colgroup dd del dfn
    div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i ins kbd label legend li
    main mark menu nav ol p pre q s samp section small span strike strong sub sup table tbody td tfoot
    th thead time tr tt u ul var wbr
    """.split()  # noqa: SIM905 - one a line would be a page
)
_EMPTY: Final = frozenset(("br", "col", "hr", "wbr"))
_GONE: Final = frozenset(
    """
    applet area audio base canvas datalist embed frame frameset head iframe input link math meta
    noframes object option optgroup param script select source style svg template textarea title track
    video
    """.split()  # noqa: SIM905 - one a line would be a page
)
_ATTRIBUTES: Final = frozenset(
    """
    align bgcolor border cellpadding cellspacing char charoff class clear color colspan dir face height
    hspace id lang noshade nowrap rowspan rules size span start style summary type valign value vspace
    width
    """.split()  # noqa: SIM905 - one a line would be a page
)
_URL: Final = re.compile(r"url\(", re.IGNORECASE)
_LOADS: Final = re.compile(r"url\(|image-set|@import|expression|src\(|\\", re.IGNORECASE)
_IMPORT: Final = re.compile(r"@import[^;]*;?", re.IGNORECASE)
_SOFT_BREAK: Final = re.compile(rb"=\r?\n")
_LENGTH: Final = re.compile(r"\d{1,5}(?:\.\d+)?%?\Z")
_SMALLEST: Final = 4  # pixels: what is smaller holds a place or counts
_SHORTEST: Final = 3  # characters of a word that names somebody; shorter ones are in every text
_MOST_TERMS: Final = 50  # of one message; a guess far above what a mail says of its reader
_LONGEST_TARGET: Final = 300  # characters of a target without its query; a guess


def tracked_links(edits: Iterable[Edit]) -> tuple[CopiedLink, ...]:
    """Return the tracked links of the HTML part, in their order, which is that of their ordinals."""
    return tuple(
        CopiedLink(ordinal, edit.name or RAW_URL, _bare(edit.target))
        for ordinal, edit in enumerate(_html_links(edits))
    )


def whole_targets(edits: Iterable[Edit]) -> tuple[bytes, ...]:
    """Return where the links of `tracked_links` lead, whole, in the same order."""
    return tuple(edit.target for edit in _html_links(edits))


def tracked_urls(edits: Iterable[Edit]) -> dict[str, int]:
    """Return the ordinal of each tracked URL in the HTML part; no two are alike."""
    return {
        _SOFT_BREAK.sub(b"", edit.new).replace(b"\0", b"").decode("latin-1"): ordinal
        for ordinal, edit in enumerate(_html_links(edits))
    }


def personal_terms(recipient: str, to: str, metadata: str) -> frozenset[str]:
    """Return what a mail says of its reader in other places than its text.

    to: the To field, decoded. metadata: JSON object text of X-MSYS-API, or "".
    """
    found = {recipient, recipient.rpartition("@")[0]}
    if recipient.lower() in to.lower() or "<" not in to:
        found.update(re.split(r"[\s\"'<>,;()]+", to.replace(recipient, " ")))
    try:
        values = list(json.loads(metadata).values()) if metadata else []
    except (ValueError, AttributeError, RecursionError):
        values = []
    found.update(str(value).strip() for value in values if isinstance(value, str | int))
    long = sorted((word for word in found if len(word) >= _SHORTEST), key=len, reverse=True)
    return frozenset(long[:_MOST_TERMS])


def hidden(text: str, terms: frozenset[str]) -> str:
    """Return a text in which these terms are hidden wherever they stand as a whole."""
    pattern = _pattern(terms)
    return pattern.sub(HIDDEN, text) if pattern else text


def copy_of(text: str, urls: Mapping[str, int], terms: frozenset[str] = frozenset()) -> str:
    """Return the copy of an HTML text, to stand in a body, its style sheets first.

    urls: of `tracked_urls`. terms: to hide. Raises ValueError for what is no HTML at all.
    """
    try:
        parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise ValueError(f"no HTML: {error}") from error
    sheets = [_sheet("".join(map(str, each.itertext()))) for each in tree.iter("style")]
    body = tree.find("body")
    styles = "".join(f"<style>{sheet}</style>" for sheet in sheets if sheet)
    pieces = list(_pieces(body if body is not None else tree, urls, terms))
    box = _attributes(body) if body is not None else ""
    return f"{styles}<div{box}>{''.join(pieces)}</div>"


def _html_links(edits: Iterable[Edit]) -> Iterator[Edit]:
    for edit in edits:
        if edit.inner:
            yield from _html_links(edit.inner)
        elif edit.kind == "link" and edit.type == "text/html":
            yield edit


def _bare(target: bytes) -> str:
    """Return a target without what may name its reader: user, query and fragment."""
    text = re.split(r"[?#]", target.decode("utf-8", "replace"), maxsplit=1)[0]
    return text[:_LONGEST_TARGET]


@lru_cache(maxsize=16)
def _pattern(terms: frozenset[str]) -> re.Pattern[str] | None:
    if not terms:
        return None
    longest = sorted(terms, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)


def _pieces(element: html.HtmlElement, urls: Mapping[str, int], terms: frozenset[str]) -> Iterator[str]:
    """Yield what is within an element. The parser lets markup be 256 elements deep."""
    yield escape(hidden(element.text or "", terms), quote=False)
    for child in element:
        if isinstance(child.tag, str):
            yield from _element(child, child.tag.lower(), urls, terms)
        yield escape(hidden(child.tail or "", terms), quote=False)


def _element(
    element: html.HtmlElement, tag: str, urls: Mapping[str, int], terms: frozenset[str]
) -> Iterator[str]:
    ordinal = urls.get(element.get("href", "").strip(), -1)
    end = mark(ordinal) if ordinal >= 0 else ""
    if tag == "img":
        yield _picture(element, terms)
    elif tag in _GONE:
        yield end  # of an area, whose picture is not there
    elif tag not in _STAYS:
        yield from _pieces(element, urls, terms)
        yield end
    elif tag in _EMPTY:
        yield f"<{tag}{_attributes(element)}>"
    else:
        yield f"<{tag}{_attributes(element, ' smtpapi-tracked' if end else '')}>"
        yield from _pieces(element, urls, terms)
        yield f"{end}</{tag}>"


def _attributes(element: html.HtmlElement, css: str = "") -> str:
    found = {}
    for name, value in element.items():
        if (name := name.lower()) not in _ATTRIBUTES or (name == "id" and value.startswith("link-")):
            continue
        cleaned = _style(value) if name == "style" else value
        if cleaned and not (name != "style" and ":" in value):
            found[name] = cleaned
    if css:
        found["class"] = (found.get("class", "") + css).strip()
    return "".join(f' {name}="{escape(value)}"' for name, value in found.items())


def _style(text: str) -> str:
    """Return a style attribute without what loads."""
    cleaned = _without_urls(_without_comments(text))
    return ";".join(each for each in cleaned.split(";") if not _LOADS.search(each))


def _sheet(text: str) -> str:
    """Return a style sheet without what loads, "" where that cannot be separated."""
    cleaned = _IMPORT.sub("", _without_urls(_without_comments(text))).replace("<", "")
    return "" if _LOADS.search(cleaned) else cleaned


def _without_comments(text: str) -> str:
    first, *others = text.split("/*")
    return first + "".join(other.partition("*/")[2] for other in others)


def _without_urls(text: str) -> str:
    """Return a style without its url(…); what follows one without an end goes with it."""
    pieces: list[str] = []
    at = 0
    while found := _URL.search(text, at):
        pieces += text[at : found.start()], "none"
        end = text.find(")", found.end())
        at = end + 1 if end >= 0 else len(text)
    return "".join((*pieces, text[at:]))


def _picture(element: html.HtmlElement, terms: frozenset[str]) -> str:
    """Return a box of a picture's size with its alternative text; nothing for one that nobody sees."""
    sizes = {name: value for name in ("width", "height") if _LENGTH.match(value := element.get(name, ""))}
    if any(value.isdigit() and int(value) < _SMALLEST for value in sizes.values()):
        return ""
    style = "".join(
        f"{name}:{value if value.endswith('%') else value + 'px'};" for name, value in sizes.items()
    )
    alt = escape(hidden(element.get("alt", ""), terms), quote=False)
    return f'<span class="smtpapi-picture" style="{escape(style)}">{alt}</span>'
