"""The browser of the tests leaves nothing behind, however its process ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mta.mta_site import until
from web.servers import ROOT

_RUN = """
import os, signal
from web.chromium import fresh_page, started
with started() as browser, fresh_page(browser) as page:
    page.goto("data:text/html,<title>there</title>")
    {end}
"""


@pytest.mark.parametrize("end", ["raise ValueError", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_process_is_left(tmp_path: Path, end: str) -> None:
    """Everything it starts has TMPDIR in its environment, and the browser its profile there."""
    path = os.pathsep.join(str(ROOT / each) for each in ("tests", ".", "milter"))
    environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    run = [sys.executable, "-c", _RUN.format(end=end)]
    done = subprocess.run(run, env=environment, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode != 0
    until(lambda: not _alive(str(tmp_path)), 30, "the browser's end")


def _alive(mark: str) -> list[str]:
    """What still runs with a text in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # it has just ended
            continue
    return found
