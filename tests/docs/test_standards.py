"""docs/standards.md lists exactly the standards that are cited, with their sections, and where."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/standards.md"
PACKAGES = ("milter", "engagement", "tracker_web")
AROUND = ("docs", "tests", "bench", "demo", "etc")

_SECTION = r"(?:\d+(?:\.\d+)*|appendix [A-Z])"
_PARAGRAPH = r"(?: \(\d+\))?"  # of a section, as in RFC 2045 6.7 (3)
_CITED = re.compile(
    r"\b(RFC \d+|PEP \d+|WHATWG (?:HTML|URL|Infra|Encoding|MIME Sniffing))(?:'s)?"
    rf"((?: {_SECTION}{_PARAGRAPH}(?:(?:,| and) {_SECTION}\b{_PARAGRAPH})*)?)"
)
_ODD = re.compile(r"\bRFC(?!822\b)\d|\bRFC-\d|\brfc \d|\bRFC \d+,? (?:section|sec\.|§)")


class Row(NamedTuple):
    """One line of the page. sections, places: in its order."""

    name: str
    sections: tuple[str, ...]
    places: tuple[str, ...]


def _rows() -> list[Row]:
    found = re.findall(
        r"^\| ((?:RFC|PEP|WHATWG) [\w ]+) \| [^|]+ \| ([^|]*)\| ([^|]+) \| [^|]+ \|$",
        PAGE.read_text("utf-8"),
        re.MULTILINE,
    )
    return [
        Row(name, tuple(re.findall(_SECTION, sections)), tuple(re.findall(r"`([^`]+)`", places)))
        for name, sections, places in found
    ]


@cache
def _citations(path: Path) -> frozenset[tuple[str, str]]:
    """Standard and section, "" where it is cited as a whole."""
    text = path.read_text("utf-8", "replace")
    text = re.sub(r"[ \t]*\n[ \t]*(?:[#*][ \t]+|//[ \t]*)?", " ", text)  # a comment may break a citation
    found = set()
    for name, sections in _CITED.findall(text):
        found |= {(name, section) for section in re.findall(_SECTION, re.sub(_PARAGRAPH, "", sections))}
        found.add((name, ""))
    if "WHATWG's tokenizer" in text:
        found.add(("WHATWG HTML", ""))
    return frozenset(found)


@cache
def _product() -> tuple[Path, ...]:
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return tuple(path for path in modules if path.suffix in {".py", ".c", ".h", ".lark"})


def _others() -> Iterator[Path]:
    yield from (path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md")
    for folder in AROUND:
        for path in (ROOT / folder).rglob("*"):
            named = path.suffix in {".py", ".md", ".conf", ".mc"} or path.name == "README"
            if named and path.is_file() and path != PAGE:
                yield path


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_cited_standard_is_listed_once_and_every_listed_one_is_cited() -> None:
    listed = [row.name for row in _rows()]
    assert len(listed) == len(set(listed)), "a standard is listed twice"
    cited = {name for path in (*_product(), *_others()) for name, _ in _citations(path)}
    assert set(listed) == cited


def test_every_row_of_the_page_is_understood_here() -> None:
    lines = re.findall(r"^\| (?!---|RFC \||other)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(_rows()) == len(lines)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.name)
def test_the_row_names_the_modules_that_cite_it(row: Row) -> None:
    citing = {_name(path) for path in _product() if any(row.name == name for name, _ in _citations(path))}
    if citing:
        assert set(row.places) == citing
    else:  # a page alone speaks of it
        assert row.places
        assert all((row.name, "") in _citations(ROOT / place) for place in row.places)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.name)
def test_the_row_names_the_sections_that_the_product_cites(row: Row) -> None:
    cited = {section for path in _product() for name, section in _citations(path) if name == row.name}
    assert set(row.sections) == cited - {""}


def test_numbers_of_standards_are_in_order() -> None:
    numbers = [int(row.name[4:]) for row in _rows() if row.name.startswith("RFC ")]
    assert numbers == sorted(numbers)


def test_citations_have_one_form() -> None:
    """`RFC 2045 6.7`, so that the tests above find them."""
    odd = [
        (_name(path), found[0])
        for path in (*_product(), *_others())
        for found in _ODD.finditer(path.read_text("utf-8", "replace"))
    ]
    assert [each for each in odd if each[0] != "tests/docs/test_standards.py"] == []
