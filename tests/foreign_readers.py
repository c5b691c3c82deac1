"""Two foreign readers, postal-mime and mailparser, judge rewritten mail: they must see what they saw before.

`differences` takes what each saw of a mail (`Readers`) before and after, with the report of what was changed,
puts the authors' links back and takes the pixels out, and names what is then still different. `.ci/readers`
installs the readers.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

_HERE = Path(__file__).resolve().parent
MODULES = Path(os.environ.get("FOREIGN_READERS", _HERE.parent / ".test" / "readers" / "node_modules"))

Leaf = dict[str, str]
View = dict[str, list[Leaf] | str]  # by reader; a word where it refused the mail


class Replaced(NamedTuple):
    """One innermost edit, decoded. section: of the part, "1" for a body without parts."""

    section: str
    kind: str
    old: str
    new: str


class Readers:
    """The two readers as one program that stays, for mails below a folder."""

    def __init__(self, folder: Path) -> None:
        if not MODULES.is_dir():
            raise FileNotFoundError(f"{MODULES}: run .ci/readers, which installs the foreign readers")
        command = ["node", str(_HERE / "readers" / "read.mjs"), str(MODULES), str(folder)]
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.stdout.close()
        self._program.wait()

    def see(self, names: Iterable[str]) -> Iterator[View]:
        """What they see in each file."""
        for name in names:
            assert self._program.stdin is not None
            assert self._program.stdout is not None
            self._program.stdin.write(name.encode() + b"\n")
            self._program.stdin.flush()
            yield json.loads(self._program.stdout.readline())


def differences(before: View, after: View, replaced: list[Replaced]) -> Iterator[str]:
    """What a reader sees differently, one line each, but for links and pixels."""
    for reader, old in before.items():
        new = after[reader]
        if isinstance(old, str) or isinstance(new, str):
            if old != new:
                views = [view if isinstance(view, str) else "read" for view in (old, new)]
                yield f"{reader}: {views[0]}, then {views[1]}"
            continue
        if len(old) != len(new):
            yield f"{reader}: {len(old)} leaves, then {len(new)}"
            continue
        for one, other in zip(old, new, strict=True):
            yield from (f"{reader}: leaf {one['place']!r}: {line}" for line in _leaf(one, other, replaced))


def _leaf(old: Leaf, new: Leaf, replaced: list[Replaced]) -> Iterator[str]:
    description = (
        "text" if "text" in old or old["type"] != "text/x-amp-html" else "bytes"
    )  # AMP is shown where it is known
    if {**old, description: ""} != {**new, description: ""} or (description in old) != (description in new):
        yield f"{_short(old)}, then {_short(new)}"
    elif description in old:
        numbers = _section(old["place"])
        own = [one for one in replaced if one.section == numbers]
        before, after = _undone(old[description], new[description], own)
        # The last line of a mail may be a pixel without an end, which a reader gives it.
        ends = own and own[-1].kind == "pixel" and new[description].endswith(own[-1].new + "\n")
        if before != after and not (ends and after == before + "\n"):
            at = next(
                (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
                min(len(before), len(after)),
            )
            yield f"at {at}: {before[max(at - 20, 0) : at + 60]!r}, then {after[max(at - 20, 0) : at + 60]!r}"


def _section(place: str) -> str:
    """The number of the part at a place in the tree; the readers give attachments their number at once."""
    if not place.startswith("."):
        return place or "1"
    return ".".join(str(int(number) + 1) for number in place[1:].split("."))


def _short(leaf: Leaf) -> str:
    text = leaf.get("text", leaf.get("bytes", ""))
    how = "shown" if "text" in leaf else "attached"
    return f"{how} {leaf['type']} {leaf['name']!r} {text[:40]!r} of {len(text)}"


def _undone(before: str, after: str, replaced: list[Replaced]) -> tuple[str, str]:
    """Both texts: links and pixels undone in the second, what else was replaced done in the first."""
    olds, news = [], []
    here = there = 0
    for one in replaced:
        if one.kind == "pixel":
            if (put := _first(after, there, one.new)) is None:
                break
            news.append(after[there : put[0]])
            there = put[1]
            continue
        if (was := _first(before, here, one.old)) is None:
            break
        olds.append(before[here : was[0]])
        if one.kind == "link":
            if (put := _first(after, there, one.new)) is None:
                break
            olds.append(before[slice(*was)])
            news += [after[there : put[0]], before[slice(*was)]]
            there = put[1]
        else:
            olds.append(one.new)
        here = was[1]
    return "".join(olds) + before[here:], "".join(news) + after[there:]


def _first(text: str, start: int, shown: str) -> tuple[int, int] | None:
    """Where something stands next, line ends and flowed lines (RFC 3676) being the readers' matter."""
    ways = [shown, shown.replace("\r\n", "\n")]
    ways += [ways[1].replace(" \n", blank) for blank in (" ", "")]
    spans = [(at, at + len(way)) for way in dict.fromkeys(ways) if (at := text.find(way, start)) >= 0]
    return min(spans, key=lambda span: (span[0], -span[1]), default=None)
