"""One recipient's message from content by fields: header fields written here, the body by the email package.

Invariant: no value, wherever it came from, begins a header field: a control character in one ends it.
"""

from collections.abc import Mapping
from datetime import datetime
from email import policy
from email.header import Header
from email.message import EmailMessage, MIMEPart
from email.utils import format_datetime
from typing import Any, Final

from tracker_web.api.transmissions.addresses import (
    AddressError,
    Mailbox,
    has_control,
    mailbox,
    mailboxes,
    one_mailbox,
)
from tracker_web.api.transmissions.model import CannotSend, Fields, Part, Recipient
from tracker_web.api.transmissions.substitution import Template

LONGEST_LINE: Final = 998  # octets without CRLF (RFC 5322 2.1.1)
_WIDTH: Final = 76
_ADDRESSES: Final = frozenset({"cc", "sender", "resent-from", "resent-to", "resent-cc", "resent-sender"})
_BODY: Final = policy.SMTP.clone(cte_type="7bit", max_line_length=_WIDTH)


def sender_of(content: Fields, values: Mapping[str, Any]) -> Mailbox:
    """Return the mailbox of the From field. Raises CannotSend."""
    text = content.sender.render(values)
    try:
        if content.sender_name is None:
            return one_mailbox(text)
        return mailbox(text, content.sender_name.render(values))
    except AddressError as error:
        raise CannotSend(f"content.from: {error}") from None


def fields_message(content: Fields, to: Recipient, now: datetime, message_id: str) -> bytes:
    """Return the message with CRLF. now: with its zone. Raises CannotSend."""
    values = to.values
    sender = sender_of(content, values)
    given = {name.lower() for name, _ in content.headers}
    lines = [b"From: " + _address_list((sender,)), b"To: " + _to(to)]
    lines.append(_text_field("Subject", content.subject.render(values)))
    if content.reply_to is not None and (reply_to := content.reply_to.render(values).strip()):
        lines.append(b"Reply-To: " + _parsed("content.reply_to", reply_to))
    for name, value in content.headers:
        text = value.render(values).strip()
        if not text:
            continue  # SparkPost leaves a field without a value out, too
        if name.lower() in _ADDRESSES:
            lines.append(f"{name}: ".encode() + _parsed(name, text))
        else:
            lines.append(_text_field(name, text))
    if "date" not in given:
        lines.append(f"Date: {format_datetime(now)}".encode())
    if "message-id" not in given:
        lines.append(f"Message-ID: {message_id}".encode())
    for line in lines:
        if any(len(each) > LONGEST_LINE for each in line.split(b"\r\n")):
            raise CannotSend(f"the field {line.partition(b':')[0].decode()} is too long for one line")
    return b"\r\n".join(lines) + b"\r\n" + _body(content, values).as_bytes(policy=_BODY)


def _to(to: Recipient) -> bytes:
    if not to.header_to:
        return _address_list((to.mailbox,))
    return _parsed("header_to", to.header_to)


def _parsed(what: str, text: str) -> bytes:
    try:
        return _address_list(mailboxes(text))
    except AddressError as error:
        raise CannotSend(f"{what}: {error}") from None


def _address_list(found: tuple[Mailbox, ...]) -> bytes:
    return ",\r\n ".join(each.field() for each in found).encode()


def _text_field(name: str, text: str) -> bytes:
    """Return an unstructured field. Raises CannotSend for a value with a control character."""
    if has_control(text):
        raise CannotSend(f"the field {name} must not hold control characters")
    if text.isascii() and len(name) + len(text) + 2 <= _WIDTH:
        return f"{name}: {text}".encode()
    charset = "us-ascii" if text.isascii() else "utf-8"
    made = Header(text, charset, maxlinelen=_WIDTH, header_name=name).encode(linesep="\r\n")
    return f"{name}: {made}".encode()


def _body(content: Fields, values: Mapping[str, Any]) -> EmailMessage:
    message = EmailMessage(policy=_BODY)
    alternatives: list[tuple[Template, str]] = []
    for template, subtype in (
        (content.text, "plain"),
        (
            content.amp_html,
            "x-amp-html",
        ),  # between the two, so that a reader who knows none of it ends at HTML
        (content.html, "html"),
    ):
        if template is not None:
            alternatives.append((template, subtype))
    first, *others = alternatives
    message.set_content(first[0].render(values), subtype=first[1], cte="quoted-printable")
    for template, subtype in others:
        message.add_alternative(template.render(values), subtype=subtype, cte="quoted-printable")
    shown: MIMEPart[str, str] | EmailMessage = message
    if others:
        *_, shown = message.iter_parts()  # the last one, which readers prefer
    for part in content.inline_images:
        kind, subtype, _ = _media_type(part)
        shown.add_related(
            part.data, maintype=kind, subtype=subtype, cid=f"<{part.name}>", disposition="inline"
        )
    for part in content.attachments:
        kind, subtype, params = _media_type(part)
        message.add_attachment(
            part.data, maintype=kind, subtype=subtype, filename=part.name or None, params=params
        )
    return message


def _media_type(part: Part) -> tuple[str, str, dict[str, str]]:
    """Return type, subtype and parameters. What would need an encoding of its own is plain data."""
    head, _, rest = part.media_type.partition(";")
    kind, _, subtype = head.strip().lower().partition("/")
    if kind in ("message", "multipart"):  # RFC 2046 5.1.1: they take no base64
        return "application", "octet-stream", {}
    params = {}
    for each in rest.split(";"):
        name, _, value = each.strip().partition("=")
        if name.lower() == "charset" and value:
            params["charset"] = value.strip('"')
    return kind, subtype, params
