"""The objects that hooks get for connection and message, read only.

Invariant: nothing that a hook does with them changes the mail.
"""

import re
from dataclasses import dataclass

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Message

_FOLD = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Accept:
    """The connection: `ac` in Momentum's hooks.

    remote_addr: the client's IP address, "" for local submission. login: the SMTP AUTH name or "".
    local_addr, local_port: the MTA's side, "" and None where the MTA does not say. listener: the daemon's
    name.
    """

    remote_addr: str
    remote_name: str
    login: str
    ehlo: str
    local_addr: str
    local_port: int | None
    listener: str

    @classmethod
    def of(cls, client: Client) -> "Accept":
        """Return the view of a client."""
        return cls(
            client.address,
            client.name,
            client.login,
            client.helo,
            client.daemon_address,
            client.daemon_port,
            client.daemon_name,
        )


class PolicyMessage:
    """The message: `msg` in Momentum's hooks. recipient: "" except in the hook for each recipient."""

    __slots__ = ("_envelope", "_message", "recipient")

    def __init__(self, envelope: Envelope, message: Message, recipient: str = "") -> None:
        self._envelope = envelope
        self._message = message
        self.recipient = recipient

    @property
    def mailfrom(self) -> str:
        """The envelope sender, "" for the null sender."""
        return self._envelope.sender

    @property
    def sender(self) -> str:
        """The same as `mailfrom`."""
        return self._envelope.sender

    @property
    def recipients(self) -> tuple[str, ...]:
        """All envelope recipients of the transaction."""
        return self._envelope.recipients

    @property
    def queue_id(self) -> str:
        """The MTA's queue id, "" where the message has none yet."""
        return self._envelope.queue_id

    @property
    def size(self) -> int:
        """The size of header and body in bytes."""
        fields = sum(len(field.name) + 1 + len(field.value) + 2 for field in self._message.fields)
        return fields + 2 + len(self._message.body)

    @property
    def body(self) -> bytes:
        """The body as it came, in its transfer encodings."""
        return self._message.body

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The pairs (name, unfolded value) of all header fields, in order. Encoded words stay encoded."""
        return tuple((field.name, _text(field.value)) for field in self._message.fields)

    def header(self, name: str) -> tuple[str, ...]:
        """Return the unfolded values of all fields of that name, in any letter case (`msg:header`)."""
        return tuple(_text(value) for value in self._message.values(name))


def _text(value: bytes) -> str:
    return _FOLD.sub("", value.decode("utf-8", "replace")).strip(" \t\r\n")
