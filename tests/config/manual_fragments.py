"""Momentum's manual through the loader: each piece of configuration loads, or errs with what to do.

`PYTHONPATH=milter:. python tests/config/manual_fragments.py FOLDER` prints what became of each. FOLDER: the
git directory of SparkPost/support-docs. Nothing of the manual is kept here: `fragments.toml` holds its facts,
retyped.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engagement.settings import Settings, SettingsError, load_text, scripts
from engagement.settings.momentum.scope_names import INSIDE
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.syntax import parse
from engagement.settings.syntax_tree import AssignNode, IncludeNode, Item, ScopeNode

_FOLDERS = ("content/momentum/4", "content/momentum/manuals")
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SCOPE = re.compile(r'^\s*[A-Za-z_]\w*(\s+("[^"\n]*"|[\w./:*-]+))?\s*=?\s*\{', re.MULTILINE)
# Lua, Sieve, shell, JSON and sessions of the console, which have braces too.
_OTHER = re.compile(r'\brequire\b|function|local |\bif \(|=>|\$|->|^\s*"\w+":', re.MULTILINE)


class Fragment(NamedTuple):
    """One block of a page."""

    page: str
    number: int
    text: str


class Outcome(NamedTuple):
    """What became of one: the error it dies of, "" if it loads, and the names that nothing accounts for.

    An error that does not say what would do counts as such.
    """

    error: str
    lost: tuple[str, ...]


def fragments(folder: Path) -> Iterator[Fragment]:
    """Every block of the manual that is configuration."""
    git = ["git", f"--git-dir={folder}"]
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "HEAD", "--name-only", *_FOLDERS], capture_output=True, check=True, text=True
    ).stdout.split("\n")
    for page in listed:
        if not page.endswith(".md"):
            continue
        shown = subprocess.run([*git, "show", f"HEAD:{page}"], capture_output=True, check=True).stdout
        for number, block in enumerate(_BLOCK.finditer(shown.decode("utf-8", "replace"))):
            text = block[1].replace("**", "")
            if _SCOPE.search(text) and not _OTHER.search(text):
                yield Fragment(page, number, text)


def outcome(text: str) -> Outcome:
    """What becomes of a text that is loaded."""
    try:
        settings = load_text(text)
    except SettingsError as error:
        helpless = [problem.what for problem in error.problems if not problem.expected]
        return Outcome(str(error), tuple(helpless))
    return Outcome("", tuple(lost(parse(text, "<text>").items, "global", settings)))


def lost(items: tuple[Item, ...], kind: str, settings: Settings) -> Iterator[str]:
    """The names that are neither served in their scope nor told in a notice or warning."""
    reported = "\n".join((*settings.notices, *settings.warnings)).lower()
    for item in items:
        if isinstance(item, IncludeNode):
            continue
        name = item.name.lower()
        if isinstance(item, AssignNode):
            served = name in SCOPED and kind in SCOPED[name].scopes
        else:
            served = name in INSIDE[kind] or (kind == "global" and name in {*STANZAS, *scripts.STANZAS})
        if not served and f"'{name}'" not in reported:
            yield item.name
        if isinstance(item, ScopeNode) and name in INSIDE[kind]:
            yield from lost(item.items, name, settings)


def main(folder: Path) -> int:
    """Print the outcomes. The number of fragments that are accepted with a silent loss."""
    silent = loads = count = 0
    for each in fragments(folder):
        found = outcome(each.text)
        count += 1
        loads += not found.error
        silent += bool(found.lost)
        if found.error or found.lost:
            first = found.error.split("\n")[0] or f"lost without a word: {', '.join(found.lost)}"
            sys.stdout.write(f"{each.page} {each.number}: {first}\n")
    sys.stdout.write(f"{count} fragments, {loads} load, {count - loads} err, {silent} lose in silence\n")
    return silent


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]))))
