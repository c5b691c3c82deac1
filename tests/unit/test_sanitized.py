"""The parts in C, which read what strangers send, do nothing that C forbids."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1200)
def test_parts_in_c_stay_within_their_bounds() -> None:
    """All their tests again, watched by the compiler's sanitizers."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "sanitized.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
