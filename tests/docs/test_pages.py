"""Links between the pages lead somewhere, the index names each page, and files that pages name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _links(page: Path) -> set[str]:
    text = page.read_text("utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    return {(one or other).partition("#")[0] for one, other in found} - {""}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_to_pages_and_pictures_lead_somewhere(page: Path) -> None:
    near = {link for link in _links(page) if not re.match(r"[a-z]+:", link)}
    assert {link for link in near if not (page.parent / link).exists()} == set()


def _headings(page: Path) -> set[str]:
    """The anchors that a page's headings get: lower case, no punctuation, hyphens for blanks."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_anchors_of_links_are_headings(page: Path) -> None:
    found = re.findall(r"\]\(([^)\s:#]*)#([^)\s]+)\)", page.read_text("utf-8"))
    missing = [
        (name, anchor)
        for name, anchor in found
        if anchor not in _headings(page.parent / name if name else page)
    ]
    assert missing == []


def test_index_names_every_page() -> None:
    listed = {(ROOT / "docs" / link).resolve() for link in _links(ROOT / "docs/README.md")}
    assert {_name(page) for page in (ROOT / "docs").rglob("*.md") if page not in listed} == {"docs/README.md"}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`((?:docs|tests|bench|etc|milter|engagement|tracker_web|demo)/[\w./-]+)`", text))
    named.discard("etc/conf")  # Momentum's folder
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_readme_fits_a_screen_or_two() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 80
