"""Words of a private dialect that are gone from the code, tests and benchmarks do not come back.

Each stood for a term that the field has: a check of the time, a cache, an ambiguous value, a default. Names,
comments and docstrings are read. Texts are not, since messages, SQL and file formats keep their words.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    *("milter/smtpapi", "engagement", "tracker_web", "private_mta", "demo"),
    *("tests", "bench", "packaging", "typings"),
)
COMMANDS = {"command", "group"}  # decorators of click: these docstrings are help texts

# What to say instead, everywhere.
GONE = {
    "desk": "the class's own job, such as services",
    "doubtful": "ambiguous, uncertain",
    "glance": "read the part that is needed: peek, read_head",
    "heed": "obey, follow",
    "heeding": "obey, follow",
    "patience": "timeout",
    "patient": "with a timeout",
    "thrice": "three times",
    "unhurried": "without a deadline",
    "usual": "common, default",
    "usually": "by default, nearly always",
}
# What to say instead in the rooms that are done with these words. A room may be added, none taken out.
GONE_IN_ROOMS = {
    "judge": "decide, check",
    "judged": "decided, checked",
    "judging": "deciding, checking",
    "lent": "copied, filled in",
    "tally": "count, aggregate",
    "tell": "return, say, report",
    "tells": "returns, says, reports",
    "told": "reported, recorded, said",
}
ROOMS = (
    *(f"milter/smtpapi/{room}/" for room in ("find", "hop", "mime", "model", "mta", "pipeline", "policy")),
    *(f"milter/smtpapi/{room}/" for room in ("process", "request", "rewrite", "setup", "telemetry")),
    *(f"milter/smtpapi/{room}/" for room in ("commands", "doctor")),
    *(f"engagement/{room}/" for room in ("access", "bounces", "classify", "cluster", "erasures", "events")),
    *(
        f"engagement/{room}/"
        for room in ("figures", "html_copies", "links", "maillogs", "metrics", "registry")
    ),
    *(f"engagement/{room}/" for room in ("settings", "shipper", "spool", "suppression", "tracking_domains")),
    "engagement/webhooks/",
    "tracker_web/",
    "private_mta/",
    "demo/",
)
# What a name says instead, in the folders whose names are done. Comments and docstrings may use these words.
GONE_NAMES = {
    "asked": "requested, queried, required",
    "ceiling": "limit",
    "failing": "failed, blocked, broken",
    "judged": "decided, checked",
    "judging": "deciding, checking",
    "kept": "stored, cached, retained, remaining",
    "lent": "copied, filled in",
    "making": "building, unfinished",
    "patience": "timeout",
    "plain": "raw, simple, unencrypted, printable",
    "said": "reported, answer, message",
    "tally": "count, sum",
    "told": "reported, expected, output, lines",
    "usual": "common, default",
    "wanted": "requested, selected, required, expected",
    "words": "text, terms, arguments, columns",
    "works": "succeeds, is valid",
}
NAMES_ARE_DONE = (
    *("engagement/", "milter/", "tracker_web/", "private_mta/", "demo/"),
    *("tests/", "bench/", "packaging/", "typings/"),
)
# Names that stay, each with what it belongs to: a format, an option, a library or a term of the field.
NAMES_THAT_STAY = {
    "PlainTextAuthProvider": "a class of Cassandra's driver",
    "TEXT_PLAIN": "the media type text/plain",
    "break_long_words": "a parameter of textwrap",
    "encoded_words": "RFC 2047",
    "failing": "a field of shipper.json",
    "failing_since_ms": "a field of a webhook's state in the registry",
    "max_kept_html": "an option",
}
# Files that still have such a word. The test fails for a line that is no longer needed, so the list only gets
# shorter.
STILL_THERE = {
    ("engagement/settings/schema/site/classify.py", "told"),  # a text of docs/settings.md
    ("tests/odd_mime.py", "doubtful"),
}


def terms(text: str) -> set[str]:
    """Lower-case words of a text; those of `snake_case` and `CamelCase` names are split."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)}


def read_python(text: str) -> Iterator[str]:
    """Names, comments and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT):
            yield token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = ast.unparse(ast.List(getattr(node, "decorator_list", [])))
            if not COMMANDS & set(re.findall(r"\w+(?=\()", decorators)):
                yield ast.get_docstring(node) or ""


def read_c(text: str) -> Iterator[str]:
    """All but strings."""
    yield re.sub(r'"(?:[^"\\\n]|\\.)*"', "", text)


def names_in(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier. Names of tests are sentences, and left out."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and not token.string.startswith("test_"):
            yield token.start[0], token.string


PASSIVE_IN_C = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', re.DOTALL)
PASSIVE_IN_LUA = re.compile(r"""--[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL)


def names_in_c(text: str, passive: re.Pattern[str] = PASSIVE_IN_C) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier outside comments and strings."""
    code = passive.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(code.splitlines(), 1):
        yield from ((number, name) for name in re.findall(r"[A-Za-z_]\w*", line))


def names_in_lua(text: str) -> Iterator[tuple[int, str]]:
    yield from names_in_c(text, PASSIVE_IN_LUA)


READERS = {".py": names_in, ".pyi": names_in, ".c": names_in_c, ".lua": names_in_lua}


def gone_names(where: str, text: str) -> list[str]:
    read = READERS[Path(where).suffix]
    return [
        f"{where}:{line}: {name}; say: {GONE_NAMES[word]}"
        for line, name in read(text)
        if name not in NAMES_THAT_STAY
        for word in terms(name) & GONE_NAMES.keys()
    ]


def gone_in(path: str) -> dict[str, str]:
    return GONE | GONE_IN_ROOMS if path.startswith(ROOMS) else GONE


def found() -> set[tuple[str, str]]:
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyi", ".c")
    }
    return {
        (name, word)
        for name, text in texts.items()
        if terms(text) & gone_in(name).keys()  # else it need not be taken apart
        for piece in (read_c if name.endswith(".c") else read_python)(text)
        for word in terms(piece) & gone_in(name).keys()
    }


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("told = 1", True),
        ("x.told_twice()", True),
        ("class Told: pass", True),
        ("x = 1  # as told", True),
        ("def f():\n '''What it told.'''", True),
        ("x = 'told'", False),
        ("@main.command('f')\ndef f():\n '''What it told.'''", False),
    ],
)
def test_names_comments_and_docstrings_are_read(text: str, seen: bool) -> None:
    assert ("told" in {word for piece in read_python(text) for word in terms(piece)}) is seen


def test_words_that_are_gone_do_not_come_back() -> None:
    now = found()
    assert sorted(f"{path}: {word}; say: {gone_in(path)[word]}" for path, word in now - STILL_THERE) == []
    assert sorted(STILL_THERE - now) == [], "gone: take it out of STILL_THERE"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("kept = 1  # what is told", {"kept"}),
        ("def f():\n '''The words.'''", {"def", "f"}),
        ("def test_what_is_kept(): pass", {"def", "pass"}),
        ("x.is_asked('plain')", {"x", "is_asked"}),
    ],
)
def test_names_are_read_without_texts(text: str, names: set[str]) -> None:
    assert {name for _, name in names_in(text)} == names


def test_names_of_c_are_read_without_texts() -> None:
    text = '/* kept\n told */ int asked = f("said"); // words'
    assert list(names_in_c(text)) == [(2, "int"), (2, "asked"), (2, "f")]


def test_names_of_lua_are_read_without_texts() -> None:
    text = "-- kept\nlocal asked = f('said \"', \"told '\")"
    assert list(names_in_lua(text)) == [(2, "local"), (2, "asked"), (2, "f")]


def test_names_that_are_gone_do_not_come_back() -> None:
    found = []
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")):
        where = path.relative_to(ROOT).as_posix()
        if path.suffix in READERS and where.startswith(NAMES_ARE_DONE):
            parts = [part for part in re.split(r"[/.]", where) if part not in NAMES_THAT_STAY]
            found += [f"{where}: {word} in its path" for word in terms(" ".join(parts)) & GONE_NAMES.keys()]
            found += gone_names(where, path.read_text("utf-8"))
    assert found == []
