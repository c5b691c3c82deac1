"""A transmission as it was asked for, checked: plain values, no JSON and no mail yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracker_web.api.transmissions.addresses import Mailbox
from tracker_web.api.transmissions.substitution import Template


class CannotSend(Exception):
    """Why one recipient gets no mail. The text goes to whoever called."""


@dataclass(frozen=True, slots=True)
class Part:
    """An attached file or an inline image. name: the file's, or the image's Content-ID."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Fields:
    """Content by its fields. sender: the From field's address; sender_name: its name.

    A template is None where the field was not given. headers: names with values.
    """

    sender: Template
    sender_name: Template | None
    subject: Template
    text: Template | None
    html: Template | None
    amp_html: Template | None
    reply_to: Template | None
    headers: tuple[tuple[str, Template], ...]
    attachments: tuple[Part, ...]
    inline_images: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Rfc822:
    """Content as a whole message, with CRLF.

    fields: names with values as they stand, folds included. parts: the text parts that have places, by their
    order among the parts that hold no others.
    """

    message: bytes
    fields: tuple[tuple[bytes, Template], ...]
    body: bytes
    parts: Mapping[int, Template]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets one mail. header_to: what stands in To instead. values: for the places of the content."""

    mailbox: Mailbox
    header_to: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    values: Mapping[str, Any]
    return_path: str


@dataclass(frozen=True, slots=True)
class Transmission:
    """Everything of one call. wrong: what is said of recipients that cannot be."""

    content: Fields | Rfc822
    recipients: tuple[Recipient, ...]
    wrong: tuple[str, ...]
    campaign: str
    options: Mapping[str, Any]
    errors_shown: int
