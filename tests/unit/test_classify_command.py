"""`smtpapi classify`: what it prints, and how it ends."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contract.store_samples import AT, SampleRows
from engagement.events.record import encode
from engagement.links.model import Link
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from smtpapi.commands import main
from smtpapi.commands.data import classify
from unit.event_samples import BROWSER, hit, identity
from unit.label_samples import old

PROGRAM = [sys.executable, "-c", "from smtpapi.commands import main; main()"]
SINCE = "2026-10-01T00:00"


def run(*arguments: str, given: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["classify", *arguments], input=given)


def test_agents_are_printed_with_class_certainty_and_rule() -> None:
    done = run("--agents", "-", given="curl/8.5.0\nMozilla/5.0\r\n\na\tb\n")
    assert done.stdout == (
        "curl/8.5.0\tscanner\tcertain\tlibrary\n"
        "Mozilla/5.0\tprefetch\tprobable\tapple-privacy\n"
        "\tunknown\tcertain\tno-user-agent\n"
        "a b\tunknown\tcertain\tno-rule\n"
    )
    assert done.exit_code == 0


def test_agents_are_printed_as_they_came_whatever_the_terminal_s_letters(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    others = b"\xf0\x9f\x98\x80 Slackbot\nbad\0one\n" + b"x" * 100_000 + b" Slackbot"
    agents.write_bytes(b"Slackbot \xe4\r\n" + others)
    for letters in ("latin-1", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": letters, "PYTHONUTF8": "0"}
        for given in (str(agents), "-"):
            command = [*PROGRAM, "classify", "--agents", given]
            done = subprocess.run(
                command, env=environment, input=agents.read_bytes(), capture_output=True, check=True
            )
            label = b"\tscanner\tcertain\tlink-preview\n"
            lines = done.stdout.splitlines(keepends=True)
            assert lines[:2] == [b"Slackbot \xe4" + label, b"\xf0\x9f\x98\x80 Slackbot" + label]
            assert lines[2] == b"bad\0one\tunknown\tcertain\tno-rule\n"
            assert len(lines) == 4


def test_agents_that_followed_links_may_be_others(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.write_bytes(b"Mozilla/5.0\n\xff\xfe odd\n")
    done = subprocess.run(
        [*PROGRAM, "classify", "--agents", agents, "--kind", "click"], capture_output=True, check=True
    )
    lines = done.stdout.split(b"\n")
    assert lines[0] == b"Mozilla/5.0\tunknown\tcertain\tbare-agent"
    assert lines[1].startswith(b"\xff\xfe odd\tunknown")


def test_rules_of_the_site_are_those_that_judge(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "05-site.toml").write_text(
        'version = 9\n[[rule]]\nname = "ours"\nclass = "scanner"\ncertainty = "probable"\n'
        'agent_contains = "oddity"\nreason = "our own"\nsource = "us"\n'
    )
    configuration = tmp_path / "smtpapi.conf"
    configuration.write_text(f'smtpapi {{ }}\nclassify {{ rules = "{folder}" }}\n')
    done = run("--config", str(configuration), "--agents", "-", given="Oddity/1\n")
    assert done.stdout == "Oddity/1\tscanner\tprobable\tours\n"
    assert run("--config", str(configuration), "--rules").stdout.startswith(
        "ours\tall\tscanner\tprobable\tour own\tus\nhead\tall\tprobe\tcertain\t"
    )
    (folder / "05-site.toml").write_text("version = 9\n[[rule]]\nnome = 1\n")
    wrong = run("--config", str(configuration), "--agents", "-", given="Oddity/1\n")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith(f"{folder}/05-site.toml:3: 'nome' is no key of a rule")
    assert "in force" not in wrong.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--rules", "--since", "2h"),
        ("--agents", "-", "--dry-run"),
        ("--rules", "--until", "2h"),
        ("--since", "x"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Usage: " in done.stderr


def test_a_configuration_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run("--config", str(tmp_path / "none"), "--since", "2h")
    assert done.exit_code == 2
    assert str(tmp_path / "none") in done.stderr


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryStore:
    """A store that the command opens, with five hits of an earlier version's labels."""
    made, sample = MemoryStore(), SampleRows()
    made.add(
        [row for number in range(3) for row in old(sample.hit(at=number, message=number, agent="curl/8"))]
    )
    made.add(old(sample.hit(at=5, message=8, agent="okhttp/4")) + old(sample.hit(at=7, message=9)))
    monkeypatch.setattr(classify, "open_store", lambda *_, **__: made)
    (tmp_path / "smtpapi.conf").write_text("smtpapi { }\n")
    monkeypatch.setenv("SMTPAPI_CONFIG", str(tmp_path / "smtpapi.conf"))
    return made


def test_a_dry_run_is_a_table_and_no_change(store: MemoryStore) -> None:
    before = store.hits(0, AT * 2)
    done = run("--since", SINCE, "--until", "2027-01-01", "--dry-run")
    assert done.stdout == (
        "from   rule        to        rule             hits\n"
        "human  user-agent  scanner   library             3\n"
        "human  user-agent  scanner?  library-of-apps     1\n"
        "human  user-agent  human     browser             1\n"
    )
    assert done.stderr == (
        "5 hit(s) judged by rules of version 2: 5 would change, 0 left as they are, as privacy removed what "
        "they could be judged by\n"
    )
    assert store.hits(0, AT * 2) == before


def test_done_it_is_done_and_done_again_there_is_nothing_to_do(store: MemoryStore) -> None:
    assert "5 changed" in run("--since", SINCE, "--until", "2027-01-01").stderr
    again = run("--since", SINCE, "--until", "2027-01-01")
    assert again.stdout == ""
    assert "5 hit(s) judged by rules of version 2: 0 changed" in again.stderr


def test_interrupted_it_says_so_and_keeps_what_was_done(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel = store.relabel

    def interrupted(*arguments: object) -> int:
        relabel(*arguments)  # type: ignore[arg-type] # handed on as they came
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "relabel", interrupted)
    done = run("--since", SINCE, "--until", "2027-01-01")
    assert "Stopped. What was done stays; do it again for the rest." in done.stderr
    assert done.exit_code == 0
    monkeypatch.undo()
    assert {label.rules for _, label in store.hits(0, AT * 2)} == {"2"}


def test_in_a_real_store_labels_figures_and_history_follow(tmp_path: Path) -> None:
    """From the spool through the shipper, then by a rule of the site; done twice it is done once."""
    (tmp_path / "rules").mkdir()
    configuration = tmp_path / "smtpapi.conf"
    configuration.write_text(
        f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/spool" }}\n'
        f'store {{ path = "{tmp_path}/events.db" }}\n'
        f'classify {{ rules = "{tmp_path}/rules" }}\n'
    )
    now = int(time.time() * 1000)
    who = identity(message=9, issued=now // 1000 - 3600)
    spool = SpoolWriter(tmp_path / "spool")
    for number in range(4):
        link = Link(b"https://a.example/%d" % number, "")
        spool.append(encode(hit(at_ms=now - 9_000 + number, whose=who, link=link)))
    for message, agent in enumerate(("Oddity/1", BROWSER)):
        whose = identity(message=message + 1, issued=now // 1000 - 3600)
        address = f"198.51.100.{message}"
        spool.append(encode(hit(at_ms=now - 5_000, user_agent=agent, client_address=address, whose=whose)))
    spool.close()
    options = ("--config", str(configuration))
    assert CliRunner().invoke(main, ["ship", "--once", *options]).exit_code == 0
    assert _labels(configuration) == {"burst": 4, "no-rule": 1, "browser": 1}
    (tmp_path / "rules" / "05-site.toml").write_text(
        'version = 7\n[[rule]]\nname = "ours"\nclass = "scanner"\ncertainty = "probable"\n'
        'network = "198.51.100.0/24"\nreason = "our own"\nsource = "us"\n'
    )
    assert "2 would change" in run("--since", "1h", "--dry-run", *options).stderr
    assert _labels(configuration) == {"burst": 4, "no-rule": 1, "browser": 1}
    assert "2 changed" in run("--since", "1h", *options).stderr
    assert "0 changed" in run("--since", "1h", *options).stderr
    assert _labels(configuration) == {"burst": 4, "ours?": 2}


def _labels(configuration: Path) -> "Counter[str]":
    output = CliRunner().invoke(main, ["events", "--json", "--config", str(configuration)]).stdout
    events = [json.loads(line) for line in output.splitlines()]
    return Counter(
        event["x_client_reason"] + ("?" if event.get("x_client_certain") is False else "") for event in events
    )


def test_a_bar_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    (tmp_path / "smtpapi.conf").write_text("smtpapi { }\n")
    code = "from unit.test_classify_command import on_a_store; on_a_store()"
    leader, follower = pty.openpty()
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}/tests:{root}/milter:{root}", "TERM": "xterm"}
    environment["SMTPAPI_CONFIG"] = str(tmp_path / "smtpapi.conf")
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=follower, stdout=subprocess.DEVNULL, env=environment
    ):
        os.close(follower)
        drawn = b""
        try:
            while chunk := os.read(leader, 4096):
                drawn += chunk
        except OSError:
            pass
    os.close(leader)
    assert re.search(rb"Classifying\s+\[#+", drawn), drawn
    assert b"hit(s) judged" in drawn


def on_a_store() -> None:
    """Run the command on a store with one hit; for a process of its own."""
    store = MemoryStore()
    store.add(old(SampleRows().hit(agent="curl/8")))
    classify.open_store = lambda *_, **__: store
    main(["classify", "--since", SINCE])
