"""What a Received field says: whence a message came, who wrote that down, and by which protocol.

Read strictly (RFC 5321 4.4): what programs could read differently is not read. Not who is trusted (`trust`).
Invariant: the name a client gave itself never counts as its address.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from engagement.settings.scopes import address_of

Address = IPv4Address | IPv6Address

_LONGEST = 4096  # characters; the longest that MTAs write has a few hundred
_ODD = re.compile(rb"[^\t\r\n -~]|\\[()]")  # an escaped bracket: not all who write comments know of escapes
_PARENTHESIS = re.compile(r"[()]")
_PIECE = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|[^\s()";]+|[(;]')
_KEYWORDS = frozenset({"from", "by", "via", "with", "id", "for"})
_ONCE = ("from", "by", "with")  # twice: a name that the client gave itself has made one of them
_BEHIND = {
    "from": _KEYWORDS,
    "by": _KEYWORDS - {"from", "id"},
}  # what may not stand before (id does, in dma's)

# RFC 3848, RFC 6531 4.3 and what Exim, older MTAs, Exchange and webmail write: someone logged in.
_LOGGED_IN = re.compile(r"(?:UTF8)?(?:E?SMTP|LMTP)S?A|ASMTP|MAPI|HTTPS?")
_FETCHED = re.compile(r"(?:POP|IMAP|ODMR|ETRN)")  # fetchmail: out of a mailbox
_LOCAL = re.compile(r"LOCAL(?:-B?E?SMTP)?")  # Exim
_POSTFIX = re.compile(r"\(Postfix(?:, from userid \d+)?\)")
_SENDMAIL = re.compile(r"\(8\.\d+\.\d+[^()]*\)")
# These two write: from HELO (name [address]), and let no HELO hold a blank or a bracket.
_TOLD = re.compile(r"\((?:[^\s()\[\]=]+ )?\[([^\]\s]+)\](?: \(may be forged\))?\)")
_SUBMITTED = re.compile(r"\(from ([^\s()\[\]]+)@localhost\)")  # Sendmail, by its submission program
_ON_STDIN = re.compile(r"\([^\s()\[\]]+@localhost\)")  # Sendmail, with -bs
_USER = re.compile(r"\(uid \d+\)")  # DragonFly's dma
_NO_CLAUSES = re.compile(r"\((?:qmail|nullmailer) .*\)")
_ADDRESS = re.compile(
    r"(?<![\w.:%-])(?:IPv6:)?((?:\d+\.){3}\d+(?![\w.%-])|(?:[0-9A-Fa-f]*:){2}[0-9A-Fa-f:.]*(?:%\w+)?(?![\w.:%-]))"
)
# Nearly all that Postfix writes, read in a tenth of the time. _WORD: without quote, bracket, semicolon.
_WORD = r"[!#-'*-:<-\[\]-~]+"
_DATE = r"\w{3}, \d\d? \w{3} \d{4} [\d:]+ [+-]\d{4}(?: \(\w+\))?"
_USUAL = re.compile(
    rf"[ \t\r\n]*from {_WORD} \((?:[!#-'*-:<>-Z^-~]+ )?\[([0-9A-Za-z.:]+)\]\)"
    rf"[ \t\r\n]+by ({_WORD}) \(Postfix\) with (\w+)(?: id \w+)?(?:[ \t\r\n]+for <{_WORD}>)?"
    rf"; {_DATE}".encode(),
    re.ASCII,
)
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


class ReceivedHop(NamedTuple):
    """One step of a message's way.

    addresses: of the client, () where none is told. by: who wrote it, in lower case. login: whether the
    client had logged in. local: whether it was handed in on that machine. fetched: whether it was fetched
    from a mailbox. user: the account that Sendmail's submission program was run by.
    """

    addresses: tuple[Address, ...] = ()
    by: str = ""
    login: bool = False
    fetched: bool = False
    local: bool = False
    user: str = ""


def read(value: bytes) -> ReceivedHop | None:
    """The hop that a Received field tells of; None where it cannot be read without a doubt."""
    if (usual := _USUAL.fullmatch(value)) and len(value) <= _LONGEST:
        literal, by, protocol = (part.decode("ascii") for part in usual.groups())
        if (address := address_of(literal)) is None:
            return None
        return ReceivedHop((address,), by.lower(), *_how(protocol.upper()))
    return read_slowly(value)


def read_slowly(value: bytes) -> ReceivedHop | None:
    """What `read` does with a field in any form."""
    if len(value) > _LONGEST or _ODD.search(value):
        return None
    clauses = _clauses(value.decode("ascii"))
    if clauses is None:
        return None
    before, told = clauses.get("", []), clauses.get("from")
    if any(each[0] != "(" for each in before):
        return None
    protocol = next(iter(clauses.get("with", ())), "").upper()
    by = clauses.get("by", [])
    addresses = _addresses([*before, *(told or ())], by, clauses)
    if addresses is None:
        return None
    login, fetched = _how(protocol)
    submitted = next((found for each in before if (found := _SUBMITTED.fullmatch(each))), None)
    return ReceivedHop(
        addresses,
        by[0].lower() if by and by[0][0] != "(" else "",
        login,
        fetched,
        local=not addresses and _is_local(before, told, protocol, by),
        user=submitted[1] if submitted else "",
    )


def _how(protocol: str) -> tuple[bool, bool]:
    """Whether this protocol, in capitals, means a login, and whether a mailbox."""
    return _LOGGED_IN.fullmatch(protocol) is not None, _FETCHED.match(protocol) is not None


def _clauses(text: str) -> dict[str, list[str]] | None:
    """Words and comments by the keyword they follow, "" for what comes before the first; up to the date.

    None where a keyword stands twice, out of order or in the date: a name that a client gave itself has ended
    its clause before its time.
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
            if (word in _ONCE and word in clauses) or not clauses.keys().isdisjoint(_BEHIND.get(word, ())):
                return None
            name, value_due = word, True
            clauses.setdefault(word, [])
        else:
            value_due = False
            clauses.setdefault(name, []).append(piece)
    return clauses


def _pieces(text: str) -> Iterator[str | None]:
    """Words, quoted strings and whole comments (RFC 5322 3.2.2), None for what is none of them."""
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
    """Where the comment that begins at start ends, 0 if nowhere."""
    depth = 0
    for found in _PARENTHESIS.finditer(text, start):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return found.end()
    return 0


def _addresses(told: list[str], by: list[str], clauses: dict[str, list[str]]) -> tuple[Address, ...] | None:
    """The client's addresses; None where something stands for one and is none.

    Where Postfix or Sendmail wrote, the address they saw. With all others every address counts that stands
    there, also that in the name which the client gave itself, and in comments wherever that name put them.
    """
    if len(by) > 1 and len(told) > 1 and (_POSTFIX.fullmatch(by[1]) or _SENDMAIL.fullmatch(by[1])):
        found = _TOLD.fullmatch(told[1])
        if found and told[0][0] != "(" and not _ADDRESS.search(" ".join(told[2:])):
            address = address_of(found[1])
            return None if address is None else (address,)
    later = (each for name, those in clauses.items() if name not in ("", "from", "by") for each in those)
    pieces = [*told, *(each for each in later if each[0] == "(")]
    text = " ".join(pieces)
    words = [*_BRACKETED.findall(text), *(found[1] for found in _ADDRESS.finditer(text))]
    read = [address_of(word) for word in words if word.lower() != "local"]  # OpenSMTPD: (name [local])
    addresses = tuple(address for address in read if address is not None)
    if len(addresses) != len(read):
        return None
    # An address that is no comment may be the client's own word for itself. Exim's is not.
    by_mta = any(each[0] == "(" and _ADDRESS.search(each) for each in pieces)
    exim = any(each.startswith("(Exim ") for pieces in clauses.values() for each in pieces)
    return addresses if by_mta or exim else ()


def _is_local(before: list[str], told: list[str] | None, protocol: str, by: list[str]) -> bool:
    """Whether a hop without an address began on its own machine."""
    if _LOCAL.fullmatch(protocol):
        return True
    if told is None:
        return not protocol and (bool(by) or any(_NO_CLAUSES.fullmatch(each) for each in before))
    return (
        any(_USER.fullmatch(each) for each in told)
        or told == ["mail", "pickup", "service"]  # Windows
        or (
            len(by) > 1
            and _SENDMAIL.fullmatch(by[1]) is not None
            and any(_ON_STDIN.fullmatch(each) for each in told[-1:])
        )
    )
