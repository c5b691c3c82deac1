"""A real journal of systemd, followed by `smtpapi follow`'s source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mta.journal_program import JOURNALD

pytestmark = pytest.mark.mta


def test_entries_are_read_once_each_and_on_from_the_cursor() -> None:
    assert Path(JOURNALD).exists(), "systemd is needed: apt-get install systemd (make system does it)"
    program = Path(__file__).with_name("journal_program.py")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, str(program)],
        capture_output=True, text=True, check=True, timeout=100, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "postfix/qmgr AAAA1: removed",
        "postfix/qmgr AAAA2: r\ufffdmoved",
        "postfix/qmgr AAAA3: removed",
    ]
