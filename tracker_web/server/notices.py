"""Reports to systemd on a server that another library runs: when its workers serve, that they still answer.

The parent makes one `Notices` before it forks; each worker calls `built` when its application is there, and a
thread of the parent counts. Alive is a server that answers a request: the thread makes one for each beat.
"""

import http.client
import multiprocessing
import os
import select
import threading
import time
from typing import Final

from engagement.systemd import Heartbeat, is_supervised, notify

_ANSWER_SECONDS: Final = 5.0  # for one answer; the watchdog of the unit waits longer
_RETRY_SECONDS: Final = 0.05  # between two attempts, until the first answer


def fork_workers() -> None:
    """Let the server fork its workers, also where Python's own default is another (3.14 and later).

    They inherit what the parent read last without an error.
    """
    multiprocessing.set_start_method("fork", force=True)


class Notices:
    """What one server reports to systemd. host, port: where it listens. workers: how many processes serve."""

    def __init__(self, host: str, port: int, workers: int) -> None:
        self._host = host
        self._port = port
        self._workers = workers
        self._awaited = workers
        self._read, self._write = os.pipe()
        self._heart = Heartbeat()

    def built(self) -> None:
        """Say, in a worker, that its application is there."""
        if is_supervised():
            os.write(self._write, b".")

    def reloading(self) -> None:
        """Say that the workers are being replaced; `READY=1` follows when the new ones are there."""
        self._awaited = self._workers
        notify("RELOADING=1")

    def begin(self) -> None:
        """Start to watch, where systemd waits for it."""
        if is_supervised():
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._read], [], [], self._heart.interval)
            if ready:
                came = len(os.read(self._read, 4096))
                if self._awaited > 0:
                    self._awaited -= came
                    if self._awaited <= 0:
                        self._wait_for_an_answer()
                        notify("READY=1")
            if self._answers():
                self._heart.beat()

    def _wait_for_an_answer(self) -> None:
        while not self._answers():  # a worker that has its application listens at once
            time.sleep(_RETRY_SECONDS)

    def _answers(self) -> bool:
        """Return whether the server answers a request, whatever it says."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", "/robots.txt", headers={"Connection": "close"})
            return connection.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
