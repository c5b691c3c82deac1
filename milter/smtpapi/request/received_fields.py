"""Read Received fields: from where a message came, which host wrote the field, and by which protocol.

Fields are read strictly (RFC 5321 4.4): one that programs could read in two ways is not read. Who is trusted
is decided in `trust`.

Invariant: the name that a client gave itself never counts as its address.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from engagement.settings.scopes import address_of

Address = IPv4Address | IPv6Address

_LONGEST = 4096  # characters; the longest fields that MTAs write have a few hundred
_ODD = re.compile(
    rb"[^\t\r\n -~]|\\[()]"
)  # an escaped bracket: not every program that writes comments knows escapes
_PARENTHESIS = re.compile(r"[()]")
_PIECE = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|[^\s()";]+|[(;]')
_KEYWORDS = frozenset({"from", "by", "via", "with", "id", "for"})
_ONCE = ("from", "by", "with")  # if one stands twice, a name that the client gave itself has made one of them
_NOT_BEFORE = {
    "from": _KEYWORDS,
    "by": _KEYWORDS - {"from", "id"},
}  # keywords that may not stand before this one (id does, in dma's fields)

# A login: the names of RFC 3848 and RFC 6531 4.3, and those of Exim, older MTAs, Exchange and webmail.
_LOGGED_IN = re.compile(r"(?:UTF8)?(?:E?SMTP|LMTP)S?A|ASMTP|MAPI|HTTPS?")
_FETCHED = re.compile(r"(?:POP|IMAP|ODMR|ETRN)")  # fetchmail has taken it out of a mailbox
_LOCAL = re.compile(r"LOCAL(?:-B?E?SMTP)?")  # Exim
_POSTFIX = re.compile(r"\(Postfix(?:, from userid \d+)?\)")
_SENDMAIL = re.compile(r"\(8\.\d+\.\d+[^()]*\)")
# Postfix and Sendmail write: from HELO (name [address]). They accept no HELO with a blank or a bracket.
_SEEN = re.compile(r"\((?:[^\s()\[\]=]+ )?\[([^\]\s]+)\](?: \(may be forged\))?\)")
_SUBMITTED = re.compile(r"\(from ([^\s()\[\]]+)@localhost\)")  # Sendmail, by its submission program
_ON_STDIN = re.compile(r"\([^\s()\[\]]+@localhost\)")  # Sendmail, with -bs
_USER = re.compile(r"\(uid \d+\)")  # DragonFly's dma
_NO_CLAUSES = re.compile(r"\((?:qmail|nullmailer) .*\)")
_ADDRESS = re.compile(
    r"(?<![\w.:%-])(?:IPv6:)?((?:\d+\.){3}\d+(?![\w.%-])|(?:[0-9A-Fa-f]*:){2}[0-9A-Fa-f:.]*(?:%\w+)?(?![\w.:%-]))"
)
# Nearly all that Postfix writes, read in a tenth of the time. _WORD: no quote, bracket or semicolon.
_WORD = r"[!#-'*-:<-\[\]-~]+"
_DATE = r"\w{3}, \d\d? \w{3} \d{4} [\d:]+ [+-]\d{4}(?: \(\w+\))?"
_COMMON = re.compile(
    rf"[ \t\r\n]*from {_WORD} \((?:[!#-'*-:<>-Z^-~]+ )?\[([0-9A-Za-z.:]+)\]\)"
    rf"[ \t\r\n]+by ({_WORD}) \(Postfix\) with (\w+)(?: id \w+)?(?:[ \t\r\n]+for <{_WORD}>)?"
    rf"; {_DATE}".encode(),
    re.ASCII,
)
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


class ReceivedHop(NamedTuple):
    """One step of a message's way.

    addresses: those of the client, () where the field names none. by: the host that wrote the field, in lower
    case. login: whether the client had logged in. fetched: whether the message was fetched from a mailbox.
    local: whether it was handed in on that machine. user: the account that ran Sendmail's submission program.
    """

    addresses: tuple[Address, ...] = ()
    by: str = ""
    login: bool = False
    fetched: bool = False
    local: bool = False
    user: str = ""


def read(value: bytes) -> ReceivedHop | None:
    """Return the hop that a Received field describes; None where it cannot be read without a doubt."""
    if (common := _COMMON.fullmatch(value)) and len(value) <= _LONGEST:
        literal, by, protocol = (part.decode("ascii") for part in common.groups())
        if (address := address_of(literal)) is None:
            return None
        return ReceivedHop((address,), by.lower(), *_login_or_fetched(protocol.upper()))
    return read_slowly(value)


def read_slowly(value: bytes) -> ReceivedHop | None:
    """Return what `read` does, without its shortcut for Postfix's common form."""
    if len(value) > _LONGEST or _ODD.search(value):
        return None
    clauses = _clauses(value.decode("ascii"))
    if clauses is None:
        return None
    before, sender = clauses.get("", []), clauses.get("from")
    if any(each[0] != "(" for each in before):
        return None
    protocol = next(iter(clauses.get("with", ())), "").upper()
    by = clauses.get("by", [])
    addresses = _addresses([*before, *(sender or ())], by, clauses)
    if addresses is None:
        return None
    login, fetched = _login_or_fetched(protocol)
    submitted = next((found for each in before if (found := _SUBMITTED.fullmatch(each))), None)
    return ReceivedHop(
        addresses,
        by[0].lower() if by and by[0][0] != "(" else "",
        login,
        fetched,
        local=not addresses and _is_local(before, sender, protocol, by),
        user=submitted[1] if submitted else "",
    )


def _login_or_fetched(protocol: str) -> tuple[bool, bool]:
    """Return whether this protocol, in capitals, means a login, and whether it means a mailbox."""
    return _LOGGED_IN.fullmatch(protocol) is not None, _FETCHED.match(protocol) is not None


def _clauses(text: str) -> dict[str, list[str]] | None:
    """Return words and comments up to the date, by the keyword they follow; "" for those before the first.

    None where a keyword stands twice, out of order or in the date: then a name that a client gave itself may
    have ended its clause early.
    """
    clauses: dict[str, list[str]] = {}
    name, value_due, dated = "", False, False
    for piece in _pieces(text):
        if piece is None:
            return None
        word = piece.lower()
        if dated or word == ";":
            dated = True
            if word in _ONCE:
                return None
        elif word in _KEYWORDS and not value_due:
            if (word in _ONCE and word in clauses) or not clauses.keys().isdisjoint(
                _NOT_BEFORE.get(word, ())
            ):
                return None
            name, value_due = word, True
            clauses.setdefault(word, [])
        else:
            value_due = False
            clauses.setdefault(name, []).append(piece)
    return clauses


def _pieces(text: str) -> Iterator[str | None]:
    """Yield words, quoted strings and whole comments (RFC 5322 3.2.2); None, as the last, for others."""
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            yield None
            return
        at = found.end()
        if found[0] == "(":
            start, at = found.start(), _comment_end(text, found.start())
            if not at:
                yield None
                return
            yield " ".join(text[start:at].split())
        elif not found[0].isspace():
            yield found[0]


def _comment_end(text: str, start: int) -> int:
    """Return the offset behind the comment that begins at start, 0 if it has no end."""
    depth = 0
    for found in _PARENTHESIS.finditer(text, start):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return found.end()
    return 0


def _addresses(sender: list[str], by: list[str], clauses: dict[str, list[str]]) -> tuple[Address, ...] | None:
    """Return the client's addresses; None where something that should be an address is none.

    In a field of Postfix or Sendmail it is the address they saw. In any other field every address counts:
    also one in the name that the client gave itself, and in comments, wherever that name has put them.
    """
    if len(by) > 1 and len(sender) > 1 and (_POSTFIX.fullmatch(by[1]) or _SENDMAIL.fullmatch(by[1])):
        found = _SEEN.fullmatch(sender[1])
        if found and sender[0][0] != "(" and not _ADDRESS.search(" ".join(sender[2:])):
            address = address_of(found[1])
            return None if address is None else (address,)
    later = (each for name, those in clauses.items() if name not in ("", "from", "by") for each in those)
    pieces = [*sender, *(each for each in later if each[0] == "(")]
    text = " ".join(pieces)
    candidates = [*_BRACKETED.findall(text), *(found[1] for found in _ADDRESS.finditer(text))]
    read = [address_of(word) for word in candidates if word.lower() != "local"]  # OpenSMTPD: (name [local])
    addresses = tuple(address for address in read if address is not None)
    if len(addresses) != len(read):
        return None
    # An address outside a comment may be the name that the client gave itself. Exim's is not.
    by_mta = any(each[0] == "(" and _ADDRESS.search(each) for each in pieces)
    exim = any(each.startswith("(Exim ") for pieces in clauses.values() for each in pieces)
    return addresses if by_mta or exim else ()


def _is_local(before: list[str], sender: list[str] | None, protocol: str, by: list[str]) -> bool:
    """Return whether a hop without an address began on its own machine."""
    if _LOCAL.fullmatch(protocol):
        return True
    if sender is None:
        return not protocol and (bool(by) or any(_NO_CLAUSES.fullmatch(each) for each in before))
    return (
        any(_USER.fullmatch(each) for each in sender)
        or sender == ["mail", "pickup", "service"]  # Windows
        or (
            len(by) > 1
            and _SENDMAIL.fullmatch(by[1]) is not None
            and any(_ON_STDIN.fullmatch(each) for each in sender[-1:])
        )
    )
