"""The package for Debian 12, made once for all tests of this folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from packages.made import MAKE, Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([*MAKE, "--out", folder], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = folder.glob("*.deb")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("make_later.py"), package,
         tmp_path_factory.mktemp("later")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(folder, package, Path(done.stdout.strip()))
