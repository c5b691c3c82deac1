"""Momentum's SMTP commands by which a trusted client says more: XSETCONTEXT, XDUMPCONTEXT, XREMOTEIP.

They come in two ways (docs/postfix.md): Sendmail hands a filter the whole line of a command that it does not
know; Postfix is made to write it as the name in EHLO (etc/postfix/smtpapi_commands). What the commands mean:
contract.md 4.3. Not who may use them (`worker`).

Invariant: a name in EHLO with a blank in it is never a client's real name (RFC 5321 4.1.1.1).
"""

from collections.abc import Mapping

from engagement.settings.scopes import address_of
from smtpapi.mta import dsn

SET = "XSETCONTEXT"
DUMP = "XDUMPCONTEXT"
REMOTE = "XREMOTEIP"

_MOST = 100  # variables a session may set: Momentum names no limit, its users set a handful; a guess


def command_in(line: str) -> tuple[str, str] | None:
    """Return verb and rest of a line that is one of these commands, None for any other."""
    verb, _, rest = line.strip().partition(" ")
    return (verb.upper(), rest) if verb.upper() in (SET, DUMP, REMOTE) else None


def command_in_helo(name: str) -> tuple[str, str] | None:
    """Return verb and rest of a command that is written as the name in EHLO, None for a real name."""
    return command_in(name) if " " in name else None


def merged(context: Mapping[str, str], rest: str) -> Mapping[str, str]:
    """Return the session's variables with those of one more command.

    rest: the line after the verb. Raises ValueError, with a text for the log, for a line without variables or
    with one that is malformed, and for too many variables.
    """
    if not rest.strip():
        raise ValueError("no variables; Postfix tells only the command's name: see docs/postfix.md")
    found = {**context, **_pairs(rest)}
    if len(found) > _MOST:
        raise ValueError(f"more than {_MOST} variables")
    return found


def remote_address(rest: str) -> str:
    """Return the address that XREMOTEIP names. Raises ValueError for what is none."""
    address = address_of(rest.strip())
    if address is None:
        raise ValueError("expected an IP address")
    return str(address)


def _pairs(text: str) -> dict[str, str]:
    """Parse name=value pairs in xtext (RFC 3461 4). Raises ValueError."""
    pairs = {}
    for word in _encoded_pairs(text):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError("expected name=value pairs")
        pairs[dsn.from_xtext(name)] = dsn.from_xtext(value)
    return pairs


def _encoded_pairs(text: str) -> list[str]:
    """Return the pairs as they were sent.

    Postfix adds a blank behind each colon (docs/quirks.md). A value has no blank and no equals sign of its
    own, so what follows a colon and has none belongs to the value.
    """
    pairs: list[str] = []
    for word in text.split():
        if pairs and pairs[-1].endswith(":") and "=" not in word:
            pairs[-1] += word
        else:
            pairs.append(word)
    return pairs
