"""Parse the text of a configuration file into a tree (contract.md 2.1).

Not the reading of files or includes (`files`). No option is known here. Invariants: `parse` raises only
`SyntaxProblem`; every node has its file, line and column; nesting is bounded, so that later stages may
recurse.
"""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from engagement.settings.errors import Place, Problem
from engagement.settings.syntax_tree import (
    AssignNode,
    IncludeNode,
    Item,
    PairsNode,
    ScopeNode,
    TextListNode,
    TextNode,
    ValueNode,
)

MAX_DEPTH = 64  # Momentum's deepest real files nest four scopes

_SCOPE_NAME = re.compile(r"[A-Za-z0-9_]+")
_OPTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")  # NAS-IP-Address, hook:NAME
_ESCAPED = re.compile(r"\\([\\\"nrt\u201c\u201d])")
_TRANSLATED = {"n": "\n", "r": "\r", "t": "\t"}  # the others stand for themselves
_CURLY_QUOTES = "\u201c\u201d"
_TERMINALS = {
    "WORD": "a name or value",
    "STRING": "a quoted string",
    "EQUAL": "=",
    "LBRACE": "{",
    "RBRACE": "}",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "$END": "the end of the file",
}


class SyntaxProblem(Exception):
    """The text is not of the language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's tree. curly: places of typographic quotes, for a warning."""

    items: tuple[Item, ...]
    curly: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class _Deep:
    """A node and how many levels lie below it."""

    node: TextNode | TextListNode | PairsNode | AssignNode | ScopeNode | IncludeNode
    depth: int


class _Builder:
    """Turns each reduction of the parser into a node; called bottom-up, never recursively."""

    def __init__(self) -> None:
        self.file = ""
        self.curly: list[Place] = []

    def _place(self, token: Token) -> Place:
        return Place(self.file, token.line or 0, token.column or 0)

    def _name(self, token: Token, form: re.Pattern[str]) -> str:
        if not form.fullmatch(token):
            near = _cut(str(token))
            raise SyntaxProblem(
                Problem(self._place(token), f"'{near}' is not a name", "letters, digits and _", near)
            )
        return str(token)

    def _nested(self, depth: int, place: Place) -> int:
        if depth >= MAX_DEPTH:
            raise SyntaxProblem(Problem(place, "nested too deeply", f"at most {MAX_DEPTH} levels", "{"))
        return depth + 1

    def text(self, children: list[Token]) -> _Deep:
        (token,) = children
        place = self._place(token)
        if token.type == "WORD":
            return _Deep(TextNode(str(token), place), 0)
        if token[0] in _CURLY_QUOTES or token[-1] in _CURLY_QUOTES:
            self.curly.append(place)
        inner = _ESCAPED.sub(lambda found: _TRANSLATED.get(found[1], found[1]), token[1:-1])
        return _Deep(TextNode(inner, place), 0)

    def instance(self, children: list[_Deep | Token]) -> _Deep:
        (child,) = children
        return _Deep(TextNode(str(child), self._place(child)), 0) if isinstance(child, Token) else child

    def text_list(self, children: list[_Deep | Token]) -> _Deep:
        opening, *inner, _closing = children
        assert isinstance(opening, Token)
        items = tuple(child.node for child in inner if isinstance(child, _Deep))
        return _Deep(
            TextListNode(tuple(item for item in items if isinstance(item, TextNode)), self._place(opening)), 0
        )

    def pair(self, children: list[_Deep | Token]) -> tuple[_Deep, _Deep]:
        key, value = (child for child in children if isinstance(child, _Deep))
        return key, value

    def pairs(self, children: list[tuple[_Deep, _Deep] | Token]) -> _Deep:
        opening = children[0]
        assert isinstance(opening, Token)
        inner = [child for child in children if not isinstance(child, Token)]
        place = self._place(opening)
        depth = self._nested(max((value.depth for _, value in inner), default=0), place)
        pairs = tuple((_text(key), _value(value)) for key, value in inner)
        return _Deep(PairsNode(pairs, place), depth)

    def assign(self, children: list[_Deep | Token]) -> _Deep:
        name, value = children[0], children[-1]
        assert isinstance(name, Token)
        assert isinstance(value, _Deep)
        return _Deep(
            AssignNode(self._name(name, _OPTION_NAME), _value(value), self._place(name)), value.depth
        )

    def include(self, children: list[_Deep | Token]) -> _Deep:
        word, target = children
        assert isinstance(word, Token)
        assert isinstance(target, _Deep)
        readonly = word.lower().startswith("readonly")
        return _Deep(IncludeNode(_text(target), readonly, self._place(word)), 0)

    def scope(self, children: list[_Deep | Token]) -> _Deep:
        name = children[0]
        assert isinstance(name, Token)
        place = self._place(name)
        inner = [child for child in children if isinstance(child, _Deep)]
        instance = inner.pop(0).node if inner and isinstance(inner[0].node, TextNode) else None
        assert instance is None or isinstance(instance, TextNode)
        depth = self._nested(max((child.depth for child in inner), default=0), place)
        return _Deep(ScopeNode(self._name(name, _SCOPE_NAME), instance, tuple(_items(inner)), place), depth)

    def start(self, children: list[_Deep]) -> tuple[Item, ...]:
        return tuple(_items(children))


def _text(deep: _Deep) -> TextNode:
    assert isinstance(deep.node, TextNode)
    return deep.node


def _value(deep: _Deep) -> ValueNode:
    assert isinstance(deep.node, TextNode | TextListNode | PairsNode)
    return deep.node


def _items(children: list[_Deep]) -> Iterator[Item]:
    for child in children:
        assert isinstance(child.node, AssignNode | ScopeNode | IncludeNode)
        yield child.node


_lock = threading.Lock()


@cache
def _parser() -> tuple[Lark, _Builder]:
    grammar = files("engagement.settings").joinpath("ecelerity.lark").read_text("utf-8")
    builder = _Builder()
    # lark calls a transformer's methods by rule name and needs no base class for that
    lark = Lark(grammar, parser="lalr", lexer="contextual", transformer=builder, keep_all_tokens=True)
    return lark, builder


def parse(text: str, file: str) -> Parsed:
    """Return the tree of a file's text. Raises SyntaxProblem at the first syntax error."""
    with _lock:  # one parser, whose builder knows one file at a time
        lark, builder = _parser()
        builder.file, builder.curly = file, []
        try:
            items = cast("tuple[Item, ...]", lark.parse(text.removeprefix("\ufeff")))
        except UnexpectedInput as error:
            raise SyntaxProblem(_explain(error, text.removeprefix("\ufeff"), file)) from None
        return Parsed(items, tuple(builder.curly))


def _explain(error: UnexpectedInput, text: str, file: str) -> Problem:
    """Return the problem that a parser's error stands for."""
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return _unfinished(error, text, file)
    place = Place(file, max(error.line, 1), max(error.column, 1))
    if isinstance(error, UnexpectedToken):
        if (problem := _without_equals(error)) is not None:
            return problem
        near = _cut(str(error.token))
        return Problem(place, f"'{near}' cannot stand here", _expected(error.accepts or error.expected), near)
    assert isinstance(error, UnexpectedCharacters)
    at = error.pos_in_stream or 0
    near = _cut((text[at : at + 60].split() or [text[at]])[0])
    if text[at] in '"' + _CURLY_QUOTES:
        return Problem(place, "the string that begins here never ends", 'a closing "', near)
    if text.startswith("/*", at):
        return Problem(place, "the comment that begins here never ends", "*/", near)
    return Problem(place, f"'{near}' cannot stand here", _expected(error.allowed or set()), near)


def _without_equals(error: UnexpectedToken) -> Problem | None:
    """Return the problem of `name value` without a brace after it: most likely a forgotten equals sign."""
    stack = error.interactive_parser.parser_state.value_stack if error.interactive_parser else []
    if len(stack) < 2 or (error.accepts or error.expected) != {"LBRACE"}:
        return None
    name, instance = stack[-2:]
    if (
        not isinstance(name, Token)
        or not isinstance(instance, _Deep)
        or not isinstance(instance.node, TextNode)
    ):
        return None
    what = f"no = between '{_cut(str(name))}' and '{_cut(instance.node.text)}'"
    return Problem(instance.node.place, what, "NAME = VALUE, or { to begin a scope", _cut(instance.node.text))


def _unfinished(error: UnexpectedToken, text: str, file: str) -> Problem:
    """Return the problem of a file that ends too early: its end, and the bracket that is still open."""
    last = text.rstrip()
    line = last.count("\n") + 1
    place = Place(file, line, len(last) - (last.rfind("\n") + 1) + 1)
    near = _cut((last[-80:].split() or [""])[-1])
    state = error.interactive_parser.parser_state if error.interactive_parser else None
    stack = state.value_stack if state else []
    opened = next(
        (each for each in reversed(stack) if isinstance(each, Token) and each in ("{", "[", "(")), None
    )
    if opened is None:
        return Problem(place, "the file ends too early", _expected(error.accepts or error.expected), near)
    what = f"the file ends inside the {opened} of line {opened.line}"
    return Problem(place, what, {"{": "}", "[": "]", "(": ")"}[opened], near)


def _cut(near: str) -> str:
    return near if len(near) <= 40 else near[:40] + "…"


def _expected(terminals: set[str]) -> str:
    expected = [text for name, text in _TERMINALS.items() if name in terminals]
    return " or ".join(expected) if expected else "something else"
