"""Asks a program for its metrics as Prometheus does, and lets promtool judge what comes."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from engagement.metrics.model import Metric

ROOT = Path(__file__).parents[2]
TIMEOUT = 30.0  # seconds; a busy machine starts Python slowly


def promtool() -> str:
    """Return the program, which `make system` unpacks where it is not installed."""
    found = shutil.which("promtool") or str(ROOT / ".test/prometheus/usr/bin/promtool")
    assert Path(found).exists(), "promtool is missing: make system"
    return found


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def get(address: str, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    """Return status and body."""
    if address.startswith("unix:"):
        connection: http.client.HTTPConnection = _Unix(address.removeprefix("unix:"))
    else:
        connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8")
    finally:
        connection.close()


def scraped(address: str) -> str:
    """Return the metrics, as soon as somebody listens there."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            status, text = get(address)
        except OSError:
            assert time.monotonic() < end, f"nobody shows metrics on {address}"
            time.sleep(0.05)
            continue
        assert status == 200, text
        return text


def values(text: str) -> dict[str, float]:
    """Return each sample's value by its name with its labels, as `name{label="value"}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def until(address: str, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Return the values as soon as they are so."""
    end = time.monotonic() + TIMEOUT
    while not holds(found := values(scraped(address))):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def judge(text: str, metrics: tuple[Metric, ...]) -> None:
    """Check what a program shows: promtool finds nothing, and it is what its module declares, no more."""
    done = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown = {
        (family.name + "_total" * (family.type == "counter"), family.type, family.documentation)
        for family in text_string_to_metric_families(text)
    }
    assert shown == {(metric.name, str(metric.kind), metric.help) for metric in metrics}
