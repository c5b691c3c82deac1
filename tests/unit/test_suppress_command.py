"""`smtpapi suppress`, and entries as people write them (engagement.suppression.reading)."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression import book
from engagement.suppression.model import BadEntryError, Entry, MailKind, Source, checked
from engagement.suppression.reading import NO_TYPE, WRONG_TYPE, entries_of, read_csv, shown, write_csv
from smtpapi.commands import main

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL


class Shell:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "smtpapi.conf"
        self.config.write_text(f'registry {{ path = "{folder}/registry.db" }}')
        self.registry = SqliteRegistry(folder / "registry.db")

    def run(self, *arguments: str, text: str = "") -> Result:
        command = ["suppress", arguments[0], "--config", str(self.config), *arguments[1:]]
        return CliRunner().invoke(main, command, input=text)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_recipients_are_added_listed_and_removed(shell: Shell) -> None:
    added = shell.run("add", "--type", "both", "--description", "asked by phone", "Ida@Example.net")
    assert (added.exit_code, added.stdout) == (0, "1 recipient(s) suppressed\n")
    shell.run("add", "--list-id", "news.example.com", "kim@example.org")
    shell.run("add", "--tenant", "31", "lee@example.org")
    everybody = shell.run("list").stdout.splitlines()
    assert [line.split()[:2] for line in everybody] == [
        ["ida@example.net", "non_transactional"],
        ["ida@example.net", "transactional"],
        ["kim@example.org", "non_transactional"],
    ]
    assert everybody[0].endswith("Manually Added: asked by phone")
    assert " list=news.example.com " in everybody[2]
    (line,) = shell.run("list", "--json", "--domain", "example.org").stdout.splitlines()
    assert json.loads(line)["recipient"] == "kim@example.org"
    assert len(shell.run("list", "--type", "transactional", "IDA@example.net").stdout.splitlines()) == 1
    assert "lee@example.org" in shell.run("list", "--tenant", "31").stdout
    assert shell.run("list", "--since", "1h", "--until", "1h").stdout == ""
    removed = shell.run("remove", "ida@example.net")
    assert (removed.exit_code, removed.stdout) == (0, "ida@example.net: 2 entries removed\n")
    again = shell.run("remove", "ida@example.net")
    assert (again.exit_code, again.stderr) == (1, "ida@example.net: not on the list\n")


def test_what_is_no_address_is_refused_before_anything_is_written(shell: Shell) -> None:
    result = shell.run("add", "ida@example.net", "ida")
    assert (result.exit_code, result.stderr) == (1, "ida: recipient must be an address\n")
    assert shell.run("list").stdout == ""
    assert shell.run("add", "--list-id", "a..b", "ida@example.net").exit_code == 2


def test_what_compliance_added_stays(shell: Shell) -> None:
    book.add(shell.registry, Entry("ida@example.net", N, Source.COMPLIANCE))
    result = shell.run("remove", "ida@example.net")
    assert (result.exit_code, result.stderr) == (1, "Recipient could not be removed - Compliance\n")


def test_a_table_is_imported_and_its_faults_are_named(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "others.csv"
    file.write_text(
        "\ufeffEmail,transactional,Non_Transactional,Description\r\n"
        "ida@example.net,true,true,hard bounce\r\n"
        "\r\n"
        "nobody,,true,\r\n"
        "kim@example.org,,,\r\n"
        "lee@example.org,maybe,,\r\n",
        "utf-8",
    )
    result = shell.run("import", str(file))
    assert result.exit_code == 1
    assert result.stdout == "3 entries taken, 2 line(s) left out\n"
    assert result.stderr == (
        f"{file}:4: recipient must be an address\n"
        f"{file}:6: transactional and non_transactional must be booleans\n"
    )
    assert [(each.recipient, each.type) for each in book.find(shell.registry, book.Search()).entries] == [
        ("ida@example.net", N),
        ("ida@example.net", T),
        ("kim@example.org", N),
    ]


def test_a_list_of_addresses_alone_is_imported_from_standard_input(shell: Shell) -> None:
    result = shell.run("import", "--type", "both", "--list-id", "news", "-", text="a@x.test\nb@x.test\n")
    assert (result.exit_code, result.stdout) == (0, "4 entries taken\n")
    assert {each.list_id for each in book.find(shell.registry, book.Search()).entries} == {"news"}


def test_what_is_exported_is_imported_as_it_was(shell: Shell, tmp_path: Path) -> None:
    odd = ["=1+1@x.test", "+a@x.test", "'=a@x.test", '"a,b"@x.test']
    for each in odd:
        book.add(shell.registry, Entry(each, N, Source.BOUNCE_RULE, "=HYPERLINK(1)", "news"))
    file = tmp_path / "list.csv"
    assert shell.run("export", str(file)).stdout == f"4 entries written to {file}\n"
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8"), newline="")))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    before = book.find(shell.registry, book.Search()).entries
    for each in odd:
        book.remove(shell.registry, each)
    assert shell.run("import", str(file)).stdout == "4 entries taken\n"
    after = book.find(shell.registry, book.Search()).entries
    assert [(each.recipient, each.source, each.description, each.list_id) for each in after] == [
        (each.recipient, each.source, each.description, each.list_id) for each in before
    ]
    assert shell.run("export").stdout.count("\n") == 5


@given(st.lists(st.builds(Entry, st.emails(), st.sampled_from(MailKind), description=st.text(max_size=20))))
def test_any_table_is_read_as_it_was_written(entries: list[Entry]) -> None:
    entries_ = [checked(each) for each in entries]
    file = io.StringIO(newline="")
    assert write_csv(entries_, file) == len(entries_)
    file.seek(0)
    lines = list(read_csv(file))
    assert [line.fault for line in lines] == [""] * len(entries_)
    read = [each for line in lines for each in line.entries]
    assert [(each.recipient, each.type, each.description) for each in read] == [
        (each.recipient, each.type, each.description.strip()) for each in entries_
    ]


@given(st.lists(st.text()))
def test_no_table_raises(lines: list[str]) -> None:
    for line in read_csv(lines):
        assert bool(line.fault) != bool(line.entries)


@pytest.mark.parametrize(
    ("members", "types"),
    [
        ({"recipient": "a@x.test", "type": "transactional"}, [T]),
        ({"email": "a@x.test", "transactional": True}, [T]),
        ({"email": "a@x.test", "non_transactional": True, "transactional": False}, [N]),
        ({"email": "a@x.test", "non_transactional": True, "transactional": True}, [T, N]),
        ({"email": "a@x.test", "recipient": "", "type": "NON_TRANSACTIONAL"}, [N]),
    ],
)
def test_clients_write_entries_in_old_ways_and_new(members: dict[str, Any], types: list[MailKind]) -> None:
    found = entries_of(members)
    assert [each.type for each in found] == types
    assert {each.recipient for each in found} == {"a@x.test"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"recipient": "a@x.test"}, NO_TYPE),
        ({"recipient": "a@x.test", "type": "both"}, WRONG_TYPE),
        ({"recipient": "a@x.test", "transactional": False}, NO_TYPE),
        ({"recipient": 1, "type": "transactional"}, "recipient must be a string"),
        ({"recipient": "a", "type": "transactional"}, "recipient must be an address"),
        ({"recipient": "a@x.test", "type": "transactional", "list_id": "a..b"}, "list_id must have"),
    ],
)
def test_what_is_no_entry_is_told_in_sparkposts_words(members: dict[str, Any], message: str) -> None:
    with pytest.raises(BadEntryError, match=message.replace(".", r"\.")):
        entries_of(members)


def test_an_entry_is_shown_as_sparkpost_shows_it() -> None:
    entry = Entry("a@x.test", T, Source.SPAM_COMPLAINT, "said", "", "", 1_793_001_722_373, 1_793_001_723_000)
    assert shown(entry) == {
        "recipient": "a@x.test",
        "type": "transactional",
        "source": "Spam Complaint",
        "description": "said",
        "created": "2026-10-26T08:02:02+00:00",
        "updated": "2026-10-26T08:02:03+00:00",
        "transactional": True,
        "non_transactional": False,
    }
