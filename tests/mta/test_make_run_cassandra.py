"""`make run STORE=cassandra`: from a mail to a row in a real Cassandra; nothing stays behind."""

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cassandra_site
from mta.mta_site import free_port, open_folders, until

pytestmark = [pytest.mark.mta, pytest.mark.timeout(900)]

_ROOT = Path(__file__).parents[2]
_SMTPAPI = Path(sys.executable).with_name("smtpapi")
_BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


def test_a_click_goes_all_the_way_into_cassandra(tmp_path: Path) -> None:
    folder, out = tmp_path / "run", tmp_path / "out"
    open_folders(tmp_path)
    environment = {
        **os.environ,
        "RUN_DIR": str(folder),
        "PORT_SMTP": str(free_port()),
        "PORT_HTTP": str(free_port()),
        "PORT_WEB": str(free_port()),
        "PORT_HOP": str(free_port()),
        "STORE": "cassandra",
        "PORT_CASSANDRA": str(cassandra_site.free_port()),
    }
    with out.open("wb") as file:
        run = subprocess.Popen(
            [sys.executable, "-m", "demo.run"], cwd=_ROOT, env=environment, stdout=file, stderr=file
        )
    try:
        until(lambda: "Events as they come" in out.read_text() or run.poll() is not None, 800, "the start")
        link = re.search(r"curl -sI 'http://(localhost:\d+)(/[^']+)'", out.read_text())
        assert link is not None, out.read_text()
        connection = http.client.HTTPConnection(link[1], timeout=20)
        connection.request("GET", link[2], headers=_BROWSER)
        assert connection.getresponse().status == 302
        connection.close()
        until(lambda: re.search(r"click .*friend@example\.test", out.read_text()), 60, "the event")
        check = subprocess.run(
            [str(_SMTPAPI), "store", "check", "--config", str(folder / "etc" / "smtpapi.conf")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (check.returncode, "as needed" in check.stdout) == (0, True), check.stdout + check.stderr
    finally:
        run.send_signal(signal.SIGINT)
        run.wait(60)
    left = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and str(folder).encode() in path.read_bytes()
    ]
    assert left == []
