"""The last hop: an SMTP server that keeps each message with its envelope, and refuses what it is told to."""

import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Delivery:
    """One transaction. mail and rcpt: the commands' parameters, upper case, ESMTP's behind the path."""

    sender: str
    recipients: tuple[str, ...]
    mail: tuple[str, ...]
    rcpt: tuple[tuple[str, ...], ...]
    message: bytes  # with CRLF, dots taken out

    @property
    def head(self) -> bytes:
        return self.message.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def body(self) -> bytes:
        return self.message.partition(b"\r\n\r\n")[2]

    def field(self, name: str) -> str:
        """A field's value, unfolded; "" if there is none."""
        pattern = rb"(?mi)^" + re.escape(name.encode()) + rb":(.*\r\n(?:[ \t].*\r\n)*)"
        found = re.search(pattern, self.head)
        return "" if found is None else re.sub(rb"\r\n(?=[ \t])", b"", found[1]).decode().strip()


class Sink(socketserver.ThreadingTCPServer):
    """Listens while it is entered. answer: what a recipient's RCPT is answered, "" for 250."""

    allow_reuse_address = True
    # With the library's 5, a burst makes Linux answer by SYN cookie and forget: its client waits for a
    # greeting that never comes (docs/sendmail.md, "Many deliveries at once").
    request_queue_size = socket.SOMAXCONN
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Callable[[str], str] = lambda recipient: "") -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.answer = answer
        self.got: list[Delivery] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *what: object) -> None:
        self.shutdown()
        self.server_close()

    def all_for(self, recipient: str) -> list[Delivery]:
        return [delivery for delivery in self.got if recipient in delivery.recipients]

    def wait_for(self, recipient: str, seconds: float = 15.0) -> Delivery:
        end = time.monotonic() + seconds
        while not (found := self.all_for(recipient)):
            assert time.monotonic() < end, f"nothing came for {recipient}"
            time.sleep(0.02)
        return found[0]


class _Session(socketserver.StreamRequestHandler):
    server: Sink
    _sender: str
    _mail: tuple[str, ...]
    _recipients: list[tuple[str, tuple[str, ...]]]

    def handle(self) -> None:
        self._say("220 sink.test ESMTP")
        self._reset()
        while line := self.rfile.readline():
            verb, _, rest = line.decode("utf-8", "surrogateescape").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    self._say("250-sink.test\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-SIZE\r\n250 DSN")
                case "MAIL":
                    self._reset()
                    self._sender, self._mail = _path(rest)
                    self._say("250 2.1.0 ok")
                case "RCPT":
                    recipient, params = _path(rest)
                    refusal = self.server.answer(recipient)
                    if not refusal:
                        self._recipients.append((recipient, params))
                    self._say(refusal or "250 2.1.5 ok")
                case "DATA" if self._recipients:
                    self._say("354 go on")
                    message = self._data()
                    people = tuple(who for who, _ in self._recipients)
                    parameters = tuple(params for _, params in self._recipients)
                    self.server.got.append(Delivery(self._sender, people, self._mail, parameters, message))
                    self._say("250 2.0.0 kept")
                case "QUIT":
                    self._say("221 2.0.0 bye")
                    return
                case "RSET" | "NOOP" | "HELO":
                    self._reset()
                    self._say("250 2.0.0 ok")
                case _:
                    self._say("503 5.5.1 no")

    def _reset(self) -> None:
        self._sender, self._mail = "", ()
        self._recipients = []

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


def _path(rest: str) -> tuple[str, tuple[str, ...]]:
    """`FROM:<a@b> NAME=value …` taken apart."""
    found = re.fullmatch(r"(?:FROM|TO):\s*<(.*?)>\s*(.*)", rest, re.IGNORECASE)
    assert found is not None, rest
    return found[1], tuple(found[2].split())
