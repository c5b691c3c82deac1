"""CONTRIBUTING's table of rooms is what `ls` shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("milter/smtpapi", "engagement", "tracker_web")
MOST = 13  # modules of one folder


def folders() -> list[Path]:
    """Every package of the product."""
    return sorted(path.parent for program in PROGRAMS for path in (ROOT / program).rglob("__init__.py"))


def test_the_table_names_every_room_and_no_other() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", text, re.MULTILINE))
    within = {f"{room}/{inner}" for room, row in rows.items() for inner in re.findall(r"`(\w+)/`", row)}
    named = set(rows) | within
    there = {str(folder.relative_to(ROOT)) for folder in folders()}
    assert named == there


def test_no_folder_is_a_drawer_for_everything() -> None:
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in folders()
        if (count := len([path for path in folder.glob("*.py") if path.name != "__init__.py"])) > MOST
    }
    assert crowded == {}
