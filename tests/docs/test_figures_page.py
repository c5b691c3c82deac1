"""docs/figures.md, the definitions and `smtpapi stats --json` name the same figures alike."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.figure_story import DAY, Message
from engagement.figures.definitions import FIGURES, RATES
from engagement.figures.increments import PRECISIONS
from engagement.stores.memory import MemoryStore
from smtpapi.commands import main
from smtpapi.commands.data import stats

PAGE = (Path(__file__).parents[2] / "docs" / "figures.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]


def test_the_page_lists_every_figure_once_in_order_with_its_meaning() -> None:
    listed = [*rows("Deliveries"), *rows("Opens, clicks, unsubscribes"), *rows("All requests")]
    assert [(name.strip("`"), meaning) for name, meaning in listed] == [
        (figure.name, figure.meaning) for figure in FIGURES.values()
    ]


def test_the_page_lists_every_rate_with_its_denominator() -> None:
    listed = [[cell.strip("`") for cell in row] for row in rows("Rates")]
    assert listed == [
        [each.name, each.meaning, each.numerator, each.denominator, each.tracked] for each in RATES.values()
    ]


def test_the_command_prints_every_figure_and_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = MemoryStore()
    store.add(Message(1, "ida@example.net", "spring").comes_in(DAY))
    monkeypatch.setattr(stats, "open_store", lambda *_, **__: store)
    config = tmp_path / "smtpapi.conf"
    config.write_text("smtpapi { }\n")
    done = CliRunner().invoke(main, ["stats", "--json", "--config", str(config)])
    assert done.exit_code == 0
    assert list(json.loads(done.stdout)) == [*FIGURES, *RATES]


def test_the_specification_names_no_other_figure() -> None:
    contract = (Path(__file__).parents[2] / "docs/spec/contract.md").read_text()
    section = contract.split("### 7.6 Counts\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(count_[a-z_]+[a-z])`", section))
    assert len(named) > 10
    assert named <= FIGURES.keys()
    assert all(precision in contract for precision in PRECISIONS)
