"""docs/reasons.md has one line for each reason, in the order of the code."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from smtpapi.model.outcome import Skip, Why

DOCS = Path(__file__).parents[2] / "docs"


def _listed(heading: str) -> list[str]:
    section = (DOCS / "reasons.md").read_text("utf-8").split(heading, 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("reasons", "heading"),
    [(Why, "## Why a whole message has no tracked links"), (Skip, "## Why a part or a link was left")],
)
def test_every_reason_has_its_line_and_every_line_is_a_reason(reasons: type[StrEnum], heading: str) -> None:
    assert _listed(heading) == [reason.value for reason in reasons]


def test_every_line_says_something() -> None:
    rows = re.findall(
        r"^\| `[a-z0-9-]+` \| ([^|]+) \|", (DOCS / "reasons.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == len(Why) + len(Skip)
    assert all(row.endswith(".") for row in rows)
