"""Tells which tests run a line of the code, and whether they notice a mutant in it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from coverage import CoverageData

from mutation.inside import ANEW, NOTICED
from mutation.mutants import Mutant

# Quick, and in the process of the test. Those through real programs take too long for one mutant.
_SUITES = ["unit", "properties", "contract", "docs", "web", "test_dialogs.py", "test_golden_messages.py"]
SUITES = os.environ.get("MUTANT_TESTS", " ".join(f"tests/{each}" for each in _SUITES)).split()
LEFT_OUT = (
    *(
        "sanitized",
        "test_native_off",
        "power_cut",
        "(cassandra and not test_cassandra_counting)",  # those need a node, the counting does not
        "tracker_live",
        "nginx",
        "patience",
        "test_forked",
    ),
    *("worker_stop", "linear", "make_run", "layouts", "chromium"),
)
_CHOICE = ("-k", " and ".join(f"not {word}" for word in LEFT_OUT))
# For code that only runs in processes of its own: whole sessions with the filter.
THROUGH_PROGRAMS = {
    "milter/": (
        "tests/test_dialogs.py",
        "tests/mta/test_hop_session.py",
        "tests/mta/test_milter_protocol.py",
    ),
    "engagement/": ("tests/test_dialogs.py", "tests/web/test_tracker_live.py"),
    "tracker_web/": ("tests/web/test_tracker_live.py", "tests/web/test_kept.py"),
}
SOURCES = ("engagement", "milter/smtpapi", "tracker_web")
_REPORT = "report.xml"
_MOST_SECONDS = 60  # of tests for one mutant, the quickest first
_PATIENCE = 25  # seconds for one test; without a mutant none that is chosen takes half as long
_FAILED = 1  # pytest's exit status


class Tree:
    """A copy of the checkout in which mutants are tried, one at a time."""

    def __init__(self, root: Path, place: Path) -> None:
        self.path = place
        left_out = shutil.ignore_patterns(
            ".git", ".venv", ".run", ".test", "__pycache__", ".*_cache", "build"
        )
        self._session: Session | None = None
        shutil.copytree(root, place, ignore=left_out, symlinks=True)
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{place}/milter:{place}:{place}/tests",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(place / ".hypothesis"),
        }

    def start(self, *words: str, **descriptors: int) -> subprocess.Popen[bytes]:
        """Start pytest in the copy. descriptors: handed on under these names."""
        options = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", f"--basetemp={self.path}/temp")
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *words],
            cwd=self.path, start_new_session=True, pass_fds=list(descriptors.values()),
            env={**self._environment, **{name: str(number) for name, number in descriptors.items()}},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def pytest(self, *words: str, timeout: float) -> int:
        """Run tests in the copy; the exit status, -1 when they took too long."""
        process = self.start(*words)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a mutant's test may leave programs behind
            process.wait()

    def notices(self, mutant: Mutant, tests: list[str], seconds: float, *, at_import: bool) -> bool:
        """Tell whether a test fails, or runs for ever, with the mutant in place.

        seconds: what the tests take without a mutant. at_import: the line runs when its module is imported.
        """
        answer = ANEW
        if self._session is not None and not at_import:
            answer = self._session.answer(mutant, tests, _limit(seconds))
        return answer == NOTICED if answer != ANEW else self._notices_anew(mutant, tests, seconds)

    def _notices_anew(self, mutant: Mutant, tests: list[str], seconds: float) -> bool:
        """The same in a process of its own, which imports the mutant."""
        module = self.path / mutant.path
        source = module.read_bytes()
        names = self.path / "chosen-tests"
        names.write_text("\n".join(tests))
        module.write_bytes(mutant.applied(source))
        try:
            status = self.pytest("-x", f"--timeout={_PATIENCE}", f"@{names}", timeout=_limit(seconds))
        finally:
            module.write_bytes(source)
        if status in (0, _FAILED, -1):
            return status != 0
        # The module cannot even be imported; unless it is the choice of tests that is wrong.
        return self.pytest("--collect-only", f"@{names}", timeout=_PATIENCE * 3) == 0

    def open(self) -> None:
        """Begin the session in which most mutants are tried."""
        self._session = Session(self)

    def close(self) -> None:
        """End it."""
        if self._session is not None:
            self._session.close()


class Session:
    """A run of pytest that has everything imported, and forks for each mutant (`mutation.inside`)."""

    def __init__(self, tree: Tree) -> None:
        jobs, self._jobs = os.pipe()
        self._answers, answers = os.pipe()
        words = ("-p", "mutation.inside", f"--timeout={_PATIENCE}", *SUITES, *_CHOICE)
        self._process = tree.start(*words, MUTANT_JOBS=jobs, MUTANT_ANSWERS=answers)
        os.close(jobs)
        os.close(answers)
        self._lines = os.fdopen(self._answers)
        if self._lines.readline() != "ready\n":
            raise RuntimeError("pytest does not start")

    def answer(self, mutant: Mutant, tests: list[str], seconds: float) -> str:
        """Return what became of the mutant."""
        os.write(self._jobs, (json.dumps((mutant, tests, seconds)) + "\n").encode())
        return self._lines.readline().strip()

    def close(self) -> None:
        """End the process."""
        os.close(self._jobs)
        self._process.wait(60)
        self._lines.close()


def _limit(seconds: float) -> float:
    return _PATIENCE + 3 * seconds


class Map:
    """Which tests run which line, and how long each takes; measured once in a copy of the tree."""

    def __init__(self, lines: dict[tuple[str, int], set[str]], seconds: dict[str, float]) -> None:
        self._lines = lines
        self._seconds = seconds

    @classmethod
    def measured(cls, tree: Tree, suites: Iterable[str]) -> "Map":
        """Run the quick tests once with coverage; those that fail as they are notice nothing."""
        tree.pytest(
            *("-p", "mutation.forgetful"),
            *suites,
            *(word for each in SOURCES for word in ("--cov", each)),
            *("--cov-context=test", "--cov-report=", "-o", "junit_family=xunit1"),
            f"--junitxml={tree.path}/{_REPORT}",
            *_CHOICE,
            timeout=3600,
        )
        return cls.read(tree.path)

    @classmethod
    def kept(cls, tree: Tree, root: Path, file: Path) -> "Map":
        """Return the map that the file keeps, and keep it there.

        Files of tests that are newer than the map are measured anew; everything is where the product, whose
        lines it counts, is newer.
        """
        at = file.stat().st_mtime if file.exists() else 0.0
        began = time.time()
        if any(path.stat().st_mtime > at for source in SOURCES for path in (root / source).rglob("*.py")):
            found = cls.measured(tree, SUITES)
        else:
            content = json.loads(file.read_text())
            lines = {(path, int(line)): set(tests) for path, line, tests in content["lines"]}
            found = cls(lines, content["seconds"])
            newer = [path for path in _test_files(root) if (root / path).stat().st_mtime > at]
            if newer:
                found.replace(newer, cls.measured(tree, newer))
        numbered = [(path, line, sorted(tests)) for (path, line), tests in found._lines.items()]
        file.write_text(json.dumps({"lines": numbered, "seconds": found._seconds}))
        os.utime(file, (began, began))
        return found

    def replace(self, files: Iterable[str], other: "Map") -> None:
        """Forget what is known of the tests in these files, and take what the other map knows."""
        heads = tuple(f"{file}::" for file in files)
        for tests in self._lines.values():
            tests.difference_update([test for test in tests if test.startswith(heads)])
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

    def tests(self, path: str, first: int, last: int) -> list[str]:
        """Return tests that run any of the lines, a minute of them: the quickest of each file first."""
        every = self._that_run(path, first, last)
        if not every:  # run when the module is imported, or by another process only
            every = set().union(*(tests for (file, _), tests in self._lines.items() if file == path))
        chosen, left = [], float(_MOST_SECONDS)
        for test in self._in_turn(every):
            left -= self._seconds.get(test, 1.0)
            if left < 0:
                break
            chosen.append(test)
        return chosen or list(THROUGH_PROGRAMS[path.partition("/")[0] + "/"])

    def at_import(self, path: str, first: int, last: int) -> bool:
        """Tell whether no test by itself runs any of the lines."""
        return not self._that_run(path, first, last)

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
        return sum(self._seconds.get(test, float(_MOST_SECONDS)) for test in tests)


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('file')}::{case.get('name')}"


def _test_files(root: Path) -> list[str]:
    suites = [root / suite for suite in SUITES]
    files = [each for suite in suites for each in ([suite] if suite.suffix else suite.rglob("test_*.py"))]
    return [str(file.relative_to(root)) for file in files]
