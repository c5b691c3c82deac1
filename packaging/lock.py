"""Write wheels.lock and build.lock anew: `python packaging/lock.py`, after requirements.lock has changed.

Versions are those of requirements.lock; hashes are those of the files that the index has for each CPython.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from targets import TARGETS
from wheels import _PLATFORMS, BACKEND, FROM_SOURCE, LOCK, ROOT

_BUILD = {"setuptools": "80.9.0", "wheel": "0.45.1"}
_HEAD = "# Written by packaging/lock.py from requirements.lock: files of other projects, by hash.\n"


def main() -> None:
    """Write both files."""
    versions = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    )
    versions |= {"pip": "25.3"}
    names = {_normalized(name): name for name in versions}
    requirements = [
        f"{names[name]}=={versions[names[name]]}" for name in sorted({*needed(), "pip"} - {*FROM_SOURCE})
    ]
    hashes: dict[str, set[str]] = {}
    for python in sorted({target.python for target in TARGETS}):
        platforms = [word for each in _PLATFORMS for word in ("--platform", each)]
        options = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *platforms]
        for name, digest in _fetched(requirements, options):
            hashes.setdefault(name, set()).add(digest)
    _write(LOCK, requirements, hashes)
    build = [f"{name}=={version}" for name, version in _BUILD.items()]
    found: dict[str, set[str]] = {}
    for name, digest in _fetched(build, ["--only-binary", ":all:"]):
        found.setdefault(name, set()).add(digest)
    source = [f"{name}=={versions[name]}" for name in FROM_SOURCE]
    for name, digest in _fetched(source, ["--no-binary", ":all:", "--no-build-isolation"]):
        found.setdefault(name, set()).add(digest)
    _write(BACKEND, build + source, found)


def needed(name: str = "smtpapi-engagement", extras: tuple[str, ...] = ("all",)) -> set[str]:
    """Return the names of all that a distribution needs, itself left out, as it is installed here."""
    found: set[str] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(name, extras)]
    while waiting:
        each, chosen = waiting.pop()
        if (each, chosen) in seen:
            continue
        seen.add((each, chosen))
        for line in metadata.requires(each) or ():
            required = Requirement(line)
            marker = required.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
                found.add(_normalized(required.name))
                waiting.append((_normalized(required.name), tuple(sorted(required.extras))))
    return found - {name}


def _fetched(requirements: list[str], options: list[str]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of each file that pip takes for requirements."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, *options]
        subprocess.run([*command, *requirements], check=True)
        return [
            (_normalized(re.split(r"-\d", path.name)[0]), hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(Path(folder).iterdir())
        ]


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _write(path: Path, requirements: list[str], hashes: dict[str, set[str]]) -> None:
    lines = [
        " ".join(
            [
                each,
                *(f"--hash=sha256:{digest}" for digest in sorted(hashes[_normalized(each.split("==")[0])])),
            ]
        )
        for each in sorted(requirements, key=str.lower)
    ]
    path.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
