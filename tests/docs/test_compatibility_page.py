"""docs/compatibility.md names every format and every version that the code has, each with its sample."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
_NUMBERED = re.compile(r"_?(?:[A-Z]+_)*(?:VERSION|VERSIONS|FORMAT|MAGIC)")
# Names that look like a format's number and are none that outlives a program.
_OTHERS = {"engagement.suppression.snapshot.MAGIC"}  # its version stands behind it, as a number of its own


class Row(NamedTuple):
    """A line of the table."""

    what: str
    versions: list[int]
    constant: str
    meets_newer: str
    sample: str


def rows() -> list[Row]:
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 5 and cells[0] not in ("format", "---"):
            what, versions, constant, newer, sample = cells
            numbers = [int(number) for number in versions.split(", ")]
            found.append(Row(what, numbers, constant.strip("`"), newer, sample))
    return found


def versions(constant: str) -> list[int]:
    """The numbers that the code reads, by its constant: a number, a mapping, a magic or scripts."""
    module, _, name = constant.rpartition(".")
    value = getattr(import_module(module), name)
    if callable(value):
        return [getattr(script, "number", None) or script[0] for script in value()]
    if isinstance(value, int):
        return [value]
    if isinstance(value, bytes):
        return [int(re.sub(rb"\D", b"", value))]
    return sorted(value)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.constant)
def test_the_page_has_each_version_of_the_code(row: Row) -> None:
    known = versions(row.constant)
    assert row.versions[-1] == known[-1], "a new version: give it a line, a sample and a test"
    assert set(known) <= set(row.versions)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.constant)
def test_each_version_has_a_sample_that_is_held(row: Row) -> None:
    named = re.findall(r"`([^`]+)`", row.sample)
    assert named
    for name in named:
        if name != "SHA256SUMS":
            assert (ROOT / "tests" / "golden" / name).exists()
    for number in row.versions if all(re.search(r"-\d+\.sql$", name) for name in named) else ():
        assert any(name.endswith(f"-{number}.sql") for name in named)
    assert row.meets_newer


def test_each_number_of_a_format_in_the_code_is_on_the_page() -> None:
    on_page = {row.constant for row in rows()}
    found = set()
    for folder in ("milter/smtpapi", "engagement", "tracker_web"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("milter.")
            for statement in ast.parse(path.read_text("utf-8")).body:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
                if isinstance(statement, ast.AnnAssign):
                    targets = [statement.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                found |= {f"{module}.{name}" for name in names if _NUMBERED.fullmatch(name)}
    assert len(found) >= 15
    assert found - on_page == _OTHERS


def test_the_page_has_no_row_twice() -> None:
    assert len({row.constant for row in rows()}) == len(rows()) >= 18
