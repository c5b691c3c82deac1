"""The tracked links that stand in a rewritten message, found by place, through no code of the product."""

import binascii
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fidelity


class Made(NamedTuple):
    """A link or pixel that was written. url: as the reader's program gets it. target: empty for a pixel."""

    kind: str
    target: str
    url: str


def made(case: Path) -> Iterator[Made]:
    """What the golden output of a folder of tests/golden/messages holds."""
    report = json.loads((case / "plan.json").read_text())
    return made_in((case / "in.eml").read_bytes(), (case / "out.eml").read_bytes(), report["edits"])


def made_in(before: bytes, after: bytes, edits: list[dict[str, Any]]) -> Iterator[Made]:
    """What a rewritten message holds. edits: as reported."""
    parts = fidelity._top_parts(before)
    for done in fidelity._follow(before, after, edits, []):
        part = parts.get(done.edit["type"])
        if part is None:
            continue
        if done.edit["kind"] != "reencoded":
            new = fidelity._unquoted(done.new) if part.encoding == "quoted-printable" else done.new
            yield from _read(done.edit, new, part)
            continue
        coded = part.encoding == "base64"
        old = binascii.a2b_base64(done.old) if coded else done.old
        new = binascii.a2b_base64(done.new) if coded else fidelity._unquoted(done.new)
        for inner in fidelity._follow(old, new, done.edit["inner"], []):
            yield from _read(inner.edit, inner.new, part)


def _read(edit: dict[str, Any], new: bytes, part: fidelity.Part) -> Iterator[Made]:
    text = fidelity._ascii(new, part).decode("ascii")
    if edit["kind"] == "link":
        yield Made("link", edit["target"], text)
    elif edit["kind"] == "pixel":
        for url in re.findall(r'src="([^"]*)"', text):
            yield Made("pixel", "", url)
