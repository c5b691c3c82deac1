"""A second opinion by a real parser: the page keeps its elements and text, and only links differ.

For sites that set `verify = true`. lxml repairs broken markup in its own way, but in the same way before and
after. It sees no links in comments, so those are not compared.
"""

import re
from collections.abc import Iterator, Sequence

from lxml import etree, html

from smtpapi.model.edit import Edit, splice

_SOURCE = re.compile(rb'src="([^"]*)"')
_Element = tuple[str, dict[str, str]]


def same_but_for(data: bytes, edits: Sequence[Edit]) -> bool:
    """Return whether an HTML part's edits alter links, pixels, data-msys-* attributes and nothing else."""
    links = {_text(edit.new): edit for edit in edits if edit.kind == "link"}
    pixels = {_text(source) for edit in edits if edit.kind == "pixel" for source in _SOURCE.findall(edit.new)}
    old = _parse(splice(data, [edit for edit in edits if edit.kind == "macro"]))
    new = _parse(splice(data, edits))
    if old is None or new is None:
        return old is new or not links
    if "".join(old.itertext()) != "".join(new.itertext()):
        return False
    before, after = list(_elements(old, frozenset())), list(_elements(new, pixels))
    return len(before) == len(after) and all(
        one == other or _relinked(one, other, links, data) for one, other in zip(before, after, strict=True)
    )


def _parse(data: bytes) -> html.HtmlElement | None:
    try:
        return html.document_fromstring(data.decode("latin-1"))
    except (etree.ParserError, ValueError):
        return None  # nothing in it, or a declaration lxml will not read


def _elements(tree: html.HtmlElement, pixels: frozenset[str] | set[str]) -> Iterator[_Element]:
    for element in tree.iter("*"):
        if element.tag == "img" and element.get("src") in pixels:
            continue
        attributes = {
            name: value for name, value in element.items() if not name.lower().startswith("data-msys-")
        }
        yield str(element.tag), attributes


def _relinked(old: _Element, new: _Element, links: dict[str, Edit], data: bytes) -> bool:
    """Whether the pair differs in its href alone, and the new one is that link's."""
    edit = links.get(new[1].get("href", "").strip())
    if edit is None or old[0] != new[0]:
        return False
    if {**old[1], "href": ""} != {**new[1], "href": ""}:
        return False
    target = _text(edit.target)
    return old[1].get("href", "").strip() == target or b"&" in data[edit.start : edit.stop]


def _text(data: bytes) -> str:
    return data.decode("latin-1")
