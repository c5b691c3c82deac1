"""Tells which tests run a line of the code."""

import ast
import json
import os
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from coverage import CoverageData

from mutation.judge import CHOICE, SUITES, Tree

# For code that only runs in processes of its own: whole sessions with the filter.
THROUGH_PROGRAMS = {
    "milter/": (
        "tests/test_dialogs.py",
        "tests/mta/test_hop_session.py",
        "tests/mta/test_milter_protocol.py",
    ),
    "engagement/": ("tests/test_dialogs.py", "tests/web/test_tracker_live.py"),
    "tracker_web/": ("tests/web/test_tracker_live.py", "tests/web/test_last_good.py"),
}
SOURCES = ("engagement", "milter/smtpapi", "tracker_web")
_REPORT = "report.xml"
# Of tests for one mutant, as they took while they were measured: more on a busy machine.
_MOST_SECONDS = float(os.environ.get("MUTANT_SECONDS", "60"))


class Map:
    """Which tests run which line, and how long each takes; measured once in a copy of the tree."""

    def __init__(self, lines: dict[tuple[str, int], set[str]], seconds: dict[str, float]) -> None:
        self._lines = lines
        self._seconds = seconds

    @classmethod
    def measured(cls, trees: Sequence[Tree], files: Iterable[str]) -> "Map":
        """Run the tests once with coverage, a share in each tree; those that fail notice nothing."""
        found = cls({}, {})
        with ThreadPoolExecutor(len(trees)) as pool:
            for each in pool.map(cls._of_share, trees, _shares(files, trees)):
                found.replace((), each)
        return found

    @classmethod
    def _of_share(cls, tree: Tree, files: list[str]) -> "Map":
        if not files:
            return cls({}, {})
        tree.pytest(
            *("-p", "mutation.forgetful"),
            *files,
            *(word for each in SOURCES for word in ("--cov", each)),
            *("--cov-context=test", "--cov-report=", "-o", "junit_family=xunit1"),
            f"--junitxml={tree.path}/{_REPORT}",
            *CHOICE,
            timeout=3600,
        )
        return cls.read(tree.path)

    @classmethod
    def cached(cls, trees: Sequence[Tree], root: Path, file: Path) -> "Map":
        """Return the map that the file keeps, and keep it there.

        Files of tests that are newer than the map are measured anew; everything is where the product, whose
        lines it counts, is newer.
        """
        at = file.stat().st_mtime if file.exists() else 0.0
        began = time.time()
        if any(path.stat().st_mtime > at for source in SOURCES for path in (root / source).rglob("*.py")):
            found = cls.measured(trees, files_of_tests(root))
        else:
            found = cls.loaded(file)
            known = {test.partition("::")[0] for test in found._seconds}
            files = files_of_tests(root)
            found.replace(known.difference(files), cls({}, {}))
            newer = [path for path in files if path not in known or (root / path).stat().st_mtime > at]
            if newer:
                found.replace(newer, cls.measured(trees, newer))
        found.save(file)
        os.utime(file, (began, began))
        return found

    @classmethod
    def loaded(cls, file: Path) -> "Map":
        """Return the map that was saved in a file."""
        content = json.loads(file.read_text())
        names = list(content["seconds"])
        lines = {(path, line): {names[test] for test in tests} for path, line, tests in content["lines"]}
        return cls(lines, content["seconds"])

    def save(self, file: Path) -> None:
        """Write the map into a file."""
        numbers = {test: number for number, test in enumerate(self._seconds)}
        lines = [
            (path, line, [numbers[test] for test in tests if test in numbers])
            for (path, line), tests in self._lines.items()
        ]
        file.write_text(json.dumps({"lines": lines, "seconds": self._seconds}))

    def replace(self, files: Iterable[str], other: "Map") -> None:
        """Forget what is known of the tests in these files, and take what the other map knows."""
        heads = tuple(f"{file}::" for file in files)
        for tests in self._lines.values():
            tests.difference_update([test for test in tests if test.startswith(heads)])
        self._seconds = {test: took for test, took in self._seconds.items() if not test.startswith(heads)}
        for place, more in other._lines.items():
            self._lines.setdefault(place, set()).update(more)
        self._seconds.update(other._seconds)

    @classmethod
    def read(cls, place: Path) -> "Map":
        """Return what a measured run left in the tree at place."""
        cases = list(ElementTree.parse(place / _REPORT).iter("testcase"))
        seconds = {_name(case): float(case.get("time", "0")) for case in cases}
        failed = {
            _name(case)
            for case in cases
            if any(case.find(word) is not None for word in ("failure", "error", "skipped"))
        }
        # An id with an address in memory names no test in another process.
        failed |= {test for test in seconds if " at 0x" in test}
        if failed:
            sys.stderr.write(f"left out, as they do not pass without a mutant: {sorted(failed)}\n")
        data = CoverageData(str(place / ".coverage"))
        data.read()
        lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        for file in data.measured_files():
            path = str(Path(file).relative_to(place)) if Path(file).is_relative_to(place) else file
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = {context.rpartition("|")[0] for context in contexts}
                lines[path, line] |= tests - failed - {""}
        return cls(dict(lines), seconds)

    def tests(self, path: str, first: int, last: int, *, at_import: bool) -> list[str]:
        """Return tests that run any of the lines, a minute of them: the quickest of each file first.

        Those of files that import the module come before all others, for most of the time. at_import: the
        lines run when the module is imported: for all tests that use it, whichever of them imported it.
        """
        every = self._that_run(path, first, last)
        if at_import or not every:  # or run by another process only
            every = every.union(*(tests for (file, _), tests in self._lines.items() if file == path))
            every |= {test for test in self._seconds if _imports(test.partition("::")[0], path)}
        near = {test for test in every if _imports(test.partition("::")[0], path)}
        chosen = self._within(self._in_turn(near), _MOST_SECONDS * 2 / 3)
        chosen += self._within(self._in_turn(every - set(chosen)), _MOST_SECONDS - self.seconds(chosen))
        return chosen or list(THROUGH_PROGRAMS[path.partition("/")[0] + "/"])

    def _within(self, tests: list[str], left: float) -> list[str]:
        """Return the first of the tests, as many as take so many seconds."""
        chosen = []
        for test in tests:
            left -= self._seconds.get(test, 1.0)
            if left < 0:
                break
            chosen.append(test)
        return chosen

    def _that_run(self, path: str, first: int, last: int) -> set[str]:
        return set().union(*(self._lines.get((path, line), set()) for line in range(first, last + 1)))

    def _in_turn(self, tests: set[str]) -> list[str]:
        """First the quickest test of each file, then the second of each, and so on."""
        seen: Counter[str] = Counter()
        turns: list[tuple[int, int, str]] = []
        for test in sorted(tests, key=lambda each: (self._seconds.get(each, 1.0), each)):
            file = test.partition("::")[0]
            seen[file] += 1
            turns.append((seen[file], len(turns), test))
        return [test for _, _, test in sorted(turns)]

    def seconds(self, tests: list[str]) -> float:
        """Return what the tests take together without a mutant."""
        return sum(self._seconds.get(test, _MOST_SECONDS) for test in tests)


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('file')}::{case.get('name')}"


@cache
def _imports(file: str, path: str) -> bool:
    """Return whether a file of tests imports a module of the product by its name."""
    module = path.removeprefix("milter/").removesuffix(".py").replace("/", ".")
    room, _, name = module.rpartition(".")
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.ImportFrom):
            if node.module == module:
                return True
            if node.module == room and any(each.name == name for each in node.names):
                return True
        elif isinstance(node, ast.Import) and any(each.name == module for each in node.names):
            return True
    return False


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse((Path(__file__).parents[2] / file).read_bytes())


def _shares(files: Iterable[str], trees: Sequence[Tree]) -> list[list[str]]:
    """Deal files out, the longest first, so that each tree has as many lines of tests."""
    shares: list[list[str]] = [[] for _ in trees]
    sizes = [0] * len(trees)
    for file in sorted(files, key=lambda each: -(trees[0].path / each).stat().st_size):
        least = sizes.index(min(sizes))
        shares[least].append(file)
        sizes[least] += (trees[0].path / file).stat().st_size
    return shares


def files_of_tests(root: Path) -> list[str]:
    """Return the files of the suites that try mutants."""
    suites = [root / suite for suite in SUITES]
    files = [each for suite in suites for each in ([suite] if suite.suffix else suite.rglob("test_*.py"))]
    return [str(file.relative_to(root)) for file in files]
