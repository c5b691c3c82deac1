"""Run tests with the parts in C as AddressSanitizer and UndefinedBehaviorSanitizer watch them.

    python tests/sanitized.py [pytest's arguments]

Without arguments, the tests of those parts. The extensions are built anew in a folder of their own, and a
second Python is started with the sanitizer's library before all others. A fault ends it at once, with its
place in the C source.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -g -O1"
SETTINGS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has interned; the tests count blocks themselves
    "PYTHONMALLOC": "malloc",  # so that each object's bounds are known
}
_FOLDER = "SANITIZED"  # names the folder to the second Python


class Watched(MetaPathFinder):
    """Finds the extensions of that folder before any other."""

    def __init__(self, folder: Path) -> None:
        self.paths = {
            ".".join((*path.relative_to(folder).parts[:-1], path.name.partition(".")[0])): path
            for path in folder.rglob("*.so")
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = self.paths.get(fullname)
        return None if found is None else spec_from_file_location(fullname, found)

    def unseen(self) -> list[str]:
        """Those that nobody has imported from here."""
        return [
            name
            for name, path in self.paths.items()
            if getattr(sys.modules.get(name), "__file__", None) != str(path)
        ]


def build(folder: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    command += ["--build-lib", str(folder / "lib"), "--build-temp", str(folder / "temp")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "CFLAGS": FLAGS}, check=True)


def watch(folder: Path, arguments: list[str]) -> int:
    watched = Watched(folder / "lib")
    sys.meta_path.insert(0, watched)
    # What the sanitizers say goes to the file descriptor, which pytest must not hold when they end all.
    code = pytest.main(["-q", "-p", "no:cacheprovider", "--capture=sys", *arguments])
    if not watched.paths or (unseen := watched.unseen()):
        print(
            f"not looked at: {', '.join(unseen) if watched.paths else 'nothing was built'}", file=sys.stderr
        )
        return 1
    return int(code)


def main(arguments: list[str]) -> int:
    if folder := os.environ.get(_FOLDER):
        return watch(Path(folder), arguments)
    native = map(str, ROOT.glob("tests/unit/test_native*.py"))
    # What runs without the parts in C, in processes of its own, has nothing to watch.
    tests = arguments or [*native, "-k", "not without_the_part_in_c"]
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="sanitized-") as name:
        build(Path(name))
        variables = {**os.environ, **SETTINGS, "LD_PRELOAD": library, _FOLDER: name}
        return subprocess.run(
            [sys.executable, __file__, *tests], cwd=ROOT, env=variables, check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
