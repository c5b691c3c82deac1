"""The process that shows a prefork program's metrics."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engagement.metrics import process
from engagement.metrics.model import Kind, Metric, Reading
from engagement.metrics.process import MetricsProcess
from prometheus.scrape import TIMEOUT, get, scraped, values

THINGS = Metric("things_total", Kind.COUNTER, "Things")


def _read() -> Iterator[Reading]:
    yield THINGS.one(1)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _child() -> int:
    (child,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[-1:]
    return int(child)


def _sockets(pid: int) -> set[str]:
    held: set[str] = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            if int(each.name) > 2:
                held.add(os.readlink(each))
    return {name for name in held if name.startswith("socket:")}


def test_it_holds_nothing_of_its_parent_and_ends_when_told(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/m"
    with socket.create_server(("127.0.0.1", 0)) as ours, MetricsProcess(address, _read, print):
        assert values(scraped(address)) == {"things_total": 1}
        child = _child()
        # Its listener alone; the connection just answered is closed after the answer.
        _until(lambda: len(_sockets(child)) == 1)
        assert f"socket:[{os.fstat(ours.fileno()).st_ino}]" not in _sockets(child)
        os.kill(child, signal.SIGHUP)  # as a terminal's and a reload's signals reach all of a group
        os.kill(child, signal.SIGINT)
        assert get(address)[0] == 200
    with pytest.raises(FileNotFoundError):
        get(address)
    assert not Path(f"/proc/{child}").exists()


def test_it_is_started_again_when_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"unix:{tmp_path}/m"
    with MetricsProcess(address, _read, print) as shown:
        scraped(address)
        os.kill(_child(), signal.SIGKILL)
        _until(shown.is_due)
        shown.keep()
        assert shown.is_due()  # not at once: what dies at its start would be forked without end
        monkeypatch.setattr(process, "_NOT_BEFORE", 0.0)
        shown.keep()
        assert not shown.is_due()
        assert values(scraped(address)) == {"things_total": 1}


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/m"
    pid = os.fork()
    if pid == 0:
        with MetricsProcess(address, _read, print):
            time.sleep(60)
        os._exit(0)
    scraped(address)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    def refused() -> bool:
        try:
            get(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except ConnectionError:  # it ends at this moment
            return False
        return False

    _until(refused)


def test_without_an_address_there_is_no_process() -> None:
    before = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    with MetricsProcess("", _read, print) as shown:
        assert not shown.is_due()
        assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == before
