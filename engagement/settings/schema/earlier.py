"""What earlier configurations say otherwise than today, and a file's text with that written as today.

The loader reads all of it for ever: names that changed with a warning, options that went with a notice. Not
the reading of files (`files`). Invariants: comments, order and layout stay; what is in force stays the same
too; done twice, it changes nothing the second time.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engagement.settings.errors import Place
from engagement.settings.option import options_of
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.syntax import parse
from engagement.settings.syntax_tree import (
    AssignNode,
    IncludeNode,
    Item,
    PairsNode,
    ScopeNode,
    TextNode,
    ValueNode,
)

# Both by stanza and name; the stanza of an option of scopes is "".
RENAMED: Mapping[tuple[str, str], str] = {
    (stanza, alias): option.name
    for stanza, options in (
        ("", tuple(SCOPED.values())),
        *((name, tuple(options_of(declared))) for name, declared in STANZAS.items()),
    )
    for option in options
    for alias in option.aliases
}
# An option that goes comes into this table, with why it is not needed: no release has taken one out yet.
RETIRED: Mapping[tuple[str, str], str] = {}

_URI = ("cassandra_client", "uri")
_OLD_PORT = re.compile(r"\bport=9160\b")  # Thrift's; contract.md 1.5
_TOKEN = re.compile(
    r'\s+|#[^\n]*|/\*.*?\*/|["\u201c\u201d](?:[^"\u201c\u201d\\]|\\.)*["\u201c\u201d]|[()\[\]=]|[^\s#"\u201c\u201d={}\[\]()]+',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is written otherwise today. what: a sentence's end, after the place."""

    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A file as it is written today, and what changed in it; none: the file is the same octets."""

    content: bytes
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    stop: int
    new: str
    change: Change


def upgraded(content: bytes, file: str) -> Upgraded:
    """Return a file's octets as they are written today. Raises SyntaxProblem for what cannot be parsed."""
    changes: list[Change] = []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("iso-8859-1")
        changes.append(Change(Place(file), "is UTF-8 now, and was ISO-8859-1"))
    mark = "\ufeff" if content.startswith(codecs.BOM_UTF8) else ""
    text = text.removeprefix(mark)
    parsed = parse(text, file)
    lines = _Lines(text)
    edits = [*_of_items(parsed.items, "", lines, top=True), *_quotes(parsed.curly, lines)]
    done = len(text)
    accepted: list[_Edit] = []
    new = text
    for edit in sorted(edits, key=lambda each: (each.start, -each.stop)):
        if accepted and edit.start < accepted[-1].stop:
            continue  # within an option that goes as a whole
        accepted.append(edit)
    for edit in reversed(accepted):
        assert edit.stop <= done
        new, done = new[: edit.start] + edit.new + new[edit.stop :], edit.start
    changes += [edit.change for edit in accepted]
    return Upgraded((mark + new).encode() if changes else content, tuple(dict.fromkeys(changes)))


class _Lines:
    """A text, with the offset of each place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def at(self, place: Place) -> int:
        """Return the offset of a place."""
        return self._starts[place.line - 1] + place.column - 1

    def token_end(self, start: int) -> int:
        """Return where the word or string that begins here ends."""
        found = _TOKEN.match(self.text, start)
        assert found is not None
        return found.end()

    def value_end(self, start: int) -> int:
        """Return where the word, string, list or list of pairs that begins here ends."""
        depth = 0
        while (found := _TOKEN.match(self.text, start)) is not None:
            start = found.end()
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(found[0], 0)
            blank = found[0].isspace() or found[0].startswith(("#", "/*"))
            if depth == 0 and not blank:
                break
        return start


def _of_items(items: tuple[Item, ...], stanza: str, lines: _Lines, *, top: bool = False) -> Iterator[_Edit]:
    for item in items:
        match item:
            case ScopeNode(name, _, inner):
                own = name.lower() if top and name.lower() in STANZAS else ""
                yield from _of_items(inner, own, lines)
            case AssignNode():
                yield from _of_option(item, (stanza, item.name.lower()), lines)
            case IncludeNode():
                pass  # a file of its own


def _of_option(item: AssignNode, key: tuple[str, str], lines: _Lines) -> Iterator[_Edit]:
    start = lines.at(item.place)
    if key in RETIRED:
        stop = lines.value_end(lines.at(item.value.place))
        comment = f"{lines.text[start:stop]}: no longer read, {RETIRED[key]}".replace("*/", "* /")
        what = f"'{item.name}' is no longer read: {RETIRED[key]}"
        yield _Edit(start, stop, f"/* {comment} */", Change(item.place, what))
        return
    if key in RENAMED:
        change = Change(item.place, f"'{item.name}' is {RENAMED[key]} now")
        yield _Edit(start, start + len(item.name), RENAMED[key], change)
    if key == _URI:
        for node in _texts(item.value):
            first = lines.at(node.place)
            for found in _OLD_PORT.finditer(lines.text, first, lines.token_end(first)):
                change = Change(node.place, "port 9160 is 9042 now")
                yield _Edit(found.start(), found.end(), "port=9042", change)


def _texts(value: ValueNode) -> Iterator[TextNode]:
    match value:
        case TextNode():
            yield value
        case PairsNode(pairs):
            for _, each in pairs:
                yield from _texts(each)
        case _:
            yield from value.items


def _quotes(places: tuple[Place, ...], lines: _Lines) -> Iterator[_Edit]:
    for place in places:
        start = lines.at(place)
        last = lines.token_end(start) - 1
        change = Change(place, 'typographic quotes are " now')
        for at in (start, last):
            if lines.text[at] != '"':
                yield _Edit(at, at + 1, '"', change)
