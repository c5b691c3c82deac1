"""Citations of the specification lead to a heading or rule of docs/spec, wherever they stand.

Forms: `contract.md 5.2`, several as `contract.md 1.1, 1.3 to 1.5`, a row as `contract.md 11 row 18`;
`design.md 5`; `design rule 4`, a numbered rule of design.md's section 2. Within a page of the
specification: section 5.2.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs/spec"
CITING = ("milter", "engagement", "tracker_web", "tests", "bench", "demo", "docs", "etc")
# Pages that speak of the specification as a whole, and this file, which speaks of the forms.
SPEAKING = {"README.md", "CONTRIBUTING.md", "docs/README.md", "tests/docs/test_citations.py"}

_OTHERS = {".eml", ".png", ".jsonl", ".pyc", ".so"}
_LARGEST = 1_000_000  # bytes; no page or module of ours comes near it
_NUMBER = r"\d+(?:\.\d+)*"
_NUMBERS = rf"{_NUMBER}(?:(?:, | to | and | or |, and ){_NUMBER}\b(?!\.?\w))*"
_SECTIONS = re.compile(rf"\b(contract|design)\.md`? ({_NUMBERS})(?: row (\d+)|, rule (\d+))?")
_RULES = re.compile(rf"\bdesign rules? ({_NUMBERS})")
_SPOKEN_OF = re.compile(r"(?<!docs/spec/)\b(?:contract|design)\.md\b|\bdesign rules?\b", re.IGNORECASE)
_WITHIN = re.compile(rf"\bsections? ({_NUMBERS})(?:, rows (\d+) to (\d+))?")


class Citation(NamedTuple):
    """page: "contract" or "design". row, rule: "" where the citation names none."""

    place: str
    page: str
    section: str
    row: str = ""
    rule: str = ""


@cache
def files() -> tuple[Path, ...]:
    """The text files of the repository in which citations may stand."""
    found = [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".cfg", ".py"}]
    for folder in CITING:
        found += (ROOT / folder).rglob("*")
    return tuple(sorted(filter(_is_text, found)))


def _is_text(path: Path) -> bool:
    if not path.is_file() or path.suffix in _OTHERS or path.stat().st_size > _LARGEST:
        return False
    return b"\0" not in path.read_bytes()


@cache
def joined(path: Path) -> str:
    """The file's text with a citation on one line, also where a comment or docstring breaks it."""
    text = path.read_text("utf-8", "replace")
    return re.sub(r"(?<=\S)[ \t]*\n[ \t]*(?:[#*][ \t]+|//[ \t]*)?(?=\S)", " ", text)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def citations() -> Iterator[Citation]:
    for path in files():
        if _name(path) in SPEAKING:
            continue
        text = joined(path)
        for page, numbers, row, rule in _SECTIONS.findall(text):
            for number in re.findall(_NUMBER, numbers):
                yield Citation(_name(path), page, number, row, rule)
        for numbers in _RULES.findall(text):
            for number in re.findall(_NUMBER, numbers):
                yield Citation(_name(path), "design", "2", rule=number)


@cache
def sections(page: str) -> dict[str, str]:
    """Number of each heading, with the text below it down to the next heading."""
    parts = re.split(
        r"^#{2,3} (\d+(?:\.\d+)*)\.? .+$", (SPEC / f"{page}.md").read_text("utf-8"), flags=re.MULTILINE
    )
    numbers = parts[1::2]
    assert len(numbers) == len(set(numbers)), f"{page}.md has a number twice"
    return dict(zip(numbers, parts[2::2], strict=True))


def leads_somewhere(cited: Citation) -> bool:
    below = sections(cited.page).get(cited.section)
    if below is None:
        return False
    rows = set(re.findall(r"^\| (\d+) \|", below, re.MULTILINE))
    rules = set(re.findall(r"^(\d+)\. ", below, re.MULTILINE))
    return (not cited.row or cited.row in rows) and (not cited.rule or cited.rule in rules)


def test_every_citation_leads_to_a_heading_or_rule() -> None:
    found = set(citations())
    assert len(found) > 150  # else they are not recognised any more
    assert [cited for cited in sorted(found) if not leads_somewhere(cited)] == []


def test_product_code_and_tests_both_cite() -> None:
    tops = [cited.place.partition("/")[0] for cited in citations()]
    assert tops.count("milter") > 40
    assert tops.count("engagement") > 40
    assert tops.count("tests") > 20


def test_nothing_speaks_of_the_specification_without_a_section() -> None:
    """Which also finds citations in forms that the others above do not know."""
    vague = []
    for path in files():
        if _name(path) in SPEAKING or path.is_relative_to(SPEC):
            continue
        text = joined(path)
        known = [found.span() for pattern in (_SECTIONS, _RULES) for found in pattern.finditer(text)]
        for found in _SPOKEN_OF.finditer(text):
            if not any(start <= found.start() < stop for start, stop in known):
                vague.append((_name(path), text[found.start() : found.start() + 40]))
    assert vague == []


@pytest.mark.parametrize("page", ["contract", "design"])
def test_the_page_s_own_references_lead_to_its_sections(page: str) -> None:
    text = joined(SPEC / f"{page}.md")
    missing = []
    for numbers, first, last in _WITHIN.findall(text):
        for number in re.findall(_NUMBER, numbers):
            rows = range(int(first), int(last) + 1) if first else ()
            cited = [Citation("", page, number), *(Citation("", page, number, str(row)) for row in rows)]
            missing += [each for each in cited if not leads_somewhere(each)]
    assert missing == []


def test_numbers_of_sections_are_in_order() -> None:
    for page in ("contract", "design"):
        numbers = [tuple(map(int, number.split("."))) for number in sections(page)]
        assert numbers == sorted(numbers)


def test_what_is_not_built_is_said_in_the_same_words() -> None:
    """A reader who looks for them finds all of it."""
    for page in SPEC.glob("*.md"):
        text = joined(page)
        found = re.findall(r"\bnot (?:yet built|implemented|supported yet)|to be built", text)
        assert found == [], page


def test_pages_that_code_names_are_there() -> None:
    named = re.compile(r"\bdocs/(?:[a-z-]+/)*[a-z0-9-]+\.md\b")
    missing = [
        (_name(path), name)
        for path in files()
        if path.suffix in {".py", ".c", ".conf", ".mc", ".cfg", ".service"}
        for name in set(named.findall(path.read_text("utf-8", "replace")))
        if not (ROOT / name).is_file()
    ]
    assert missing == []
