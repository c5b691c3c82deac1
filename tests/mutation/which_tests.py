"""Tells which tests run a line of the code."""

import ast
import hashlib
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
# For what survives: tests that take too long for every mutant (`judge.LEFT_OUT`).
SLOWER = {
    "engagement/spool/": ("tests/unit/test_spool_power_cut.py", "tests/contract/test_spool_erasure.py"),
    "milter/smtpapi/mta/": THROUGH_PROGRAMS["milter/"],
    "milter/smtpapi/process/": THROUGH_PROGRAMS["milter/"],
}
SOURCES = ("engagement", "milter/smtpapi", "tracker_web")
_ROOT = Path(__file__).parents[2]
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

        Files of tests that have changed since, or that ran a module of the product that has, are measured
        anew: lines have moved in it.
        """
        now = _digests(root)
        if not file.exists():
            found = cls.measured(trees, files_of_tests(root))
        else:
            found, then = cls._loaded(file)
            other = {path for path in {*now, *then} if now.get(path) != then.get(path)}
            found.replace(*found._again(other, now, trees))
        found._save(file, now)
        return found

    def _again(
        self, other: set[str], now: dict[str, str], trees: Sequence[Tree]
    ) -> tuple[Iterable[str], "Map"]:
        """Return the files of tests that have to do with files that are others now, and what they run now."""
        ran = {test for (path, _), tests in self._lines.items() if path in other for test in tests}
        self._lines = {place: tests for place, tests in self._lines.items() if place[0] not in other}
        files = {test.partition("::")[0] for test in ran} | {path for path in other if _is_test(path)}
        product = [path for path in other & now.keys() if not _is_test(path)]
        tests = [path for path in now if _is_test(path)]
        files |= {test for test in tests if any(_imports(test, path) for path in product)}
        there = sorted(files & now.keys())
        return files, self.measured(trees, there) if there else Map({}, {})

    @classmethod
    def _loaded(cls, file: Path) -> tuple["Map", dict[str, str]]:
        """Return the map that was saved in a file, and the digests of the files that it is about."""
        content = json.loads(file.read_text())
        names = list(content["seconds"])
        lines = {(path, line): {names[test] for test in tests} for path, line, tests in content["lines"]}
        return cls(lines, content["seconds"]), content["digests"]

    def _save(self, file: Path, digests: dict[str, str]) -> None:
        numbers = {test: number for number, test in enumerate(self._seconds)}
        lines = [
            (path, line, [numbers[test] for test in tests if test in numbers])
            for (path, line), tests in self._lines.items()
        ]
        file.write_text(json.dumps({"lines": lines, "seconds": self._seconds, "digests": digests}))

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
        lines run when the module is imported: for all tests that use it, whichever of them imported it;
        those first that run a line with a name that is defined there.
        """
        every = self._that_run(path, first, last)
        using: set[str] = set()
        if at_import or not every:  # or run by another process only
            every = every.union(*(tests for (file, _), tests in self._lines.items() if file == path))
            every |= {test for test in self._seconds if _imports(test.partition("::")[0], path)}
            using = using.union(*(self._lines.get(place, ()) for place in _users(path, first, last)))
            every |= using
        near = {test for test in every if _imports(test.partition("::")[0], path)}
        chosen: list[str] = []
        for some, share in ((using, 0.5), (near, 0.75), (every, 1.0)):
            left = _MOST_SECONDS * share - self.seconds(chosen)
            chosen += self._within(self._in_turn(some.difference(chosen)), left)
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


def _digests(root: Path) -> dict[str, str]:
    """Return what tells a file from what it was, for each of the product and of the tests."""
    files = [*_product(), *files_of_tests(root)]
    return {file: hashlib.blake2b((root / file).read_bytes()).hexdigest() for file in files}


def _is_test(path: str) -> bool:
    return path.startswith("tests/")


def _name(case: ElementTree.Element) -> str:
    """Return the test's id: its file, its class if it has one, its own name."""
    file = str(case.get("file"))
    of_class = str(case.get("classname")).removeprefix(file.removesuffix(".py").replace("/", "."))
    return "::".join((file, *filter(None, of_class.split(".")), str(case.get("name"))))


def _users(path: str, first: int, last: int) -> Iterator[tuple[str, int]]:
    """Yield the lines, each as (path, line), with a name that is defined at import between two lines."""
    names = set(_defined(_parsed(path).body, first, last))
    if not names:
        return
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    private = all(name.startswith("_") for name in names)
    for file in [path] if private else _product():
        for number, line in enumerate(_lines(file), 1):
            if pattern.search(line):
                yield file, number


def _defined(body: Iterable[ast.stmt], first: int, last: int) -> Iterator[str]:
    for node in body:
        if node.lineno <= last and first <= (node.end_lineno or node.lineno):
            match node:
                case ast.ClassDef():
                    yield from _defined(node.body, first, last)
                case ast.FunctionDef(name=name):
                    yield name
                case ast.Assign(targets=targets):
                    yield from _names(*targets)
                case ast.AnnAssign(target=target):
                    yield from _names(target)
                case _:
                    yield from _names(node)


def _names(*nodes: ast.AST) -> Iterator[str]:
    yield from (each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name))


@cache
def _product() -> list[str]:
    return [str(path.relative_to(_ROOT)) for source in SOURCES for path in (_ROOT / source).rglob("*.py")]


@cache
def _lines(file: str) -> list[str]:
    return (_ROOT / file).read_text("utf-8").splitlines()


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
    return ast.parse((_ROOT / file).read_bytes())


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
