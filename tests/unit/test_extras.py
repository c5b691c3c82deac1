"""Where a part of the program is not installed, one line says how it is, and the status is 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engagement.extras import NotInstalledError, need

ROOT = Path(__file__).parents[2]
CONF = """smtpapi {{ }}
keys {{ ring = "{0}/keys" }}
spool {{ directory = "{0}/spool" }}
tracker {{ listen = "127.0.0.1:9" }}
store {{ engine = cassandra }}
cassandra_client {{ uri = ("name=c;host=127.0.0.1;port=9") }}
"""
# A host on which these modules are not installed: importing one fails, as it does there.
LAUNCH = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from smtpapi.commands import main
main(prog_name="smtpapi")
"""


def run(folder: Path, missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = folder / "smtpapi.conf"
    config.write_text(CONF.format(folder))
    return subprocess.run(
        [sys.executable, "-c", LAUNCH, missing, *arguments, "--config", str(config)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'milter'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("milter", "Milter", "milter"),
        ("milter", "lxml", "milter"),
        ("milter --counters", "prometheus_client", "metrics"),
        ("tracker", "granian", "tracker"),
        ("web", "granian", "tracker"),
        ("web", "flask", "tracker"),
        ("ship", "cassandra", "cassandra"),
        ("ship --once", "cassandra", "cassandra"),
        ("events", "cassandra", "cassandra"),
        ("store check", "cassandra", "cassandra"),
        ("store migrate", "cassandra", "cassandra"),
        ("doctor", "dns", "doctor"),
        ("doctor", "dkim", "doctor"),
    ],
)
def test_a_missing_part_is_said_in_one_line(tmp_path: Path, command: str, missing: str, extra: str) -> None:
    done = run(tmp_path, missing, *command.split())
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"smtpapi {command.split()[0]}: {missing}")
    assert line.endswith(f"pip install 'smtpapi-engagement[{extra}]'")


@pytest.mark.parametrize("command", ["milter", "tracker", "web", "ship", "events", "store"])
def test_help_and_what_needs_no_part_work_without_any(command: str) -> None:
    missing = "Milter,milter,lxml,flask,werkzeug,granian,cassandra,dns,prometheus_client"
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, missing, command, "--help"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'milter'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: smtpapi ")


def test_what_is_there_needs_no_word() -> None:
    need("tracker", "flask")
    with pytest.raises(NotInstalledError, match="smtpapi-engagement"):
        need("cassandra", "cassandra.no_such_module")
