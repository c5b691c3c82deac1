"""Tells which tests run a line of the code, and whether they notice a mutant in it."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from coverage import CoverageData

from mutation.mutants import Mutant

# Quick, and in the process of the test. Those through real programs take too long for one mutant.
SUITES = (
    "tests/unit",
    "tests/properties",
    "tests/contract",
    "tests/docs",
    "tests/web",
    "tests/test_dialogs.py",
    "tests/test_golden_messages.py",
)
LEFT_OUT = (
    *("sanitized", "test_native_off", "power_cut", "cassandra", "live", "nginx", "patience", "forked"),
    *("worker_stop", "test_kept", "linear", "make_run", "layouts", "chromium"),
)
# For code that only runs in processes of its own: whole sessions with the filter.
THROUGH_PROGRAMS = ("tests/test_dialogs.py", "tests/mta/test_hop_session.py")
_MOST_SECONDS = 60  # of tests for one mutant, the quickest first
_TIMEOUT = 240


class Tree:
    """A copy of the checkout in which mutants are tried, one at a time."""

    def __init__(self, root: Path, place: Path) -> None:
        self.path = place
        left_out = shutil.ignore_patterns(
            ".git", ".venv", ".run", ".test", "__pycache__", ".*_cache", "build"
        )
        shutil.copytree(root, place, ignore=left_out, symlinks=True)
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{place}/milter:{place}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(place / ".hypothesis"),
        }

    def pytest(self, *words: str, timeout: float) -> int:
        """Run tests in the copy; the exit status, -1 when they took too long."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            *words,
        ]
        try:
            done = subprocess.run(
                command, cwd=self.path, env=self._environment, timeout=timeout, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1
        return done.returncode

    def notices(self, mutant: Mutant, tests: list[str]) -> bool:
        """Tell whether a test fails, or runs for ever, with the mutant in place."""
        module = self.path / mutant.path
        source = module.read_bytes()
        names = self.path / "chosen-tests"
        names.write_text("\n".join(tests))
        module.write_bytes(mutant.applied(source))
        try:
            return bool(tests) and self.pytest("-x", f"@{names}", timeout=_TIMEOUT) != 0
        finally:
            module.write_bytes(source)


class Map:
    """Which tests run which line, and how long each takes; measured once in a copy of the tree."""

    def __init__(self, lines: dict[tuple[str, int], set[str]], seconds: dict[str, float]) -> None:
        self._lines = lines
        self._seconds = seconds

    @classmethod
    def measured(cls, tree: Tree) -> "Map":
        """Run the quick tests once with coverage. Raises RuntimeError if they do not pass as they are."""
        report = tree.path / "report.xml"
        sources = ["engagement", "milter/smtpapi", "tracker_web"]
        status = tree.pytest(
            *SUITES,
            *(word for each in sources for word in ("--cov", each)),
            "--cov-context=test", "--cov-report=", "-o", "junit_family=xunit1", f"--junitxml={report}",
            "-k", " and ".join(f"not {word}" for word in LEFT_OUT),
            timeout=3600,
        )  # fmt: skip
        seconds = {
            f"{case.get('file')}::{case.get('name')}": float(case.get("time", "0"))
            for case in ElementTree.parse(report).iter("testcase")
        }
        failed = {
            f"{case.get('file')}::{case.get('name')}"
            for case in ElementTree.parse(report).iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        }
        if status != 0:
            sys.stderr.write(f"left out, as they fail without a mutant: {sorted(failed)}\n")
        data = CoverageData(str(tree.path / ".coverage"))
        data.read()
        lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        for file in data.measured_files():
            path = str(Path(file).relative_to(tree.path)) if Path(file).is_relative_to(tree.path) else file
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    test = context.rpartition("|")[0]
                    if test and test not in failed:
                        lines[path, line].add(test)
        return cls(dict(lines), seconds)

    def tests(self, path: str, first: int, last: int) -> list[str]:
        """Return the tests that run any of the lines, the quickest first, a minute of them at most."""
        every = set().union(*(self._lines.get((path, line), set()) for line in range(first, last + 1)))
        if not every:  # run when the module is imported, or by another process only
            every = set().union(*(tests for (file, _), tests in self._lines.items() if file == path))
        chosen, left = [], float(_MOST_SECONDS)
        for test in sorted(every, key=lambda each: (self._seconds.get(each, 1.0), each)):
            left -= self._seconds.get(test, 1.0)
            if left < 0:
                break
            chosen.append(test)
        return chosen or list(THROUGH_PROGRAMS)
