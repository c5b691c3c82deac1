"""The MTA's side of the milter protocol, for tests: sends what an MTA would, and does what the filter asks.

Written from the protocol as Postfix speaks it (version 6). Deletions renumber, as in Postfix.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ACTIONS = 0x1FF
PROTOCOL = 0x1FFFFF
NO_STEP = {"C": 0x1, "H": 0x2, "M": 0x4, "R": 0x8, "B": 0x10, "L": 0x20, "N": 0x40, "U": 0x100, "T": 0x200}
NO_REPLY = {
    "L": 0x80, "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000, "N": 0x40000,
    "B": 0x80000,
}  # fmt: skip
LEADING_SPACE = 0x100000


class Gone(Exception):
    """The filter closed the connection."""


@dataclass
class Answer:
    """The end of a message: the filter's verdict, what it asked for, and the message after that."""

    verdict: str  # accept, reject, tempfail, discard, or the reply text
    changes: list[tuple[str, ...]] = field(default_factory=list)
    fields: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""


class MilterClient:
    """One connection."""

    def __init__(
        self,
        path: Path | str,
        timeout: float = 20.0,
        *,
        version: int = 6,
        actions: int = ACTIONS,
        protocol: int = PROTOCOL,
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._write("O", struct.pack("!III", version, actions, protocol))
        command, payload = self.read()
        assert command == "O", command
        self.version, self.actions, self.protocol = struct.unpack_from("!III", payload)
        self.requested_macros = payload[12:]

    # -- packets

    def _write(self, command: str, payload: bytes = b"") -> None:
        self._socket.sendall(struct.pack("!I", len(payload) + 1) + command.encode() + payload)

    def read(self) -> tuple[str, bytes]:
        head = self._exactly(5)
        (length,) = struct.unpack_from("!I", head)
        return chr(head[4]), self._exactly(length - 1)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self._socket.recv(count - len(data))
            except ConnectionError as error:
                raise Gone from error
            if not more:
                raise Gone
            data += more
        return data

    def step(self, command: str, payload: bytes = b"", macros: dict[str, str] | None = None) -> str:
        """Send one event; the reply's letter, "c" where none is sent or none expected."""
        if macros:
            pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in macros.items())
            self._write("D", command.encode() + pairs)
        if self.protocol & NO_STEP.get(command, 0):
            return "c"
        self._write(command, payload)
        if self.protocol & NO_REPLY.get(command, 0):
            return "c"
        reply, text = self.read()
        return text.rstrip(b"\0").decode() if reply == "y" else reply

    # -- what an MTA does

    def connect(self, address: str = "127.0.0.1", macros: dict[str, str] | None = None) -> str:
        family = b"6" if ":" in address else b"4"
        payload = b"client.example\0" + family + struct.pack("!H", 40000) + address.encode() + b"\0"
        default = {"{daemon_addr}": "127.0.0.1", "{daemon_port}": "25", "{daemon_name}": "mail.example.test"}
        return self.step("C", payload, default | (macros or {}))

    def envelope(
        self, sender: bytes, recipients: Sequence[bytes], macros: dict[str, str] | None = None
    ) -> list[str]:
        replies = [self.step("M", b"<" + sender + b">\0", macros)]
        replies += [self.step("R", b"<" + recipient + b">\0") for recipient in recipients]
        return replies

    def connect_as(self, family: bytes, rest: bytes = b"", name: bytes = b"client.example") -> str:
        """A connection of any family: U (unknown), L (a unix socket), 4 or 6."""
        macros = {"{daemon_addr}": "127.0.0.1", "{daemon_port}": "25", "{daemon_name}": "mail.example.test"}
        return self.step("C", name + b"\0" + family + rest, macros)

    def quit_for_another(self) -> None:
        """The connection to the filter stays for the next client (SMFIC_QUIT_NC)."""
        self._write("K")

    def unknown(self, line: bytes) -> str:
        return self.step("U", line + b"\0")

    def abort(self) -> None:
        self._write("A")

    def content(self, fields: Iterable[tuple[str, bytes]], body: bytes, chunk: int = 65535) -> None:
        self.step("T")
        for name, value in fields:
            # Without the leading-space option an MTA takes one blank away.
            sent = value if self.protocol & LEADING_SPACE else value.removeprefix(b" ")
            self.step("L", octets(name) + b"\0" + sent + b"\0")
        self.step("N")
        for start in range(0, len(body), chunk):
            self.step("B", body[start : start + chunk])

    def end(self, fields: Sequence[tuple[str, bytes]], body: bytes, queue_id: str = "4bXyZ") -> Answer:
        """End of message; carries out what the filter asks."""
        self._write("D", f"Ei\0{queue_id}\0".encode())
        self._write("E")
        answer = Answer("", fields=list(fields), body=body)
        new_body: list[bytes] = []
        while True:
            command, payload = self.read()
            match command:
                case "a" | "c":
                    answer.verdict = "accept"
                case "r":
                    answer.verdict = "reject"
                case "t":
                    answer.verdict = "tempfail"
                case "d":
                    answer.verdict = "discard"
                case "y":
                    answer.verdict = payload.rstrip(b"\0").decode()
                case "b":
                    new_body.append(payload)
                    answer.changes.append(("body", str(len(payload))))
                    continue
                case "h":
                    name, value = payload.split(b"\0")[:2]
                    # Without the leading-space option an MTA puts a blank before what is added.
                    value = value if self.protocol & LEADING_SPACE else b" " + value
                    answer.fields.append((name.decode(), value))
                    answer.changes.append(("add", name.decode()))
                    continue
                case "m":
                    (index,) = struct.unpack_from("!I", payload)
                    name, value = payload[4:].split(b"\0")[:2]
                    answer.changes.append(("change" if value else "delete", name.decode(), str(index)))
                    change_field(answer.fields, name.decode(), index, value)
                    continue
                case "+" | "2" | "-":
                    what = "remove recipient" if command == "-" else "add recipient"
                    answer.changes.append((what, *payload.decode().rstrip("\0").split("\0")))
                    continue
                case "p":
                    continue
                case other:
                    raise AssertionError(f"the filter asked for {other}")
            break
        if new_body:
            answer.body = b"".join(new_body)
        return answer

    def message(
        self,
        sender: bytes,
        recipients: Sequence[bytes],
        raw: bytes,
        macros: dict[str, str] | None = None,
        queue_id: str = "4bXyZ",
    ) -> Answer:
        """A whole message, from MAIL to the answer. raw: header and body with CRLF."""
        fields, body = parsed(raw)
        self.envelope(sender, recipients, macros)
        self.content(fields, body)
        return self.end(fields, body, queue_id)

    def quit(self) -> None:
        self._write("Q")
        self._socket.close()

    def drop(self) -> None:
        """Go away without a word."""
        self._socket.close()

    def __del__(self) -> None:
        self._socket.close()  # a test that ends hangs up

    def closed(self, seconds: float = 1.0) -> bool:
        """Whether the filter closes the connection within that time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def change_field(fields: list[tuple[str, bytes]], name: str, index: int, value: bytes) -> None:
    """Replace the index-th field of a name as Postfix does; an empty value removes it."""
    places = [at for at, (other, _) in enumerate(fields) if other.lower() == name.lower()]
    if not 1 <= index <= len(places):
        return
    at = places[index - 1]
    if value:
        fields[at] = (name, value)
    else:
        del fields[at]


def octets(name: str) -> bytes:
    """A field's name as it goes over the wire; what is no UTF-8 was escaped."""
    return name.encode("utf-8", "surrogateescape")


def parsed(raw: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    r"""Header fields as Postfix tells them to a milter (folds as "\n"), and the body."""
    header, _, body = raw.partition(b"\r\n\r\n")
    fields: list[tuple[str, bytes]] = []
    for line in header.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, value + b"\n" + line)
        else:
            head, _, value = line.partition(b":")
            fields.append((head.decode("utf-8", "surrogateescape"), value))
    return fields, body
