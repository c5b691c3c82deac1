"""The small server: what it answers, what it survives, and what it says where it cannot serve."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.metrics import show
from engagement.metrics.listener import MetricsListener
from engagement.metrics.model import Durations, Kind, Metric, Reading
from prometheus.scrape import TIMEOUT, get, scraped, values
from web.servers import free_port

THINGS = Metric("things_total", Kind.COUNTER, 'Things, "odd" \\ ones\ntoo', ("kind",))
TOOK = Metric("took_seconds", Kind.HISTOGRAM, "Time")


def _read() -> Iterator[Reading]:
    yield THINGS.by_label({'a"b\\c': 2})
    yield Reading(TOOK, durations={(): Durations((0.1, 1.0), (3, 2, 1), 4.5)})


def _listener(address: str) -> tuple[MetricsListener, list[str]]:
    reports: list[str] = []
    return MetricsListener(address, _read, reports.append).start(), reports


@pytest.fixture(params=["127.0.0.1", "[::1]", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "unix":
        return f"unix:{tmp_path}/m"
    return f"{request.param}:{free_port()}"


def test_figures_come_over_every_kind_of_address(address: str) -> None:
    listener, reports = _listener(address)
    found = values(scraped(address))
    assert list(found.values()) == [2, 3, 5, 6, 6, 4.5]
    assert found['took_seconds_bucket{le="1.0"}'] == 5
    listener.stop()
    assert reports == []
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        get(address)


def test_only_get_of_the_one_path_is_answered() -> None:
    address = f"127.0.0.1:{free_port()}"
    listener, _ = _listener(address)
    scraped(address)
    answers = {
        (path, method): get(address, path, method)[0]
        for path in ("/", "/metrics/", "/metrics")
        for method in ("GET", "POST")
    }
    assert {request for request, status in answers.items() if status == 200} == {("/metrics", "GET")}
    listener.stop()


def test_a_client_that_says_nothing_holds_up_nobody() -> None:
    address = f"127.0.0.1:{free_port()}"
    listener, _ = _listener(address)
    scraped(address)
    host, port = address.split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    assert "things_total" in scraped(address)
    for each in silent:
        each.close()
    listener.stop()


def test_a_reading_that_fails_is_said_and_the_next_one_is_answered() -> None:
    address = f"127.0.0.1:{free_port()}"
    reports: list[str] = []
    broken = threading.Event()

    def read() -> Iterator[Reading]:
        if broken.is_set():
            raise OSError("gone")
        yield THINGS.by_label({})

    listener = MetricsListener(address, read, reports.append).start()
    scraped(address)
    broken.set()
    assert get(address)[0] == 500
    broken.clear()
    assert get(address)[0] == 200
    assert reports == ["metrics could not be read: OSError: gone"]
    listener.stop()


def test_an_address_that_is_taken_is_said_once_and_used_when_it_is_free(address: str) -> None:
    first, _ = _listener(address)
    scraped(address)
    second, reports = _listener(address)
    end = time.monotonic() + TIMEOUT
    while not reports:
        assert time.monotonic() < end
        time.sleep(0.02)
    first.stop()
    while len(reports) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert reports[0].startswith(f"metrics cannot be served on {address}: ")
    assert reports[1] == f"metrics are served on {address}"
    assert "things_total" in scraped(address)
    second.stop()


def test_a_socket_that_nobody_serves_any_more_is_replaced_and_another_file_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "m"))
    listener, _ = _listener(f"unix:{tmp_path}/m")
    assert "things_total" in scraped(f"unix:{tmp_path}/m")
    listener.stop()
    (tmp_path / "m").write_text("precious")
    listener, reports = _listener(f"unix:{tmp_path}/m")
    end = time.monotonic() + TIMEOUT
    while not reports:
        assert time.monotonic() < end
        time.sleep(0.02)
    listener.stop()
    assert (tmp_path / "m").read_text() == "precious"


def test_without_the_library_the_program_says_how_it_comes_and_goes_on() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from engagement.metrics import show\n"
        "with show.shown('127.0.0.1:1', list, print): print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first_line, on = done.stdout.splitlines()
    how = "pip install 'smtpapi-engagement[metrics]'"
    assert first_line == f"metrics are not served: prometheus_client cannot be imported: {how}"
    assert on == "goes on"


def test_nowhere_is_nothing() -> None:
    before = threading.active_count()
    assert show.start("", _read, print) is None
    assert threading.active_count() == before
