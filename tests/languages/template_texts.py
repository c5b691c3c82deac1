"""Finds what templates say outside of gettext: text nodes, and attributes that people see or hear."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

from jinja2 import Environment, nodes

_SPOKEN: Final = ("title", "aria-label", "placeholder", "alt", "label", "data-title", "content")
_GETTEXT: Final = frozenset({"_", "ngettext", "pgettext"})
_ENVIRONMENT: Final = Environment(
    extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True, autoescape=True
)


class _Texts(HTMLParser):
    """Collects texts that are not code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag == "code"
        if tag != "meta":
            self.found += [value for name, value in attrs if name in _SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def untranslated(source: str) -> list[str]:
    """Return all that a template says, or hands to a macro that says it, without gettext."""
    tree = _ENVIRONMENT.parse(source)
    pieces: list[str] = []
    _pieces(tree, pieces)
    texts = _Texts()
    texts.feed("".join(pieces))
    texts.close()
    texts.found += _handed_on(tree)
    return [" ".join(text.split()) for text in texts.found if any(map(str.isalpha, text))]


def _pieces(node: nodes.Node, into: list[str]) -> None:
    """Append what a template puts out, in its order: its own text, and texts of its expressions."""
    if isinstance(node, nodes.Output):
        for each in node.nodes:
            if isinstance(each, nodes.TemplateData):
                into.append(each.data)
            else:
                into.extend(_values(each))
        return
    for child in node.iter_child_nodes():
        _pieces(child, into)


def _values(node: nodes.Node) -> Iterator[str]:
    """Return texts that an expression may have as its value."""
    if isinstance(node, nodes.Const):
        yield node.value if isinstance(node.value, str) else ""
    elif isinstance(node, nodes.CondExpr):
        yield from _values(node.expr1)
        if node.expr2 is not None:
            yield from _values(node.expr2)
    elif isinstance(node, nodes.Or | nodes.And):
        yield from _values(node.left)
        yield from _values(node.right)
    elif isinstance(node, nodes.Concat | nodes.Add):
        for child in node.iter_child_nodes():
            yield from _values(child)
    elif isinstance(node, nodes.Filter) and node.node is not None:
        yield from _values(node.node)


def _handed_on(node: nodes.Node) -> Iterator[str]:
    """Return texts of several words, or that begin with a capital, which no gettext has."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in _GETTEXT:
        for child in (*node.args[3:], *node.kwargs):
            yield from _handed_on(child)
        return
    if isinstance(node, nodes.Compare):  # never said
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        if node.value[:1].isupper() or " " in node.value.strip():
            yield node.value
        return
    for child in node.iter_child_nodes():
        yield from _handed_on(child)
