"""The parts of a message as spans of its body, and which of them a mail program shows as its text. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from smtpapi.mime.fields import ContentType, FieldSpan

_TEXT = frozenset({"text/html", "text/plain"})


class Part(NamedTuple):
    """A part that holds no other parts.

    section: IMAP-style number. start, stop: its body as encoded. encoding: the Content-Transfer-Encoding, ""
    without one.
    encoding_value: span of that field's value, None without one. fields_stop: where a field could be added.
    Both are offsets in the body; None and -1 for a message without parts, whose fields are not in the body.
    alternatives: numbers of the multipart/alternatives around it. named: it has a file's name. version: it is
    one of a multipart/alternative's versions, whatever its name. of_bytes: fields of its own and of the
    multiparts around it that an edit makes untrue (`describe.OF_BYTES`).
    """

    section: str
    content: ContentType
    encoding: str
    attachment: bool
    start: int
    stop: int
    fields_stop: int = -1
    encoding_value: tuple[int, int] | None = None
    alternatives: tuple[int, ...] = ()
    named: bool = False
    version: bool = False
    of_bytes: tuple[FieldSpan, ...] = ()


def top_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the first text/plain, text/html and text/x-amp-html of `shown_texts`, in document order."""
    found: dict[str, Part] = {}
    for part in shown_texts(parts):
        found.setdefault(part.content.type, part)
    return tuple(sorted(found.values(), key=lambda part: part.start))


def shown_texts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return each text/plain, text/html and text/x-amp-html that is no attachment, in document order.

    A text with a file name counts as an attachment if another text has no name, unless it is one of the
    versions in a multipart/alternative. AMP counts only below a multipart/alternative that also holds HTML or
    plain text (contract.md 5.1).
    """
    shown = [part for part in parts if not part.attachment]
    if any(part.named for part in shown) and any(
        part.content.type in _TEXT and not part.named for part in shown
    ):
        shown = [part for part in shown if not part.named or part.version]
    beside = {number for part in shown if part.content.type in _TEXT for number in part.alternatives}
    return tuple(
        part
        for part in shown
        if part.content.type in _TEXT
        or (part.content.type == "text/x-amp-html" and not beside.isdisjoint(part.alternatives))
    )
