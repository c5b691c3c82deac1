"""Mailboxes as applications write them, and as they go into an envelope and a header field.

Invariant: no `Mailbox` holds a control character, so none can begin a header field or an SMTP command.
"""

import re
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, getaddresses
from typing import Final

_ATOM: Final = r"[^\s\x00-\x20\x7f\"(),:;<>@\[\]\\.]+"
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_MAILBOX: Final = re.compile(
    rf"(?:{_ATOM}(?:\.{_ATOM})*|\"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*\")"
    rf"@(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-fv:.IP]+\])"
)
_ESCAPED: Final = re.compile(r"\\(.)")  # quoted-pair, RFC 5322 3.2.1
_LONGEST: Final = 254  # octets of a mailbox (RFC 5321 4.5.3.1.3, less its brackets)
_LONGEST_LOCAL: Final = 64  # octets (RFC 5321 4.5.3.1)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class AddressError(ValueError):
    """What is no address. The text says what is wrong; it can be shown to whoever sent it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with its name, "" without one. address: the domain in its ASCII form."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """Return what stands behind the last @."""
        return self.address.rpartition("@")[2]

    def field(self) -> str:
        """Return it as a header field has it (RFC 5322 3.4; RFC 2047 for letters beyond ASCII)."""
        if self.name.isascii():
            return (
                formataddr((self.name, self.address))
                if self.address.isascii()
                else self._unencoded(self.name)
            )
        return self._unencoded(Header(self.name, "utf-8", maxlinelen=75).encode(linesep="\r\n"), quoted=False)

    def _unencoded(self, name: str, *, quoted: bool = True) -> str:
        if not name:
            return self.address
        if quoted:
            name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{name} <{self.address}>"


def has_control(text: str) -> bool:
    """Return whether a text holds a control character or a line break of any kind."""
    return _CONTROL.search(text) is not None


def mailbox(address: str, name: str = "") -> Mailbox:
    """Return a checked mailbox. Raises AddressError."""
    if has_control(address) or has_control(name):
        raise AddressError("an address and its name must not hold control characters")
    local, _, domain = address.strip().rpartition("@")
    ascii_domain = _ascii(domain)
    found = f"{local}@{ascii_domain}"
    if (
        not _MAILBOX.fullmatch(found)
        or len(found.encode()) > _LONGEST
        or len(local.encode()) > _LONGEST_LOCAL
    ):
        raise AddressError("invalid email address")
    return Mailbox(found, name.strip())


def mailboxes(text: str) -> tuple[Mailbox, ...]:
    """Return the mailboxes of a list such as `A <a@example.com>, b@example.com`. Raises AddressError."""
    if has_control(text):
        raise AddressError("an address list must not hold control characters")
    found = tuple(mailbox(address, name) for name, address in getaddresses([text]) if address or name)
    # Python's parser gives up silently, and takes addresses that are none for some (CVE-2023-27043).
    if not found or len(found) > text.count("@"):
        raise AddressError("invalid email address")
    return found


def one_mailbox(text: str) -> Mailbox:
    """Return the mailbox of `Name <address>` or of an address alone. Raises AddressError.

    Whatever stands before the last `<` is the name: a comma in it makes no second address.
    """
    text = text.strip()
    if not text.endswith(">"):
        return mailbox(text)
    name, _, address = text[:-1].rpartition("<")
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = _ESCAPED.sub(r"\1", name[1:-1])
    return mailbox(address, name)


def _ascii(domain: str) -> str:
    """Return a domain in its ASCII form. Raises AddressError."""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise AddressError("invalid email address") from None
