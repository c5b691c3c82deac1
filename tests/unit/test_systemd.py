"""What services tell systemd, heard by a socket of the test's own."""

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engagement.systemd import Heartbeat, notify
from tracker_web.server.notices import Notices


@pytest.fixture
def hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd would listen on; the watchdog waits for a third of a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def silent(listener: socket.socket, seconds: float) -> bool:
    listener.settimeout(seconds)
    try:
        listener.recv(100)
    except TimeoutError:
        return True
    return False


def test_beats_come_no_more_often_than_needed(hears: socket.socket) -> None:
    heart = Heartbeat()
    assert heart.interval == pytest.approx(0.1)
    for _ in range(10):
        heart.beat()
    assert hears.recv(100) == b"WATCHDOG=1"
    hears.setblocking(False)
    with pytest.raises(BlockingIOError):
        hears.recv(100)


def test_beats_go_on_while_something_takes_its_time_and_no_longer(hears: socket.socket) -> None:
    with Heartbeat().keep_beating():
        assert [hears.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    while not silent(hears, 0.2):
        pass  # what was sent before the end


@pytest.mark.parametrize(
    ("usec", "pid"), [(None, None), ("0", None), ("x", None), ("300000", "1"), ("300000", "x")]
)
def test_nobody_waits_for_beats(
    hears: socket.socket, monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    heart = Heartbeat()
    assert heart.interval is None
    heart.beat()
    with heart.keep_beating():
        notify("READY=1")
    assert hears.recv(100) == b"READY=1"


def test_process_that_the_beats_are_for(hears: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Heartbeat().beat()
    assert hears.recv(100) == b"WATCHDOG=1"


class Server(HTTPServer):
    """A server that can be told not to answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answers = True
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        if self.server.answers:
            self.send_response(404)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def test_server_is_ready_when_all_workers_are_and_alive_while_it_answers(
    hears: socket.socket, server: Server
) -> None:
    notices = Notices("127.0.0.1", server.server_port, 2)
    notices.begin()
    notices.built()
    assert hears.recv(100) == b"WATCHDOG=1"  # it answers, but one worker is not there yet
    notices.built()
    while (message := hears.recv(100)) == b"WATCHDOG=1":
        pass
    assert message == b"READY=1"
    server.answers = False
    while not silent(hears, 1.0):
        pass
    server.answers = True
    hears.settimeout(30)
    assert hears.recv(100) == b"WATCHDOG=1"


def test_reload_is_over_when_as_many_new_workers_are_there(hears: socket.socket, server: Server) -> None:
    notices = Notices("127.0.0.1", server.server_port, 1)
    notices.begin()
    notices.built()
    notices.reloading()
    notices.built()
    for begin in (b"RELOADING=1\nMONOTONIC_USEC=", b"READY=1"):  # the watchdog speaks in between
        while not hears.recv(100).startswith(begin):
            pass
