"""A server of Dovecot's authentication protocol (1.1) that takes every password: for Postfix's AUTH."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_COOKIE = "0123456789abcdef" * 2
_GREETING = f"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t{_COOKIE}\nDONE\n"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(_GREETING.encode())
        for line in self.rfile:
            fields = line.decode().rstrip("\n").split("\t")
            if fields[0] == "AUTH":
                response = next(word.removeprefix("resp=") for word in fields if word.startswith("resp="))
                _, login, _ = base64.b64decode(response).decode().split("\0")
                self.wfile.write(f"OK\t{fields[1]}\tuser={login}\n".encode())


@contextmanager
def sasl_server(path: Path) -> Iterator[None]:
    """Serve on a unix socket that everybody may use."""
    with socketserver.ThreadingUnixStreamServer(str(path), _Session) as server:
        server.daemon_threads = True
        path.chmod(0o777)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
