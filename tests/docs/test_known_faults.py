"""docs/known-faults.md: each row once, each held by a case or test that is there."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GROUPS = {"A": 19, "B": 24, "D": 4, "F": 7}
OWN = "H"  # faults of our own; seen in no public report


class Row(NamedTuple):
    """name: "A1". seen: what goes wrong. ours: what we do. held: paths, tests as path::name."""

    name: str
    seen: str
    ours: str
    held: tuple[str, ...]


def rows() -> list[Row]:
    page = (ROOT / "docs/known-faults.md").read_text("utf-8")
    found = re.findall(r"^\| ([A-Z]\d+) \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    return [Row(name, seen, ours, tuple(re.findall(r"`([^`]+)`", held))) for name, seen, ours, held in found]


def _is_there(place: str) -> bool:
    path, _, name = place.partition("::")
    if not name:
        return (ROOT / path / "README").is_file()
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def test_each_row_stands_there_once_and_in_order() -> None:
    expected = [f"{group}{number}" for group, last in GROUPS.items() for number in range(1, last + 1)]
    assert [row.name for row in rows() if row.name[0] != OWN] == expected


def test_each_row_of_our_own_stands_there_once_and_in_order() -> None:
    own = [int(row.name[1:]) for row in rows() if row.name[0] == OWN]
    assert own == sorted(set(own))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_what_holds_a_row_is_there(row: Row) -> None:
    assert row.held
    assert [place for place in row.held if not _is_there(place)] == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_case_or_test_bears_the_row_s_name(row: Row) -> None:
    named = re.compile(rf"(messages/|documents/|::test_){row.name[0]}0*{row.name[1:]}[-_]", re.IGNORECASE)
    assert any(named.search(place) for place in row.held)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_names_where_the_fault_was_seen(row: Row) -> None:
    assert row.name[0] == OWN or re.search(r"\b[\w.-]+/[\w.-]+#\d+", row.seen)


def test_every_case_named_after_a_row_is_of_a_row() -> None:
    names = {row.name for row in rows()}
    for kind in ("messages", "documents"):
        for folder in (ROOT / "tests/golden" / kind).iterdir():
            found = re.match(r"([A-F])0*(\d+)-", folder.name)
            assert found is None or found[1] + found[2] in names, folder
