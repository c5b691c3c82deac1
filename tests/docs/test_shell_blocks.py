"""Every block of shell in the pages is run by a test, or stands with its reason in docs/examples.md.

A test that runs a block asks `shell_blocks` for it, with the page and the beginning in its own text; those
calls are read here. Blocks of kind console are run by test_examples.py.
"""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shell_blocks import EXCEPTIONS, ROOT, Block, commands, exempt, is_exempt, script, shell_block, shown

_ASKING = {"shell_block", "script"}
_MAKE = "`make -n`"


def _parametrized() -> Iterator[tuple[str, str]]:
    """Yield page and beginning of each block that a test asks for; a name may stand for either."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text("utf-8")
        if "shell_blocks" not in text or path == Path(__file__):
            continue
        module = ast.parse(text)
        outside = _texts(module.body)
        for function in (each for each in ast.walk(module) if isinstance(each, ast.FunctionDef)):
            names = outside | _texts(list(ast.walk(function)))
            for call in (each for each in ast.walk(function) if isinstance(each, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id in _ASKING:
                    parameters = [
                        each.value if isinstance(each, ast.Constant) else names.get(getattr(each, "id", ""))
                        for each in call.args
                    ]
                    if parameters != [None, None]:  # shell_blocks itself hands on what it was asked
                        assert all(parameters), f"{path}:{call.lineno}: name page and beginning in the text"
                        yield str(parameters[0]), str(parameters[1])


def _texts(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Return the names that are given a text."""
    return {
        target.id: str(node.value.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.fixture(scope="module")
def run() -> set[Block]:
    """The blocks that tests run. An answer to each question is there, which `shell_block` checks."""
    return {shell_block(*parameters) for parameters in _parametrized()}


def test_each_block_is_run(run: set[Block]) -> None:
    made = {each for block in run for each in block.commands if each.startswith("make ")}  # the same anywhere
    left = [
        f"{block}: {command}"
        for block in shown("sh")
        if block not in run
        for command in block.commands
        if is_exempt(block, command) is None and command not in made
    ]
    assert left == [], "run it in a test (shell_blocks.script), or say in docs/examples.md why not"


def test_each_exception_is_needed_and_is_one(run: set[Block]) -> None:
    found = Counter(
        row for block in shown("sh") for command in block.commands if (row := is_exempt(block, command))
    )
    assert [row for row in exempt() if found[row] != 1] == [], "a row for each command, and no other"
    assert all(row.reason for row in exempt())
    whole = [block for block in shown("sh") if all(is_exempt(block, each) for each in block.commands)]
    assert [str(block) for block in whole if block in run] == [], "all of it is run: take its rows out"


def test_the_page_counts_its_exceptions() -> None:
    text = EXCEPTIONS.read_text("utf-8")
    counted = re.search(r"^These (\d+) commands", text, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) == len(exempt()) == text.count("\n| [")


def test_what_make_is_to_do_is_known_to_it() -> None:
    """The rows whose command `make -n` stands in for."""
    for row in exempt():
        if row.instead == _MAKE:
            done = subprocess.run(
                ["make", "-n", *row.command.split()[1:]],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


def test_a_script_is_split_into_commands() -> None:
    text = "one 'a\nb' \\\n  c   # why\n\n# alone\ntwo \"#\" $x#y && three # 'q'\n"
    assert commands(text) == ["one 'a\nb' \\\n  c", 'two "#" $x#y && three']
    with pytest.raises(ValueError, match="does not end"):
        commands("one 'a\n")


def test_a_command_that_fails_ends_the_script_and_is_named() -> None:
    """Also the first of two that `&&` joins, which `set -e` passes over."""
    text = script("docs/postfix.md", 'postconf -P "cleanup')
    done = subprocess.run(
        ["sh", "-c", "postconf() { false; }\n" + text + "echo went on"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed: docs/postfix.md:" in done.stderr
