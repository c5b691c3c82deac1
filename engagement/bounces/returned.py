"""A mail that came back, as events: bounces (RFC 3464) and complaints (RFC 5965).

The message is named by its Message-ID and, where the filter tracked it, by its mark (X-Smtpapi-Id), from the
copy or the headers that the mail brings back (RFC 3462 2); the recipient by the report's fields, or by the
address the mail came to (VERP). Pure, by the standard library's parser. Anybody can send such a mail: what it
says is hearsay until the message it names is found. Invariant: any octets are a `Returned`, nothing raises.
"""

import re
from collections.abc import Iterator
from copy import copy
from email import message_from_bytes, policy
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from engagement.bounces.classes import shipped
from engagement.bounces.reasons import enhanced_code, reply_code, without_addresses
from engagement.events.ids import reported_id
from engagement.events.model import MessageEvent, recipient_mark

_MOST: Final = 1000  # recipients of one report: anybody can send one, and each makes an event
_DEEPEST: Final = 3  # mails that a report is looked for in, each a part of the one before
_LONGEST: Final = 998  # characters of a Message-ID, which stands in one line (RFC 5322 2.1.1)
_MARK: Final = re.compile(r"\s*([0-9a-f]{32}) [^\s]{1,40} [0-9a-f]{32}\s*")
_VERP: Final = re.compile(r"[^+=\s]{1,64}[+-](?P<local>[^\s=]{1,64})=(?P<domain>[^\s=@]{1,255})@")
_ESCAPED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # a letter in an address (RFC 6533 3)
_NAMING: Final = frozenset({"final-recipient", "original-recipient", "feedback-type"})
_LONGEST_WAY_MS: Final = 7 * 86_400_000  # of a report; queues give up after five days


class _AsSent(policy.Compat32):
    """Gives fields as they were sent; other policies take away letters that are in no ASCII."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Return the value, octets of other letters as surrogates."""
        return value


_POLICY: Final = _AsSent()
_FIELDS: Final = BytesHeaderParser(policy=_POLICY)


class _Part(Message):
    """A mail or a part of it. What is a message in it stays octets: the parser decodes none of those."""

    def get_content_type(self) -> str:
        """Return the type by which the parser reads on."""
        kind = super().get_content_type()
        return "text/plain" if kind.startswith("message/") else kind


class Returned(NamedTuple):
    """What a mail says.

    why: in words, why it says nothing; "" where it does. reporter: the MTA that made a bounce, in lower case.
    """

    events: tuple[MessageEvent, ...]
    why: str = ""
    reporter: str = ""


class _About(NamedTuple):
    """The message that came back.

    header: its Message-ID. message_id: of its mark, b"" without one. recipient: "" for not known. at_ms: when
    the report was made, Unix milliseconds.
    """

    header: str
    message_id: bytes
    recipient: str
    at_ms: int


def read(data: bytes, now_ms: int) -> Returned:
    """Return what a mail says. now_ms: Unix milliseconds."""
    try:
        return _read(message_from_bytes(data, _Part, policy=_POLICY), now_ms)
    except Exception as error:  # noqa: BLE001 - the standard library's parser raises of many kinds on odd mail
        return Returned((), f"it cannot be read ({type(error).__name__})")


def _read(mail: Message, now_ms: int) -> Returned:
    report = _report(mail)
    if report is None:
        return Returned((), "neither a bounce (RFC 3464) nor a complaint (RFC 5965)")
    kind = _text(report.get_param("report-type", "")).lower()
    parts = {Message.get_content_type(part): part for part in reversed(_parts(report))}
    about = _about(parts, mail, now_ms)
    if "message/feedback-report" in parts:
        return _complaint(parts["message/feedback-report"], about)
    status = parts.get("message/delivery-status") or parts.get("message/global-delivery-status")
    if status is None:
        return Returned((), f"a report of another kind ({kind or 'none'})")
    return _bounce(status, about)


def _report(mail: Message) -> Message | None:
    """Return the report that a mail is, or that a gateway put into it as a part, beside a word of its own."""
    for _ in range(_DEEPEST):
        if mail.get_content_type() == "multipart/report":
            return mail
        inner = [part for part in _parts(mail) if part.get_content_maintype() == "multipart"]
        if mail.get_content_type() != "multipart/mixed" or not inner:
            break
        mail = inner[0]
    return None


def _parts(mail: Message) -> list[Message]:
    """Return the parts of the report itself, not those of the mail it brings back."""
    payload = mail.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _bounce(status: Message, about: _About) -> Returned:
    events = []
    reporter = ""
    for fields in _groups(status):
        reporter = reporter or _text(fields.get("Reporting-MTA", "")).partition(";")[2].strip().lower()
        named = map(_address, (fields.get("Original-Recipient", ""), fields.get("Final-Recipient", "")))
        recipient = next(filter(None, named), "")
        action = str(fields.get("Action", "")).strip().lower()
        if not recipient or action != "failed":
            continue
        enhanced = enhanced_code(_text(fields.get("Status", "")))
        diagnostic = _text(fields.get("Diagnostic-Code", ""))
        reason = diagnostic.partition(";")[2].strip() or diagnostic
        reply = reply_code(reason)
        events.append(
            _event("out_of_band", about, recipient)._replace(
                raw_reason=without_addresses(reason, recipient, about.recipient),
                error_code=reply,
                enhanced_code=enhanced,
                bounce_class=shipped().of(enhanced, reply, reason),
                remote_host=without_addresses(_text(fields.get("Remote-MTA", "")).partition(";")[2])[:255],
            )
        )
        if len(events) == _MOST:
            break
    return _named(events, about, "a report without a failure")._replace(reporter=reporter)


def _complaint(report: Message, about: _About) -> Returned:
    (fields, *_) = (*_groups(report), Message())
    kind = _text(fields.get("Feedback-Type", "")).lower()
    if not kind:
        return Returned((), "a feedback report without its type")
    if kind == "not-spam":
        return Returned((), "a report that the mail is no spam")
    if kind in ("auth-failure", "virus"):
        return Returned((), f"a report of another kind ({kind})")
    named = {
        address.lower(): address
        for address in map(_address, fields.get_all("Original-Rcpt-To", [])[:_MOST])
        if address
    }
    events = [
        _event("spam_complaint", about, recipient)._replace(fbtype=without_addresses(kind)[:32])
        for recipient in named.values() or [about.recipient]
    ]
    if about.message_id:  # the mark is that of one recipient's copy
        del events[1:]
    return _named(events, about, "")


def _named(events: list[MessageEvent], about: _About, why: str) -> Returned:
    if not events:
        return Returned((), why)
    if not about.header:
        return Returned((), "it does not say which message it is about")
    return Returned(tuple(events))


def _event(kind: str, about: _About, recipient: str) -> MessageEvent:
    """Return an event. The same mail reported again, by an MTA that tries again, is the same event."""
    return MessageEvent(
        reported_id(about.at_ms, kind, about.header, about.message_id.hex(), recipient.lower()),
        about.at_ms,
        kind,
        "",
        "",
        recipient_mark("", "", recipient) if recipient else 0,
        about.message_id,
        about.header,
    )


def _about(parts: dict[str, Message], mail: Message, now_ms: int) -> _About:
    """Return which message the report brings back (RFC 3462 2, RFC 6533 3)."""
    header, message_id, recipient = "", b"", ""
    for kind in ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"):
        if kind not in parts:
            continue
        fields = _brought(parts[kind])
        header = _text(fields.get("Message-ID", ""))[:_LONGEST]
        mark = _MARK.fullmatch(_text(fields.get("X-Smtpapi-Id", "")))
        message_id = bytes.fromhex(mark[1]) if mark else b""
        recipient = _address(_text(fields.get("To", "")))
        break
    return _About(header, message_id, _verp(mail) or recipient, _moment(mail, now_ms))


def _moment(mail: Message, now_ms: int) -> int:
    """Return when the report was made by its Date, as far as that can be; else now."""
    try:
        at_ms = int(parsedate_to_datetime(_text(mail.get("Date", ""))).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return now_ms
    return at_ms if now_ms - _LONGEST_WAY_MS < at_ms <= now_ms else now_ms


def _brought(part: Message) -> Message:
    """Return the fields of the mail in a part."""
    found = [_FIELDS.parsebytes(octets) for octets in _readings(part)]
    return next((each for each in found if "Message-ID" in each), found[0])


def _readings(part: Message) -> tuple[bytes, ...]:
    """Return what a part may hold: with its transfer encoding undone and, where it has one, as it stands.

    The likelier first: what is message/global* or text may be encoded (RFC 6533 4), other messages may not
    (RFC 2046 5.2.1), so that their label is wrong more often than not.
    """
    as_it_stands = copy(part)
    del as_it_stands["Content-Transfer-Encoding"]
    raw, decoded = (each.get_payload(decode=True) for each in (as_it_stands, part))
    found = tuple(each for each in (raw, decoded) if isinstance(each, bytes)) or (b"",)
    kind = Message.get_content_type(part)
    return found if kind.startswith("message/") and not kind.startswith("message/global") else found[::-1]


def _verp(mail: Message) -> str:
    """Return the recipient that the address names which the mail came to, as Postfix makes it (VERP)."""
    for name in ("Delivered-To", "X-Original-To", "To"):
        found = _VERP.search(_text(mail.get(name, ""))[:2000])
        if found:
            return f"{found['local']}@{found['domain']}"
    return ""


def _groups(status: Message) -> list[Message]:
    """Return the groups of fields of a report (RFC 3464 2.1, RFC 5965 3.1)."""
    found = [list(_groups_of(octets)) for octets in _readings(status)]

    def names_somebody(groups: list[Message]) -> bool:
        return any(not _NAMING.isdisjoint(map(str.lower, group)) for group in groups)

    return next(filter(names_somebody, found), found[0])


def _groups_of(octets: bytes) -> Iterator[Message]:
    for group in re.split(rb"\r?\n(?:\r?\n)+", octets, maxsplit=2 * _MOST):
        if group.strip():
            yield _FIELDS.parsebytes(group.lstrip(b"\r\n"))


def _address(text: str) -> str:
    """Return the address of a field: of `rfc822; <ida@example.net>` what is behind the type."""
    text = _text(text)
    kind, sign, rest = text.partition(";")
    text = rest if sign and "@" not in kind else text
    if sign and kind.strip().lower() == "utf-8":
        text = _ESCAPED.sub(_letter, text)
    found = re.search(r"<([^<>]{1,320})>", text[:2000])
    address = (found[1] if found else text).strip()
    return address if len(address) <= 320 and not re.search(r"\s", address) else ""


def _letter(escaped: re.Match[str]) -> str:
    number = int(escaped[1], 16)
    return "\ufffd" if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)


def _text(value: object) -> str:
    """Return a field's value in one line (RFC 5322 2.2.3)."""
    text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return re.sub(r"[\r\n]+[ \t]*", " ", text).strip()
