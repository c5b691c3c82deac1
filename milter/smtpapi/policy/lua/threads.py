"""Threads of Python's own, in which Lua runs.

pymilter gives each connection a Python thread state, whatever thread of libmilter serves it. lupa asks
Python's PyGILState functions, which know one state a thread: called from libmilter's threads it waits for
ever for a lock that its own thread holds (lupa 2.8, pymilter 1.0.5). A thread that Python made has the state
that they expect.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class OwnThreads:
    """Runs calls, each in a thread that no other call is in; as many threads as calls at once."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def run(self, call: Callable[[], None]) -> None:
        """Run a call and wait for its end. Raises what it raises.

        The main thread and these threads themselves need no other.
        """
        here = threading.current_thread()
        if here is threading.main_thread() or isinstance(here, _Worker):
            call()
            return
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker()
            worker.start()
        try:
            worker.serve(call)
        finally:
            self._idle.append(worker)


class _Worker(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="lua", daemon=True)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()

    def serve(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        if (error := self._ends.get()) is not None:
            raise error

    def run(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - raised again where the call was handed in
                self._ends.put(error)
            else:
                self._ends.put(None)
            del call  # it holds a message
