"""A wire between the driver and a node, to hurt. Not a test."""

import contextlib
import select
import socket
import threading
import time


class Wire:
    """A port that leads to another: slow (seconds), deaf (answers are thrown away), or cut (all of it).

    address: where it listens.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._to = port
        self.slow = 0.0
        self.deaf = False
        self.thrown_away = 0
        self._closed = False
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # dead: so is the wire's end
                client.close()
                continue
            self._pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client:
                        server.sendall(data)
                    elif self.deaf:
                        self.thrown_away += 1
                    else:
                        time.sleep(self.slow)
                        client.sendall(data)
