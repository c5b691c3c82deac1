"""The parts of a mail as a policy reads them: headers, decoded texts, types (msg:text, msg:mime).

Only for reading: what tracking changes is found by `smtpapi.mime`, byte by byte.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail

from smtpapi.mime import encoded_words
from smtpapi.model.message import Message

_FOLD = re.compile(r"\r?\n[ \t]+")


class MailParts:
    """The parts of one message, from 1 in their order; the message itself is part 1."""

    def __init__(self, message: Message) -> None:
        self._raw = raw(message)
        self._parts: list[Mail] | None = None

    @property
    def parts(self) -> list[Mail]:
        """All parts, the containers included."""
        if self._parts is None:
            self._parts = list(message_from_bytes(self._raw).walk())
        return self._parts

    def header(self, number: int, name: str) -> list[str]:
        """Return the values of a part's fields, decoded."""
        return [shown(str(value)) for value in self.parts[number - 1].get_all(name, [])]

    def texts(self, number: int) -> Iterator[bytes]:
        """Yield the decoded text parts of a part, or of the message for 0, as UTF-8."""
        chosen = self.parts if number == 0 else [self.parts[number - 1]]
        for part in chosen:
            if part.get_content_maintype() == "text":
                yield _text(part)

    def body(self, number: int) -> bytes:
        """Return a part's body as it stands in the mail."""
        payload = self.parts[number - 1].get_payload()
        return payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""

    def type(self, number: int) -> tuple[str, str, str, bool, str]:
        """Return media type, charset, encoding, whether a part is an attachment, and its file's name.

        "" stands for what is not said.
        """
        part = self.parts[number - 1]
        return (
            part.get_content_type(),
            part.get_content_charset("") or "",
            str(part.get("Content-Transfer-Encoding", "")).strip().lower(),
            part.get_content_disposition() == "attachment",
            part.get_filename("") or "",
        )


def raw(message: Message) -> bytes:
    """Return the whole message as it came, with CRLF."""
    head = b"".join(field.name.encode() + b":" + field.value + b"\r\n" for field in message.fields)
    return head + b"\r\n" + message.body


def shown(value: str) -> str:
    """Return a header value on one line (contract.md 3.1), its encoded words decoded."""
    return encoded_words.decode(_FOLD.sub(" ", value)).strip(" \t\r\n")


def _text(part: Mail) -> bytes:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return b""
    try:
        return payload.decode(part.get_content_charset("utf-8"), "replace").encode("utf-8", "replace")
    except LookupError:
        return payload
