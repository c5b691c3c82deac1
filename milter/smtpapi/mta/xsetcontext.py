"""The SMTP command XSETCONTEXT, by which a client sets context variables of its session (contract.md 4.3).

Not who may use it (`worker`).
"""

from collections.abc import Mapping

from smtpapi.mta import dsn

VERB = "XSETCONTEXT"

_MOST = 100  # variables a session may set: Momentum names no limit, its users set a handful; a guess


def merged(context: Mapping[str, str], rest: str) -> Mapping[str, str]:
    """Return the session's variables with those of one more command.

    rest: the line after the verb. Raises ValueError, with a text for the log, for a line without variables or
    with one that is malformed, and for too many variables.
    """
    if not rest.strip():
        raise ValueError("no variables; Postfix tells only the command's name: set them by policy")
    found = {**context, **_pairs(rest)}
    if len(found) > _MOST:
        raise ValueError(f"more than {_MOST} variables")
    return found


def _pairs(text: str) -> dict[str, str]:
    """Parse name=value pairs in xtext (RFC 3461 4). Raises ValueError."""
    pairs = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError("expected name=value pairs")
        pairs[dsn.from_xtext(name)] = dsn.from_xtext(value)
    return pairs
