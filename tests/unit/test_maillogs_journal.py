"""Entries of systemd's journal, as journalctl writes them (engagement.maillogs.journal)."""

import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.maillogs.facts import Line
from engagement.maillogs.journal import PROGRAM, Journal, parsed

ENTRY = {
    "__CURSOR": "s=1;i=2",
    "__REALTIME_TIMESTAMP": "1795946401500000",
    "SYSLOG_IDENTIFIER": "postfix/qmgr",
    "MESSAGE": "4XyZ12abcdz9s: removed",
    "SYSLOG_PID": "123",
}


GONE = f"s={1:032x};i=1;b={2:032x};m=1;t=1;x=1"  # of an entry that is there no more


def entry(**changes: object) -> bytes:
    return json.dumps(
        {name: value for name, value in (ENTRY | changes).items() if value is not None}
    ).encode()


def test_an_entry_is_a_line_and_its_cursor() -> None:
    assert parsed(entry()) == (
        "s=1;i=2",
        Line(1_795_946_401_500, "postfix/qmgr", "4XyZ12abcdz9s: removed", "123"),
    )


def test_the_time_of_the_program_goes_before_that_of_the_journal() -> None:
    _, line = parsed(entry(_SOURCE_REALTIME_TIMESTAMP="1795946401499999"))
    assert line is not None
    assert line.at_ms == 1_795_946_401_499


def test_text_that_is_no_utf_8_comes_as_octets() -> None:
    _, line = parsed(entry(MESSAGE=[0x41, 0xFF, 0x42]))
    assert line is not None
    assert line.text == "A\ufffdB"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", entry(MESSAGE=None), entry(MESSAGE=[900]), entry(__CURSOR=None), b"[" * 10_000]
)
def test_what_is_no_entry_is_left_out(data: bytes) -> None:
    assert parsed(data) == ("", None)


def test_a_time_that_cannot_be_leaves_the_line_out_and_moves_the_cursor() -> None:
    assert parsed(entry(__REALTIME_TIMESTAMP="-5")) == ("s=1;i=2", None)


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(list(ENTRY)),
        st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=5),
        max_size=5,
    ).map(lambda made: json.dumps(made).encode())
)
def test_any_octets_are_read_without_an_error(data: bytes) -> None:
    parsed(data)


def test_an_empty_journal_is_followed_by_the_real_program(tmp_path: Path) -> None:
    """It takes our options, with a cursor and without, and runs until it is closed."""
    assert shutil.which(PROGRAM), "systemd is needed: apt-get install systemd (make system does it)"
    cursors: tuple[dict[str, object], ...] = ({}, {"journal": GONE})
    for cursor in cursors:
        journal = Journal(cursor, [f"--directory={tmp_path}"])
        for _ in range(3):
            assert journal.read() == []
            time.sleep(0.1)
        assert journal.cursor() == cursor
        journal.close()
