"""`smtpapi stats`, as a person runs it; the figures are those of the story in `contract.figure_story`."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contract.figure_story import Message, at, fill, story
from engagement.links.model import Kind
from engagement.spreadsheet import cell
from engagement.stores.memory import MemoryStore
from engagement.stores.port import FigureQuery, FigureRow
from engagement.terminal import wide
from smtpapi.commands import main
from smtpapi.commands.data import stats
from smtpapi.commands.data.stats_table import record, table


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(stats, "open_store", lambda *_, **__: made)
    return made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    path.write_text("smtpapi { }\n")
    return path


def say(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["stats", *arguments, "--config", str(config)])


def test_a_page_of_all_mail_has_the_three_sides_beside_each_other(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    page = say(config, "--until", "2026-10-27").stdout.splitlines()
    assert page[0].split() == ["all", "people", "unsure", "machines", "recorded"]
    assert [line.split() for line in page if line.startswith(("opens ", "clicks ", "messages clicked "))] == [
        ["opens", "4", "3", "0", "1", "4"],
        ["clicks", "2", "1", "1", "0", "7"],
        ["messages", "clicked", "1", "1", "0", "0"],
    ]
    assert len({len(line) for line in page[:2]}) == 1, "columns are aligned"
    assert ["bounce_rate", "33.3", "%"] in [line.split() for line in page]
    assert ["count_hard_bounce", "1"] in [line.split() for line in page]
    assert page[-1] == "A message is unique within a day; times in UTC. docs/figures.md"


def test_a_line_for_each_campaign(store: MemoryStore, config: Path) -> None:
    """Of whole campaigns a message is unique once; a rate is - where nothing was tracked."""
    fill(store, story())
    over, head, spring, _, note = say(config, "--by", "campaign").stdout.splitlines()
    assert over.split() == ["mails", "opened", "by", "mails", "clicked", "by"]
    assert over.index("mails opened") == head.index("people")
    assert head.split()[:5] == ["campaign", "mails", "delivered", "bounced", "spam"]
    assert " ".join(spring.split()) == "spring 2 2 1 1 1 0 0 50.0 % 2 0 0 100.0 % 1"
    assert note == "A message is unique once in its campaign. docs/figures.md"
    # mail without a campaign has no life: it is there by day
    days = say(config, "--by", "campaign", "--precision", "day").stdout.splitlines()
    assert " ".join(days[3].split()) == "- 1 0 1 0 0 0 0 - 0 0 0 - 0"


def test_lines_by_time_and_group(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    hours = say(config, "--by", "hour", "--since", "2026-10-27").stdout.splitlines()
    assert [line[:16] for line in hours[2:5]] == ["2026-10-27 08:00", "2026-10-27 09:00", "2026-10-27 10:00"]
    both = say(config, "--by", "campaign", "--by", "day", "--campaign", "spring").stdout.splitlines()
    assert [line.split()[:3] for line in both[2:4]] == [
        ["2026-10-26", "spring", "2"],
        ["2026-10-27", "spring", "0"],
    ]


def test_links_and_machines(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    links = say(config, "--by", "link", "--campaign", "spring", "--order", "x_count_recorded_clicked").stdout
    assert links.splitlines()[2].split()[-8:] == ["top", "0", "1", "0", "0", "1", "0", "6"]
    machines = say(config, "--by", "machine").stdout.splitlines()
    assert "scanner burst 0 0 0 0 1 0 0 5" in [" ".join(line.split()) for line in machines]


def test_json_has_all_figures_and_null_for_no_rate(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    lines = [
        json.loads(line)
        for line in say(config, "--by", "domain", "--by", "week", "--json").stdout.splitlines()
    ]
    assert [(line["ts"], line["domain"], line["count_injected"]) for line in lines] == [
        ("2026-10-26T00:00:00Z", "a.example", 2),
        ("2026-10-26T00:00:00Z", "b.example", 1),
    ]
    assert lines[0]["x_people_open_rate"] == 1.0
    assert lines[1]["count_rejected"] == 0
    (link,) = [
        json.loads(line)
        for line in say(config, "--by", "link", "--json").stdout.splitlines()
        if json.loads(line)["link_name"] == "top"
    ]
    assert link["count_clicked"] == 1
    assert link["x_people_open_rate"] is None


def test_csv_has_a_head_line_and_runs_no_formula(store: MemoryStore, config: Path) -> None:
    fill(store, [Message(9, "x@=cmd.example", "=1+1").comes_in(at(1))])
    arguments = ("--by", "campaign", "--csv", "--figure", "count_injected", "--figure", "open_rate")
    head, row = csv.reader(io.StringIO(say(config, *arguments).stdout, newline=""))
    assert head == ["campaign_id", "count_injected", "open_rate"]
    assert row == ["'=1+1", "1", ""]


def test_what_a_stranger_named_cannot_steer_a_terminal(store: MemoryStore, config: Path) -> None:
    message = Message(1, "ida@example.net", "a\x1b]0;title\x07b")
    fill(store, [message.comes_in(at(1)), message.hit(Kind.CLICK, at(2))])
    assert "\x1b" not in say(config, "--by", "campaign").stdout


def test_nothing_found_is_said_on_standard_error(store: MemoryStore, config: Path) -> None:
    done = say(config, "--campaign", "none")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "nothing found\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--figure", "count_clickd"), "count_clicked"),
        (("--order", "open_rate"), "rates are not added up"),
        (("--by", "hour", "--by", "day"), "one time"),
        (("--by", "link", "--by", "machine"), "together"),
        (("--by", "hour", "--precision", "day"), "one time"),
        (("--by", "domain", "--precision", "hour"), "ask for day"),
        (("--json", "--csv"), "not both"),
        (("--since", "2026-10-27T12:00", "--until", "2026-10-27T11:00"), "not after --since"),
        (("--since", "2026-10-27", "--until", "2026-10-27T02:00+02:00"), "not after --since"),
        (("--verify", "--since", "2026-10-28", "--until", "2026-10-26"), "not after --since"),
        (("--verify", "--since", "2999-01-01"), "no day"),
        (("--verify", "--campaign", "spring"), "whole days of all mail"),
    ],
)
def test_a_question_that_has_no_answer_says_what_to_ask(
    store: MemoryStore, config: Path, arguments: tuple[str, ...], hint: str
) -> None:
    done = say(config, *arguments)
    assert done.exit_code == 2
    assert hint in done.stderr


def test_days_are_counted_again(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    done = say(config, "--verify", "--since", "2026-10-26", "--until", "2026-10-28")
    assert (done.exit_code, done.stdout) == (
        0,
        "2026-10-26  as counted again\n2026-10-27  as counted again\n",
    )


def test_a_day_that_cannot_be_counted_again_is_not_called_right(store: MemoryStore, config: Path) -> None:
    fill(store, story())
    store.erase("ida@a.example")
    done = say(config, "--verify", "--since", "2026-10-26", "--until", "2026-10-27")
    assert (done.exit_code, done.stdout.split(": ")[0]) == (0, "2026-10-26  not counted")


@pytest.mark.parametrize("since", ["999999999w", "0001-01-01", "0001-01-01T00:00+14:00"])
@pytest.mark.parametrize("precision", ["1min", "week", "month"])
def test_times_out_of_all_proportion_are_no_fault(
    store: MemoryStore, config: Path, since: str, precision: str
) -> None:
    fill(store, story())
    for times in (("--since", since), ("--until", "9999-12-31T23:59"), ("--since", "9999-12-31T23:59-12:00")):
        done = say(config, *times, "--by", precision)
        assert (done.exit_code, done.exception) == (0, None)
        assert ("nothing found" in done.stderr) == times[1].startswith("9999-12-31T23:59-")


def test_columns_are_aligned_under_names_of_any_script(store: MemoryStore, config: Path) -> None:
    names = [
        "plain",
        "春のセール",
        "e\u0301te\u0301",
        "🎉 party",
        "\uff57\uff49\uff44",
        "\u0639\u0631",
        "a,b",
    ]
    for number, name in enumerate(names):
        fill(store, [Message(number + 1, "x@a.example", name).comes_in(at(1))])
    lines = say(config, "--by", "campaign", "--figure", "count_injected").stdout.splitlines()
    assert len({wide(line) for line in lines[: len(names) + 1]}) == 1
    assert wide("春のセール") == 10
    assert wide("e\u0301te\u0301") == 3


def test_a_number_below_nought_is_no_formula() -> None:
    """As count_accepted of a day on which bounces of earlier mail came back."""
    assert [cell(value) for value in (-3, -0.5, "-3", "=1", ["-"], None)] == [
        "-3", "-0.5", "'-3", "'=1", '["-"]', "null",
    ]  # fmt: skip


def test_a_wrong_figure_is_told_once(
    store: MemoryStore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose figures were damaged."""
    fill(store, story())
    sums = store._counted._ledgers[""].sums
    cell = max(sums)
    day = next(cell for cell in sums if cell[0] == 3)
    sums[day] += 5
    del sums[next(cell for cell in sums if cell[0] == 6 and cell[1] == day[1])]
    assert cell in sums
    arguments = ("--verify", "--since", "2026-10-26", "--until", "2026-10-28")
    done = say(config, *arguments)
    assert done.exit_code == 1
    assert "2026-10-26  2 figure(s) were wrong" in done.stdout
    reported = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert "  all mail, day of 2026-10-26 00:00: count_injected was 8, is 3" in reported
    assert [line for line in reported if line.startswith("  domain ")] != []
    assert say(config, *arguments).exit_code == 0


def test_a_link_is_shown_with_its_place_where_that_is_known() -> None:
    query = FigureQuery(by="link")
    rows = [FigureRow("3:top", None, {"count_clicked": 2}), FigureRow(":top", None, {"count_clicked": 1})]
    records = [record(row, query, ("count_clicked",)) for row in rows]
    assert records == [
        {"link_name": "top", "x_link_ordinal": 3, "count_clicked": 2},
        {"link_name": "top", "x_link_ordinal": None, "count_clicked": 1},
    ]
    assert [line.split() for line in table(rows, query, ("count_clicked",)).splitlines()[1:3]] == [
        ["3", "top", "2"],
        ["top", "1"],
    ]
