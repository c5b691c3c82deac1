"""How journalctl is run and read (engagement.maillogs.journal), with a program in its place."""

import json
import sys
import time
from pathlib import Path

import pytest

from engagement.maillogs import journal
from engagement.maillogs.journal import Journal

FIELDS = "__CURSOR,__REALTIME_TIMESTAMP,_SOURCE_REALTIME_TIMESTAMP,SYSLOG_IDENTIFIER,SYSLOG_PID,MESSAGE"
COMMON = [
    *("--follow", "--merge", "--no-pager", "--quiet", "--output=json", f"--output-fields={FIELDS}"),
    "--no-tail",
]
FACILITY = "SYSLOG_FACILITY=2"


def entry(number: int, **changes: object) -> bytes:
    fields = {
        "__CURSOR": f"c{number}",
        "__REALTIME_TIMESTAMP": str(1_790_000_000_000_000 + number),
        "SYSLOG_IDENTIFIER": "postfix/smtp",
        "MESSAGE": f"line {number}",
    }
    return json.dumps(fields | changes).encode()


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, output: bytes, then: str) -> Path:
    """Put a program in journalctl's place; return where it writes how it was called."""
    (folder / "output").write_bytes(output)
    script = folder / "journalctl"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\n"
        f"with open({str(folder / 'called')!r}, 'w') as file:\n"
        " json.dump([sys.argv[1:], os.environ.get('LC_ALL'), sys.stdin.read()], file)\n"
        f"sys.stdout.buffer.write(open({str(folder / 'output')!r}, 'rb').read())\n"
        f"sys.stdout.flush()\n{then}\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(journal, "PROGRAM", str(script))
    return folder / "called"


def lines(following: Journal, count: int) -> list[str]:
    found: list[str] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += [line.text for line in following.read()]
        time.sleep(0.01)
    return found


def test_it_goes_on_behind_its_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = entry(1) + b"\nno entry\n" + entry(2, SYSLOG_IDENTIFIER=None) + b"\n" + entry(3) + b"\n{"
    called = program(tmp_path, monkeypatch, output, "time.sleep(600)")
    following = Journal({"journal": "c0"}, ["--directory=/x"])
    assert following.cursor() == {"journal": "c0"}
    assert lines(following, 3) == ["line 1", "line 2", "line 3"]
    assert following.cursor() == {"journal": "c3"}
    assert following.read() == []
    following.close()
    assert json.loads(called.read_text()) == [
        [*COMMON, "--after-cursor=c0", "--directory=/x", FACILITY],
        "C",
        "",
    ]
    following.rewind({"journal": "c1"})
    assert following.cursor() == {"journal": "c1"}
    assert lines(following, 3) == ["line 1", "line 2", "line 3"]
    following.close()
    assert json.loads(called.read_text())[0][-3] == "--after-cursor=c1"


def test_without_a_cursor_it_begins_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = program(tmp_path, monkeypatch, entry(1) + b"\n", "time.sleep(600)")
    following = Journal({})
    assert following.cursor() == {}
    before = int(time.time())
    assert lines(following, 1) == ["line 1"]
    following.close()
    (since,) = [word for word in json.loads(called.read_text())[0] if word.startswith("--since=@")]
    assert before <= int(since.removeprefix("--since=@")) <= time.time()


def test_where_it_ends_that_is_an_error_and_it_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, b"", "sys.exit(3)")
    following = Journal({})
    with pytest.raises(OSError, match=r"journalctl ended with status 3\. May this user read the journal"):
        lines(following, 1)
    program(tmp_path, monkeypatch, entry(1) + b"\n", "time.sleep(600)")
    assert lines(following, 1) == ["line 1"]
    following.close()


def test_a_line_may_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = entry(1)
    rest = f"sys.stdout.buffer.write({whole[20:]!r} + bytes([10]))\nsys.stdout.flush()\ntime.sleep(600)"
    rest = f"time.sleep(0.2)\n{rest}"
    program(tmp_path, monkeypatch, whole[:20], rest)
    following = Journal({})
    assert lines(following, 1) == ["line 1"]
    following.close()
