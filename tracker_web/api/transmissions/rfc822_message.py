"""One recipient's message from a whole one that the application wrote (`content.email_rfc822`).

Only what must change does: fields that are ours or the envelope's go, missing ones are added, and places are
filled in, in the header and in text parts. A message without places stays byte for byte otherwise.
"""

import quopri
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email import message_from_bytes, policy
from email.header import Header
from email.message import Message
from email.utils import format_datetime
from typing import Any, Final, TypeAlias

from tracker_web.api.transmissions.addresses import AddressError, Mailbox, has_control, mailboxes
from tracker_web.api.transmissions.model import CannotSend, Recipient, Rfc822
from tracker_web.api.transmissions.substitution import Template, template

# Trace fields would make it somebody else's mail, which the filter does not touch (docs/decisions/0016).
_TAKEN_OUT: Final = frozenset(
    {b"bcc", b"delivered-to", b"received", b"return-path", b"x-msys-api", b"x-original-to"}
)
_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:(.*(?:\r\n[ \t].*)*)(?:\r\n|\Z)")
_FOLD: Final = re.compile(r"\r\n(?=[ \t])")
_WIRE: Final = policy.compat32.clone(linesep="\r\n", max_line_length=0)

Field = tuple[bytes, bytes]
AnyMessage: TypeAlias = "Message[str, str]"


def with_crlf(text: str) -> bytes:
    """Return a message's octets with CRLF at each line end, of whichever kind it was."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", text.encode("utf-8", "surrogateescape"))


def split(message: bytes) -> tuple[list[Field], bytes]:
    """Return the header fields, values as they stand, and the body. Raises ValueError."""
    fields: list[Field] = []
    at = 0
    while at < len(message) and not message.startswith(b"\r\n", at):
        found = _FIELD.match(message, at)
        if found is None:
            line = message.count(b"\r\n", 0, at) + 1
            raise ValueError(f"line {line} is no header field")
        fields.append((found[1], found[2]))
        at = found.end()
    return fields, message[at + 2 :]


def author(fields: list[Field]) -> Mailbox:
    """Return the mailbox of the From field. Raises CannotSend."""
    for name, value in fields:
        if name.lower() == b"from":
            try:
                return mailboxes(_FOLD.sub("", value.decode("utf-8", "replace")))[0]
            except AddressError as error:
                raise CannotSend(f"content.email_rfc822: From: {error}") from None
    raise CannotSend("content.email_rfc822 has no From field")


def prepared(text: str, *, substitute: bool) -> Rfc822:
    """Return content with its places found. Raises ValueError, StatementError.

    substitute: whether it has places.
    """
    message = with_crlf(text)
    fields, body = split(message)
    templates = tuple((name, template(_decoded(value), on=substitute)) for name, value in fields)
    parts: dict[int, Template] = {}
    if substitute:
        for order, part in enumerate(_leaves(message_from_bytes(message))):
            if part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment":
                escaped = part.get_content_subtype() in ("html", "x-amp-html")
                found = template(_text_of(part), escaped=escaped)
                if found.has_places:
                    parts[order] = found
    return Rfc822(message, templates, body, parts)


def rfc822_message(content: Rfc822, to: Recipient, now: datetime, message_id: str) -> tuple[Mailbox, bytes]:
    """Return the author's mailbox and the message with CRLF. Raises CannotSend."""
    fields = [(name, _value(name, found, to.values)) for name, found in content.fields]
    body = content.body
    if content.parts:
        made, body = _filled(content, to.values)
        # Only Content-Type and Content-Transfer-Encoding can differ; what is new stands at the end.
        changed = {at: made[at] for at, (name, _) in enumerate(made) if name.lower().startswith(b"content-")}
        fields = [changed.pop(at, each) for at, each in enumerate(fields)] + list(changed.values())
        if not any(name.lower() == b"mime-version" for name, _ in fields):
            fields.append((b"MIME-Version", b" 1.0"))
    remaining = [each for each in fields if each[0].lower() not in _TAKEN_OUT]
    names = {name.lower() for name, _ in remaining}
    if b"to" not in names:
        remaining.append((b"To", b" " + to.mailbox.field().encode()))
    if b"date" not in names:
        remaining.append((b"Date", f" {format_datetime(now)}".encode()))
    if b"message-id" not in names:
        remaining.append((b"Message-ID", f" {message_id}".encode()))
    head = b"".join(name + b":" + value + b"\r\n" for name, value in remaining)
    return author(remaining), head + b"\r\n" + body


def _value(name: bytes, found: Template, values: Mapping[str, Any]) -> bytes:
    """Return a field's value with its places filled. Raises CannotSend where that would end the field."""
    if not found.has_places:
        return _encoded(found.render({}))
    text = found.render(values, _as_word)
    if has_control(_FOLD.sub("", text).replace("\t", " ")):
        raise CannotSend(f"the field {name.decode()} must not hold control characters")
    return _encoded(text)


def _as_word(value: str) -> str:
    """Return a value as a header field may have it (RFC 2047); a control character stays, to be found."""
    return value if value.isascii() or has_control(value) else Header(value, "utf-8").encode(linesep="\r\n")


def _filled(content: Rfc822, values: Mapping[str, Any]) -> tuple[list[Field], bytes]:
    message = message_from_bytes(content.message)
    for order, part in enumerate(_leaves(message)):
        if order in content.parts:
            text = content.parts[order].render(values)
            part.set_param("charset", "utf-8")
            part.set_payload(quopri.encodestring(text.encode("utf-8", "surrogateescape")).decode("ascii"))
            if "Content-Transfer-Encoding" in part:
                part.replace_header("Content-Transfer-Encoding", "quoted-printable")
            else:
                part["Content-Transfer-Encoding"] = "quoted-printable"
    return split(re.sub(rb"\r\n|\r|\n", b"\r\n", message.as_bytes(policy=_WIRE)))


def _leaves(message: AnyMessage) -> Iterator[AnyMessage]:
    """Yield the parts that hold no others; an attached message counts as one of them."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _leaves(part)
    else:
        yield message


def _text_of(part: AnyMessage) -> str:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    try:
        return data.decode(part.get_content_charset("utf-8"))
    except (LookupError, UnicodeDecodeError):
        return data.decode("utf-8", "surrogateescape")


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
