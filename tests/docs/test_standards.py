"""docs/standards.md lists exactly the standards that the code cites, and where."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("milter", "engagement", "tracker_web")
PAGE = (ROOT / "docs/standards.md").read_text("utf-8")
_CITED = re.compile(r"\bRFC \d+\b|\bWHATWG(?:'s)? (?:HTML|URL|Infra|Encoding|MIME Sniffing)\b|\bPEP \d+\b")


def _standards(text: str) -> set[str]:
    cited = set(_CITED.findall(text))
    if re.search(r"WHATWG's tokenizer", text):
        cited.add("WHATWG HTML")
    return {name.replace("'s", "") for name in cited}


def _cited() -> set[str]:
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found |= _standards(path.read_text("utf-8"))
    return found


def _rows() -> list[tuple[str, str]]:
    return re.findall(r"^\| ((?:RFC|PEP|WHATWG) \w+) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)


def test_every_cited_standard_is_listed_and_every_listed_one_is_cited() -> None:
    listed = [name for name, _ in _rows()]
    assert len(listed) == len(set(listed)), "a standard is listed twice"
    assert set(listed) == _cited()


def test_every_row_of_the_page_is_understood_here() -> None:
    assert len(_rows()) == len(re.findall(r"^\| (?!---|RFC \||other)", PAGE, re.MULTILINE))


@pytest.mark.parametrize(("name", "places"), _rows(), ids=lambda part: part if len(part) < 20 else "")
def test_the_files_named_cite_it(name: str, places: str) -> None:
    paths = re.findall(r"`([^`]+)`", places)
    assert paths
    assert [path for path in paths if name not in _standards((ROOT / path).read_text("utf-8"))] == []
