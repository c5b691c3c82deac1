"""A plugin of pytest: writes the name of the first test that fails into the file MUTANT_FAILED."""

import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    place = Path(os.environ["MUTANT_FAILED"])
    if report.failed and not place.exists():
        place.write_text(report.nodeid)
