"""`smtpapi ship` and `smtpapi events`, as a person runs them."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from click.testing import CliRunner, Result

from engagement.events.model import Event
from engagement.events.record import encode
from engagement.links.model import Kind, Link
from engagement.settings import load_file
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores import open_store
from smtpapi.commands import main
from smtpapi.commands.data.events import cell, line
from unit.event_samples import AT, hit, identity, injection

PROGRAM = [sys.executable, "-c", "from smtpapi.commands import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "UTC", "PYTHONUTF8": "1"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    path.write_text(
        f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/spool" }}\n'
        f'store {{ path = "{tmp_path}/lib/events.db" }}\n'
    )
    return path


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def say(*arguments: str, config: Path) -> Result:
    """Run a command in this process: it starts no signal handlers and no log."""
    return CliRunner().invoke(main, [*arguments, "--config", str(config)])


def shipped(config: Path) -> None:
    store = open_store(load_file(config).store, writing=True)
    assert Shipper(config.parent / "spool", store).drain()
    store.close()


def run(*arguments: str | Path, config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *map(str, arguments), "--config", str(config)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*arguments: str, config: Path) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [*PROGRAM, *arguments, "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def spooled(config: Path, *events: Event) -> None:
    writer = SpoolWriter(config.parent / "spool")
    for event in events:
        assert writer.append(encode(event))
    writer.close()


def test_ship_once_then_events_in_every_form(config: Path) -> None:
    spooled(config, injection(), hit(), hit(Kind.OPEN, at_ms=AT + 1000))
    shipped = run("ship", "--once", config=config)
    assert (shipped.returncode, shipped.stdout) == (0, "")
    text = say("events", config=config)
    assert text.stdout.splitlines() == [
        "2026-10-26 08:01:02  injection         Ida.Holm@Example.net  autumn-letter  Our autumn letter",
        "2026-10-26 08:02:02  click             Ida.Holm@Example.net  autumn-letter  top banner  "
        "https://shop.example.org/a?x=1&y=",
        "2026-10-26 08:02:03  open              Ida.Holm@Example.net  autumn-letter",
    ]
    as_json = [json.loads(row) for row in say("events", "--json", config=config).stdout.splitlines()]
    assert [event["type"] for event in as_json] == ["injection", "click", "open"]
    assert as_json[1]["subject"] == "Our autumn letter"
    head, *table = csv.reader(io.StringIO(say("events", "--csv", config=config).stdout))
    assert [dict(zip(head, row, strict=True))["type"] for row in table] == ["injection", "click", "open"]
    assert dict(zip(head, table[1], strict=True))["rcpt_tags"] == '["letter", "nl"]'


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        (["--type", "open"], ["open"]),
        (["--type", "open", "--type", "injection"], ["injection", "open"]),
        (["--limit", "1"], ["open"]),
        (["--recipient", "IDA.holm@example.net", "--type", "click"], ["click"]),
        (["--campaign", "none"], []),
        (["--since", "2026-10-26T08:02:00"], ["click", "open"]),
        (["--since", "2026-10-26T10:02:03+02:00"], ["open"]),
        (["--since", "1s"], []),
    ],
)
def test_events_are_chosen(config: Path, arguments: list[str], types: list[str]) -> None:
    spooled(config, injection(), hit(), hit(Kind.OPEN, at_ms=AT + 1000))
    shipped(config)
    output = say("events", "--json", *arguments, config=config)
    assert [json.loads(row)["type"] for row in output.stdout.splitlines()] == types


def test_events_of_one_mail_are_found_by_its_message_id(config: Path) -> None:
    now = int(time.time() * 1000)
    one = injection(at_ms=now)._replace(message_id_header="<one@example.org>")
    spooled(config, one, hit(at_ms=now))
    shipped(config)
    chosen = ("events", "--json", "--message-id-header", "<one@example.org>")
    for more in ((), ("--message-id-header", "<none@example.org>")):
        output = say(*chosen, *more, config=config).stdout
        assert [json.loads(row)["type"] for row in output.splitlines()] == ["injection", "click"]
    assert say("events", "--message-id-header", "one@example.org", config=config).stdout == ""
    with running(*chosen, "--follow", "--since", "1h", config=config) as follow:
        assert follow.stdout is not None
        past = [json.loads(follow.stdout.readline())["type"] for _ in range(2)]
        assert past == ["injection", "click"]
        spooled(config, hit(Kind.OPEN, at_ms=now, whose=identity(2)), hit(Kind.OPEN, at_ms=now + 1))
        shipped(config)
        assert json.loads(follow.stdout.readline())["x_message_id_header"] == "<one@example.org>"
        follow.send_signal(signal.SIGINT)
        assert follow.wait(10) == 0


def test_events_before_there_are_any(config: Path) -> None:
    output = say("events", config=config)
    assert (output.exit_code, output.stdout, output.stderr) == (0, "", "")
    assert run("ship", "--once", config=config).returncode == 0


def test_words_that_make_no_sense_are_said_so(config: Path, tmp_path: Path) -> None:
    assert "say how far back" in say("events", "--since", "yesterday", config=config).stderr
    assert "not both" in say("events", "--json", "--csv", config=config).stderr
    missing = say("events", config=tmp_path / "missing.conf")
    assert missing.exit_code == 2
    assert "missing.conf" in missing.stderr
    assert say("ship", config=tmp_path / "missing.conf").exit_code == 2


def test_a_store_that_cannot_be_read_is_said_so(config: Path) -> None:
    (config.parent / "lib").mkdir()
    (config.parent / "lib" / "events.db").write_text("no database " * 100)
    for command in (["events"], ["ship", "--once"]):
        done = run(*command, config=config)
        assert done.returncode == 1
        assert "events.db: file is not a database" in done.stderr
        assert "Traceback" not in done.stderr


def test_follow_shows_what_comes_in_and_ends_at_sigterm(config: Path) -> None:
    with (
        running("ship", config=config) as ship,
        running("events", "--follow", "--json", config=config) as follow,
    ):
        assert ship.stderr is not None
        assert follow.stdout is not None
        assert "shipping from" in ship.stderr.readline()
        output = follow.stdout
        shown: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=lambda: [*map(shown.put, output)], daemon=True).start()
        seen: set[str] = set()
        probes: list[str] = []
        while not seen:  # the follower shows nothing before it has taken its mark
            probe = hit(at_ms=AT - 60_000 * (len(probes) + 1))
            probes.append(probe.id)
            spooled(config, probe)
            with suppress(Empty):
                seen.add(json.loads(shown.get(timeout=0.5))["event_id"])
            assert len(probes) < 120
        while probes[-1] not in seen:
            seen.add(json.loads(shown.get(timeout=60))["event_id"])
        waits = []
        for number in range(3):
            began = time.monotonic()
            spooled(config, hit(at_ms=AT + number))
            event = json.loads(shown.get(timeout=60))
            waits.append(time.monotonic() - began)
            assert event["timestamp"] == f"2026-10-26T08:02:02.{373 + number}Z"
        assert min(waits) < 2.0
        for process in (follow, ship):
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_follow_with_since_shows_the_past_first(config: Path) -> None:
    now = int(time.time() * 1000)
    spooled(config, hit(at_ms=now - 5000), hit(Kind.OPEN, at_ms=now - 90_000_000))
    shipped(config)
    with running("events", "--follow", "--since", "1h", "--json", config=config) as follow:
        assert follow.stdout is not None
        assert json.loads(follow.stdout.readline())["type"] == "click"
        spooled(config, hit(Kind.OPEN, at_ms=now), hit(at_ms=now))
        shipped(config)
        assert [json.loads(follow.stdout.readline())["type"] for _ in range(2)] == ["open", "click"]
        follow.send_signal(signal.SIGINT)
        assert follow.wait(10) == 0


def test_a_reader_who_has_seen_enough_is_no_error(config: Path) -> None:
    spooled(config, *(hit(at_ms=AT + 20_000 * number) for number in range(500)))
    shipped(config)
    with running("events", "--limit", "500", "--json", config=config) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(10) == 0
        process.stdout = None


def test_sigterm_ships_what_is_there_before_the_end(config: Path) -> None:
    with running("ship", config=config) as ship:
        assert ship.stderr is not None
        ship.stderr.readline()
        spooled(config, *(hit(at_ms=AT + 20_000 * number) for number in range(50)))
        ship.send_signal(signal.SIGTERM)
        assert ship.wait(10) == 0
    assert len(say("events", "--json", config=config).stdout.splitlines()) == 50


def heard(process: "subprocess.Popen[str]", text: str) -> None:
    """Read what it says until a line has the words; what never comes ends with the test's time."""
    assert process.stderr is not None
    while text not in (line := process.stderr.readline()):
        assert line, "it ended"


def test_sighup_reads_the_configuration_anew(config: Path) -> None:
    first, other = config.parent / "lib/events.db", config.parent / "lib/other.db"
    with running("ship", config=config) as ship:
        heard(ship, f"to {first}")
        config.write_text(config.read_text().replace("events.db", "other.db"))
        ship.send_signal(signal.SIGHUP)
        heard(ship, f"to {other}")
        config.write_text("nonsense {")
        ship.send_signal(signal.SIGHUP)
        heard(ship, "Reconfigure failed. The last good configuration stays in use: ")
        heard(ship, f"to {other}")
        spooled(config, hit())
        ship.send_signal(signal.SIGTERM)
        assert ship.wait(20) == 0
    config.write_text(f'smtpapi {{ }}\nstore {{ path = "{other}" }}\n')
    assert len(say("events", "--json", config=config).stdout.splitlines()) == 1


def test_reloads_in_a_row_lose_no_event_and_sigterm_among_them_ends_it(config: Path) -> None:
    with running("ship", config=config) as ship:
        heard(ship, "shipping from")
        assert ship.stderr is not None
        threading.Thread(target=ship.stderr.read, daemon=True).start()
        for number in range(30):
            spooled(config, *(hit(at_ms=AT + 20_000 * (number * 5 + each)) for each in range(5)))
            ship.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        ship.send_signal(signal.SIGHUP)
        ship.send_signal(signal.SIGTERM)
        assert ship.wait(20) == 0
    assert run("ship", "--once", config=config).returncode == 0
    assert len(say("events", "--json", "--limit", "1000", config=config).stdout.splitlines()) == 150


def test_a_second_shipper_waits_and_says_so(config: Path) -> None:
    with running("ship", config=config) as first:
        assert first.stderr is not None
        first.stderr.readline()
        once = run("ship", "--once", config=config)
        assert once.returncode == 1
        assert f"process {first.pid} ships from here" in once.stderr
        with running("ship", config=config) as second:
            assert second.stderr is not None
            assert f"process {first.pid} ships from here" in second.stderr.readline()
            assert "Waiting" in second.stderr.readline()
            first.send_signal(signal.SIGTERM)
            assert first.wait(10) == 0
            assert "shipping from" in second.stderr.readline()
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0


def test_status_tells_what_waits_and_changes_nothing(config: Path) -> None:
    output = say("ship", "--status", config=config)
    assert output.exit_code == 0
    assert "not running" in output.stdout
    assert not (config.parent / "spool").exists()
    now = int(time.time() * 1000)
    spooled(config, hit(at_ms=now - 60_000), hit(at_ms=now), injection(at_ms=now))
    state = json.loads(say("ship", "--status", "--json", config=config).stdout)
    assert (state["active"], state["backlog_records"], state["carried"]) == (False, 3, None)
    assert 59 < state["oldest_seconds"] < 120
    (config.parent / "lib").write_text("a file where the folder should be")
    assert run("ship", "--once", config=config).returncode == 1
    (config.parent / "lib").unlink()
    with running("ship", config=config) as ship:
        assert ship.stderr is not None
        ship.stderr.readline()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            state = json.loads(say("ship", "--status", "--json", config=config).stdout)
            if state["backlog_records"] == 0 and state["carried"]:
                break
    assert (state["active"], state["backlog_records"], state["carried"]) == (True, 0, 3)
    assert "carried   3" in say("ship", "--status", config=config).stdout


@pytest.fixture
def unreachable(config: Path, tmp_path: Path) -> Path:
    """The same with a Cassandra that nobody answers for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = config.read_text().split("store {")[0]
    config.write_text(
        f'{text}store {{ engine = "cassandra" }}\n'
        f'cassandra_client {{ uri = ( "name=cassandra_db;host=127.0.0.1;port={port}" ) }}\n'
    )
    return config


@pytest.mark.parametrize("waiting", [0, 2])
def test_once_with_a_store_out_of_reach_says_so_and_loses_nothing(unreachable: Path, waiting: int) -> None:
    if waiting:
        spooled(unreachable, *[hit()] * waiting)
    ended = run("ship", "--once", config=unreachable)
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if "Cassandra (127.0.0.1, port " in line]
    assert (
        len([line for line in lines if "copies of mail" not in line]) == 1
    )  # those, in the registry, say so too
    assert "no node can be used" in ended.stderr
    assert "Traceback" not in ended.stderr
    state = json.loads(say("ship", "--status", "--json", config=unreachable).stdout)
    assert (state["backlog_records"], state["failing"]) == (waiting, True)


# --- lines and cells ---


def test_a_line_gives_a_terminal_nothing_to_obey() -> None:
    shown = line(
        {
            "type": "click",
            "timestamp": "2026-10-26T08:02:02.373Z",
            "raw_rcpt_to": "a\x1b[31m@example.org",
            "campaign_id": "line\nbreak",
            "target_link_name": "\u202eright to left",
            "target_link_url": "https://example.org/\x07",
        }
    )
    assert shown.isprintable()
    assert "\N{REPLACEMENT CHARACTER}[31m" in shown


def test_a_line_remarks_what_is_not_counted() -> None:
    event = {
        "type": "open",
        "timestamp": "2026-10-26T08:02:02.373Z",
        "x_client_class": "probe",
        "x_repeat": True,
    }
    assert line(event).endswith("-  -  (probe, repeat)")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_no_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_other_cells_are_as_they_are() -> None:
    assert cell("a=b") == "a=b"
    assert cell(True) == "true"
    assert cell({"a": "æ"}) == '{"a": "æ"}'


def test_a_link_named_like_a_formula_comes_out_guarded(config: Path) -> None:
    spooled(
        config,
        hit(link=Link(b"https://example.org/", '=HYPERLINK("https://evil.example")'), whose=identity()),
    )
    shipped(config)
    output = say("events", "--csv", config=config).stdout
    assert "'=HYPERLINK" in output
