"""Tests run in a process that cannot load a part in C, so that its twin in Python does the work."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_RUN = """
import sys
name, *arguments = sys.argv[1:]
sys.modules[name] = None
import pytest
code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments])
assert sys.modules[name] is None
raise SystemExit(code)
"""


def passes_without(name: str, *arguments: str) -> None:
    """Assert that pytest with these arguments passes without the extension of that name."""
    paths = ":".join((str(ROOT), str(ROOT / "milter"), str(ROOT / "tests")))
    run = subprocess.run(
        [sys.executable, "-c", _RUN, name, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
