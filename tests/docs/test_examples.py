r"""The examples in README.md and docs/ do what they show.

Each fenced block says what it is: `console` is run and its output compared, where `...` stands for anything;
`sh` is for a machine that is being set up, so of its lines only the words for `smtpapi` are checked;
`ecelerity` is loaded as configuration, `python` and `lua` as policies, `json` as JSON; `text` and `eml` are
shown only.

Commands run in a folder with newsletter.eml (demo/newsletter.eml), smtpapi.conf and keys, the ring of the
golden messages, and with demo/ and .venv of this checkout.
"""

import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from engagement.links.ring_file import save_ring
from engagement.settings import load_file
from golden_cases import RING
from smtpapi.commands import main
from smtpapi.policy.hooks import parse as parse_policy
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
KINDS = {"console", "sh", "ecelerity", "python", "json", "text", "eml", "lua"}
CONFIGURATION = """\
smtpapi { }
keys { ring = "keys" }
ESMTP_Listener {
  click_tracking_enabled = true
  open_tracking_enabled = true
  tracking_domain = "track.example.com"
  click_tracking_scheme = "https"
  open_tracking_scheme = "https"
}
"""
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """place: page:line of its first line."""

    place: str
    kind: str
    text: str


def blocks(*kinds: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for fenced in _FENCED.finditer(text):
            place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, fenced.start(2)) + 1}"
            if not kinds or fenced[1] in kinds:
                found.append(Block(place, fenced[1], fenced[2]))
    return found


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "demo/newsletter.eml", tmp_path)
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / "smtpapi.conf").write_text(CONFIGURATION)
    (tmp_path / "smtpapi.d").mkdir()
    save_ring(tmp_path / "keys", RING)
    return tmp_path


def session(text: str) -> list[tuple[str, str]]:
    """A console's commands, each with what it prints."""
    steps: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line[2:].strip(), ""))
        else:
            command, printed = steps.pop()
            steps.append((command, printed + line))
    return steps


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.place)
def test_block_says_what_it_is(block: Block) -> None:
    assert block.kind in KINDS, f"{block.place}: say after ``` which of {', '.join(sorted(KINDS))} it is"


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.place)
def test_console_prints_what_the_page_shows(block: Block, prepared: Path) -> None:
    here = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{here}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    for command, expected in session(block.text):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=prepared,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
        matches = doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS)
        assert matches, f"{block.place}: {command}\n{done.stdout}"


@pytest.mark.parametrize("block", blocks("ecelerity"), ids=lambda block: block.place)
def test_configuration_loads(block: Block, prepared: Path) -> None:
    (prepared / "example.conf").write_text(block.text)
    settings = load_file(prepared / "example.conf")
    assert settings.notices == ()


@pytest.mark.parametrize("block", blocks("lua"), ids=lambda block: block.place)
def test_lua_policy_loads(block: Block) -> None:
    LuaPolicy([LuaSource(Path(block.place), block.text.encode())], Path.read_bytes)


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.place)
def test_policy_is_read_and_has_hooks(block: Block) -> None:
    assert parse_policy(block.text, block.place)


def test_json_is_json() -> None:
    for block in blocks("json"):
        json.loads(block.text)


@pytest.mark.parametrize("block", blocks("sh", "console"), ids=lambda block: block.place)
def test_words_for_smtpapi_are_words_it_knows(block: Block) -> None:
    for line in block.text.splitlines():
        arguments = shlex.split(line.removeprefix("$ "), comments=True) if "smtpapi " in line else []
        for at, word in enumerate(arguments):
            if re.fullmatch(r"(.*/bin/)?smtpapi", word) and arguments[0] not in ("adduser", "ln"):
                _check_arguments(arguments[at + 1 :])


def _check_arguments(arguments: list[str]) -> None:
    command: click.Command | None = main
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        command, arguments = command.get_command(click.Context(command), arguments[0]), arguments[1:]
    assert command is not None
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    assert given <= known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_for_smtpapi_within_sentences_are_words_it_knows(page: Path) -> None:
    """Commands that a sentence or a table names are not run; their words and options are there."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for named in re.findall(r"`(?:\.venv/bin/)?smtpapi ([^`]+)`", text):
        arguments = [word for word in named.split() if word not in ("…", "...") and not word.startswith("[")]
        if re.fullmatch(r"[a-z][a-z-]*", arguments[0]) and "|" not in arguments[0]:
            _check_arguments(arguments)


def test_pages_have_examples_that_run() -> None:
    assert len(blocks("console")) >= 3
