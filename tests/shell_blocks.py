"""The commands that README.md, CONTRIBUTING.md and docs/ show in blocks of shell. Not a test.

A test that runs a block asks for it here, by its page and the beginning of its first command;
tests/docs/test_shell_blocks.py finds those calls, and any block that no test asks for. What stands in the
table of docs/examples.md is not run as it is written, with the reason.
"""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
EXCEPTIONS: Final = ROOT / "docs/examples.md"
_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW: Final = re.compile(r"^\| \[(.+?)\]\(.*?\) \| `(.+?)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """page: below the project's folder. line: of its first command. kind: sh or console."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def commands(self) -> tuple[str, ...]:
        """Its commands, each whole, without comments."""
        return tuple(commands(self.text))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Exempt:
    """A row of docs/examples.md.

    command: how it begins. instead: what tests run in its place, "" for nothing.
    """

    page: str
    command: str
    instead: str
    reason: str


def fenced(text: str, page: str) -> list[Block]:
    """Return all fenced blocks of a page."""
    return [
        Block(page, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for found in _FENCED.finditer(text)
    ]


@cache
def shown(*kinds: str) -> list[Block]:
    """Return the blocks of these kinds of all pages."""
    return [
        block
        for page in PAGES
        for block in fenced(page.read_text("utf-8"), str(page.relative_to(ROOT)))
        if block.kind in kinds
    ]


def commands(text: str) -> list[str]:
    """Split a script into its commands: a line each, or more where a quote or a backslash goes over its end.

    Raises ValueError for a quote that is never closed.
    """
    found: list[str] = []
    begun = ""
    for line in text.splitlines():
        begun += line
        bare, closed = _without_comments(begun)
        if closed:
            if bare:
                found.append(bare)
            begun = ""
        else:
            begun += "\n"
    if begun:
        raise ValueError(f"it does not end: {begun}")
    return found


def _without_comments(text: str) -> tuple[str, bool]:
    """Return a script without its comments, and whether its last line ends a command."""
    remaining, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            remaining += text[at : at + 2]
            at += 2
            continue
        if char == "#" and not quote and (not remaining or remaining[-1].isspace()):
            at = text.find("\n", at) % (len(text) + 1)  # -1: its end
            continue
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        remaining += char
        at += 1
    return remaining.strip(), not quote and not text.endswith("\\")


@cache
def exempt() -> list[Exempt]:
    """Return the rows of docs/examples.md."""
    found = _ROW.findall(EXCEPTIONS.read_text("utf-8"))
    return [
        Exempt(page, command, "" if instead == "nothing" else instead, why)
        for page, command, instead, why in found
    ]


def is_exempt(block: Block, command: str) -> Exempt | None:
    """Return the row of a command, None for one that is run as it is written."""
    for each in exempt():
        if each.page == block.page and command.startswith(each.command):
            return each
    return None


def shell_block(page: str, beginning: str) -> Block:
    """Return the block of a page that is `beginning`, else the one that begins so: commands, a line each."""
    found = {block: "\n".join(block.commands) for block in shown("sh") if block.page == page}
    same = [block for block, text in found.items() if text == beginning]
    same = same or [block for block, text in found.items() if text.startswith(beginning)]
    assert len(same) == 1, f"{page}: {len(same)} blocks of shell begin with {beginning!r}"
    return same[0]


def script(page: str, beginning: str, **values: str) -> str:
    """Return a block as a script that ends with a command that fails, and says which it was.

    values: what stands for words of the page that the reader is to fill in, such as ID. Commands that are
    not run (docs/examples.md) are left out.
    """
    block = shell_block(page, beginning)
    text = ""
    for command in block.commands:
        row = is_exempt(block, command)
        if row is not None and not row.instead:
            continue
        for word, value in values.items():
            command = re.sub(rf"\b{word}\b", value.replace("\\", r"\\"), command)
        failed = shlex.quote(f"{block}: {command}")
        text += f"{{ {command}\n}} || {{ echo failed: {failed} >&2; exit 1; }}\n"
    return text
