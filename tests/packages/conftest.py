"""The package for Debian 12, made once for all tests of this folder.

SMTPAPI_PACKAGES names a folder that `make packages` filled, where those files are to be tested instead.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from packages.made import MAKE, Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    if given := os.environ.get("SMTPAPI_PACKAGES"):
        folder = Path(given)
    else:
        folder = tmp_path_factory.mktemp("dist")
        made = subprocess.run(
            [*MAKE, "--out", folder], capture_output=True, text=True, check=False, timeout=280
        )
        assert made.returncode == 0, made.stdout + made.stderr
    (package,) = folder.glob("*+deb12_*.deb")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("make_later.py"), package,
         tmp_path_factory.mktemp("later")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(folder, package, Path(done.stdout.strip()))
