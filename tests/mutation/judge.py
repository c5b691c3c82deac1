"""Tells whether tests notice a mutant."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mutation.inside import ANEW, NOTICED, SURVIVED, TOO_LONG
from mutation.mutants import Mutant

# Quick, and in the process of the test. Those through real programs and browsers take too long for a mutant.
_SUITES = [
    *("unit", "properties", "contract", "docs", "vendors", "config"),
    *("web/test_known_faults_of_answers.py", "web/test_unnoticed_faults_of_answers.py", "web/test_hosts.py"),
    *("web/test_unsubscribe.py", "web/test_links_application.py", "web/test_privacy_modes.py"),
    *("test_dialogs.py", "test_golden_messages.py", "corpus_checks/test_html_trees.py"),
    *("corpus_checks/test_url_ends.py", "corpus_checks/test_find_oracle.py"),
    *("prometheus/test_lag_and_waiting.py", "prometheus/test_shared_counts.py"),
]
SUITES = os.environ.get("MUTANT_TESTS", " ".join(f"tests/{each}" for each in _SUITES)).split()
LEFT_OUT = (
    *(
        "sanitized",
        "test_native_off",
        "power_cut",
        "(cassandra and not test_cassandra_counting)",  # those need a node, the counting does not
        "tracker_live",
        "nginx",
        "test_page_timeout",
        "test_forked",
    ),
    *("through_postfix", "worker_stop", "linear", "make_run", "layouts", "without_the_part_in_c"),
)
CHOICE = ("-k", " and ".join(f"not {word}" for word in LEFT_OUT))
_TIMEOUT = 25  # seconds for one test; without a mutant none that is chosen takes half as long
_OUTCOMES = {0: SURVIVED, 5: SURVIVED, 1: NOTICED, -1: TOO_LONG}  # by pytest's exit status
_FIRST_FILES = 3


class Tree:
    """A copy of the checkout in which mutants are tried, one at a time."""

    def __init__(self, root: Path, place: Path) -> None:
        self.path = place
        left_out = shutil.ignore_patterns(
            ".git", ".venv", ".run", ".test", "__pycache__", ".*_cache", "build"
        )
        self._session: Session | None = None
        self._failed = place / "failed-test"
        shutil.copytree(root, place, ignore=left_out, symlinks=True)
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{place}/milter:{place}:{place}/tests",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MUTANT_FAILED": str(self._failed),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(place / ".hypothesis"),
        }

    def start(self, *arguments: str, **descriptors: int) -> subprocess.Popen[bytes]:
        """Start pytest in the copy. descriptors: handed on under these names."""
        plugins = (f"no:{name}" for name in ("randomly", "cacheprovider", "schemathesis", "anyio"))
        options = ("-q", *(word for each in plugins for word in ("-p", each)), f"--basetemp={self.path}/temp")
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *arguments],
            cwd=self.path, start_new_session=True, pass_fds=list(descriptors.values()),
            env={**self._environment, **{name: str(number) for name, number in descriptors.items()}},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def pytest(self, *arguments: str, timeout: float) -> int:
        """Run tests in the copy; the exit status, -1 when they took too long."""
        process = self.start(*arguments)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a mutant's test may leave programs behind
            process.wait()

    def outcome(self, mutant: Mutant, tests: list[str], seconds: float, *, at_import: bool) -> str:
        """Tell whether a test fails (noticed), or runs for ever (too long), with the mutant in place.

        seconds: what the tests take without a mutant. at_import: the line runs when its module is imported.
        """
        answer = ANEW
        if self._session is not None:
            tests = [test for test in tests if "::" not in test or test in self._session.tests]
            if not at_import:
                answer = self._session.answer(mutant, tests, _limit(seconds))
        return answer if answer != ANEW else self.outcome_anew(mutant, tests, seconds)

    def outcome_anew(self, mutant: Mutant, tests: list[str], seconds: float) -> str:
        """Tell the same by processes that import the mutant; few files first, as each costs time."""
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        for some in filter(None, (files[:_FIRST_FILES], files[_FIRST_FILES:])):
            left = [test for test in tests if test.partition("::")[0] in some]
            flaky: list[str] = []
            while (found := self._imported(mutant, left, flaky, _limit(seconds))).outcome != SURVIVED:
                if not found.failed or self._passes(found.failed):
                    return found.outcome
                flaky.append(found.failed)  # on a busy machine it fails as it is
        return SURVIVED

    def _imported(self, mutant: Mutant, tests: list[str], without: list[str], seconds: float) -> "_Found":
        """Return what became of a mutant that is imported, and the test that failed, if one did."""
        module = self.path / mutant.path
        source = module.read_bytes()
        self._failed.unlink(missing_ok=True)
        module.write_bytes(mutant.applied(source))
        try:
            status = self._run(tests, seconds, *(word for each in without for word in ("--deselect", each)))
        finally:
            module.write_bytes(source)
        failed = self._failed.read_text() if self._failed.exists() else ""
        if status in _OUTCOMES:
            return _Found(_OUTCOMES[status], failed)
        # The module cannot even be imported; unless it is the choice of tests that is wrong.
        right = self._run(tests, _TIMEOUT * 3, "--collect-only") == 0
        return _Found(NOTICED if right else SURVIVED, "")

    def _passes(self, test: str) -> bool:
        """Tell whether a test passes without a mutant."""
        return self._run([test], _TIMEOUT * 3) == 0

    def _run(self, tests: list[str], seconds: float, *arguments: str) -> int:
        names = self.path / "chosen-tests"
        names.write_text("\n".join(tests))
        plugin = ("-p", "mutation.first_failure", "-x", f"--timeout={_TIMEOUT}")
        return self.pytest(*plugin, *arguments, f"@{names}", timeout=seconds)

    def open(self) -> None:
        """Begin the session in which most mutants are tried."""
        self._session = Session(self)

    def close(self) -> None:
        """End it."""
        if self._session is not None:
            self._session.close()


class _Found(NamedTuple):
    """What became of a mutant, and the test that failed, "" without one."""

    outcome: str
    failed: str


class Session:
    """A run of pytest that has everything imported, and forks for each mutant (`mutation.inside`)."""

    def __init__(self, tree: Tree) -> None:
        jobs, self._jobs = os.pipe()
        self._answers, answers = os.pipe()
        arguments = ("-p", "mutation.inside", f"--timeout={_TIMEOUT}", *SUITES, *CHOICE)
        self._process = tree.start(*arguments, MUTANT_JOBS=jobs, MUTANT_ANSWERS=answers)
        os.close(jobs)
        os.close(answers)
        self._lines = os.fdopen(self._answers)
        names = self._lines.readline()
        if not names:
            raise RuntimeError("pytest does not start")
        # Of a map that was kept some may be gone: pytest that is asked for one that is not there runs none.
        self.tests = frozenset(json.loads(names))

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
    return _TIMEOUT + 3 * seconds
