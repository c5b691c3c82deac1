"""Tells whether tests notice a mutant."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from mutation.inside import ANEW, NOTICED
from mutation.mutants import Mutant

# Quick, and in the process of the test. Those through real programs take too long for one mutant.
_SUITES = [
    *("unit", "properties", "contract", "docs", "web", "vendors", "config"),
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
        "patience",
        "test_forked",
    ),
    *("through_postfix", "worker_stop", "linear", "make_run", "layouts", "chromium"),
)
CHOICE = ("-k", " and ".join(f"not {word}" for word in LEFT_OUT))
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
        words = ("-p", "mutation.inside", f"--timeout={_PATIENCE}", *SUITES, *CHOICE)
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
