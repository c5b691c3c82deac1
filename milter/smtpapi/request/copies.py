"""Who gets a copy by the cc, bcc and archive lists of X-MSYS-API, in which role, with which Cc and Bcc.

The rules are those of contract.md 9. `trust` says who may ask, `x_msys_api` reads the lists, and
`smtpapi.pipeline` has the copies made.

Invariants: each address gets one message and has one role, the first of RCPT TO, cc, bcc, archive; two
addresses are the same if they are equal with the domain in lower case; only a bcc copy has a Bcc, with its
own address alone.
"""

import binascii
from collections.abc import Iterable, Iterator, Sequence
from email.utils import getaddresses
from enum import StrEnum

from smtpapi.model import envelope
from smtpapi.model.envelope import Resolved
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, removal
from smtpapi.request.x_msys_api import NAME, Copy, XMsysApi

HOP = "hop@smtpapi.invalid"  # while it is a recipient, Sendmail sends all added recipients over the hop
_LONGEST_QUOTED = 60  # characters of a name written as a quoted string; longer ones fold as encoded words
_WORD = 45  # bytes of text in one encoded word: it must fit into 75 characters (RFC 2047 2)


class Role(StrEnum):
    """Why someone gets the message. The value is `rcpt_type` in events."""

    ORIGINAL = ""
    CC = "cc"
    BCC = "bcc"
    ARCHIVE = "archive"


same = envelope.same


def sendable(address: str) -> str:
    """Return the address if it can be handed back to the MTA as it came.

    Raises ValueError, with a text for the reply, for an empty one or one with unprintable characters.
    """
    if not address.isprintable() or not address:
        raise ValueError("a recipient's address is too odd for the hop")
    return address


# Sendmail's own mailers that send an address on as it is. All others may look it up in the aliases.
_NETWORK_MAILERS = frozenset({"smtp", "esmtp", "smtp8", "dsmtp", "relay"})


def may_overlap(recipients: Sequence[str], resolved: Sequence[Resolved]) -> bool:
    """Return whether Sendmail might find that two recipients lead to one person, who then gets one copy.

    recipients, resolved: of equal length, in the same order. Sendmail expands aliases after its filters ran,
    so only the mailer gives a hint: those of the network expand nothing.
    """
    distinct = dict(zip(recipients, resolved, strict=False))  # by spelling
    if len(distinct) < 2:
        return False
    ways = set(distinct.values())
    return len(ways) < len(distinct) or any(way.mailer not in _NETWORK_MAILERS for way in ways)


def listed(directive: XMsysApi) -> Iterator[tuple[Role, Copy]]:
    """Yield all entries of the three lists in the order of their roles, repeated addresses included."""
    for role, entries in (
        (Role.CC, directive.cc),
        (Role.BCC, directive.bcc),
        (Role.ARCHIVE, directive.archive),
    ):
        for entry in entries:
            yield role, entry


def may_be_requested(message: Message) -> bool:
    """Return whether an unread X-MSYS-API may ask for copies, which would be lost if the mail went on.

    It may if it holds the name of a list, or what could hide one: a JSON escape or an encoded word (RFC
    2047).
    """
    lists = (b'"cc"', b'"bcc"', b'"archive"', b"\\u", b"=?")
    return any(name in value for value in message.values(NAME) for name in lists)


def added(recipients: Iterable[str], directive: XMsysApi) -> tuple[tuple[Role, Copy], ...]:
    """Return the copies to make: each address once, and none of the recipients."""
    if not (directive.cc or directive.bcc or directive.archive):
        return ()
    seen = {same(recipient) for recipient in recipients}
    copies = []
    for role, entry in listed(directive):
        if (key := same(entry.address)) not in seen:
            seen.add(key)
            copies.append((role, entry))
    return tuple(copies)


def named_twice(recipients: Iterable[str], directive: XMsysApi) -> tuple[str, ...]:
    """Return the recipients of the transaction that stand in one of the lists too."""
    named = {same(entry.address) for _, entry in listed(directive)}
    return tuple(recipient for recipient in recipients if same(recipient) in named) if named else ()


def find(address: str, originals: Iterable[str], directive: XMsysApi) -> tuple[Role, Copy]:
    """Return the role of one recipient of the second pass, and the entry that gives it.

    originals: recipients who have the role of an original although a list names them.
    """
    key = same(address)
    if key not in map(same, originals):
        for role, entry in listed(directive):
            if same(entry.address) == key:
                return role, entry
    return Role.ORIGINAL, Copy(address)


def fields(message: Message, directive: XMsysApi, role: Role, entry: Copy) -> tuple[HeaderChange, ...]:
    """Return the changes of Cc and Bcc in a copy of that role; none where X-MSYS-API lists nobody."""
    if not (directive.cc or directive.bcc or directive.archive):
        return ()
    changes = removal(message, "Bcc")
    if directive.cc and (cc := _cc(message, directive.cc)) is not None:
        changes += (cc,)
    if role is Role.BCC:
        changes += (HeaderChange("Bcc", 0, mailbox(entry)),)
    return changes


def _cc(message: Message, entries: tuple[Copy, ...]) -> HeaderChange | None:
    """Return the change that appends the list's addresses to Cc, or None if it has them all."""
    values = tuple(message.values("Cc"))
    named = {same(address) for value in values for address in _addresses(value)}
    new = {same(entry.address): mailbox(entry) for entry in reversed(entries)}
    written = [
        new[key] for key in dict.fromkeys(same(entry.address) for entry in entries) if key not in named
    ]
    if not written:
        return None
    text = ",\n ".join(written)
    old = _utf8_text(values[0]) if values else None
    if (
        old is None
    ):  # there is none, or one that is not UTF-8 and cannot be written back: ours stands beside it
        return HeaderChange("Cc", 0, text)
    return HeaderChange("Cc", 1, f"{old.rstrip()},\n {text}" if old.strip(" \t\r\n,") else text)


def _utf8_text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _addresses(value: bytes) -> list[str]:
    try:
        return [address for _, address in getaddresses([value.decode("utf-8", "replace")])]
    except (ValueError, IndexError, RecursionError):  # the standard library's parser on what strangers write
        return []


def mailbox(entry: Copy) -> str:
    """Return an entry as one address of a header field, in folded lines (RFC 5322 3.4, RFC 2047)."""
    name = " ".join(entry.name.split())
    if not name:
        return entry.address
    if len(name) <= _LONGEST_QUOTED and all(" " <= letter <= "~" for letter in name) and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{entry.address}>'
    return "\n ".join([*_encoded(name), f"<{entry.address}>"])


def _encoded(text: str) -> Iterator[str]:
    """Yield the text as encoded words, none of which ends within a character."""
    chunk = b""
    for letter in text:
        octets = letter.encode()
        if len(chunk) + len(octets) > _WORD:
            yield _word(chunk)
            chunk = b""
        chunk += octets
    yield _word(chunk)


def _word(octets: bytes) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(octets, newline=False).decode('ascii')}?="
