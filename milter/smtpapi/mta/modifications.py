"""A plan as the calls that carry it out, computed to the last octet: nothing of it can fail any more.

Not the calls (`session`). Invariants: deletions come first and go from the highest index down, since Postfix
renumbers after each and Sendmail does not; what is added brings its own space after the colon, where the
MTA puts none there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from smtpapi.model.message import Message
from smtpapi.model.outcome import Outcome, Plan
from smtpapi.mta import dsn
from smtpapi.rewrite.apply import apply_edits


@dataclass(slots=True)
class Modifications:
    """The changes in their order. body: the new one, None for the one that came."""

    deletions: list[tuple[str, int]]
    replacements: list[tuple[str, int, str]]
    additions: list[tuple[str, str]]
    leaving: list[str]  # recipients
    joining: list[tuple[str, str]]  # recipients with their ESMTP parameters
    through: str  # the recipient who is there only while others join, or ""
    body: bytes | None


def modifications_of(
    outcome: Outcome,
    message: Message,
    recipients: Sequence[str] = (),
    options: Sequence[tuple[bytes, ...]] = (),
    *,
    exact: bool = True,
) -> Modifications | None:
    """The calls that carry an outcome out, None where there are none.

    recipients, options: of each RCPT TO of the client. exact: the MTA takes values to the octet, else it puts
    a space before each.
    """
    if not isinstance(outcome, Plan):
        return None
    deletions, replacements, additions = [], [], []
    for change in outcome.headers:
        if (value := change.value) is None:
            deletions.append((change.name, change.index))
        elif change.index:
            replacements.append((change.name, change.index, _spaced(value, exact)))
        else:
            additions.append((change.name, _spaced(value, exact)))
    deletions.sort(key=lambda place: (place[0].lower(), -place[1]))
    body = bytes(apply_edits(message.body, outcome.edits)) if outcome.edits else None
    if not outcome.recipients:
        return Modifications(deletions, replacements, additions, [], [], outcome.through, body)
    there = dict(zip(recipients, options, strict=True))
    leaving = [each.instead_of for each in outcome.recipients if each.instead_of]
    joining = [
        (each.address, dsn.inherited(there.get(each.instead_of, ()), each.original))
        for each in outcome.recipients
    ]
    return Modifications(deletions, replacements, additions, leaving, joining, outcome.through, body)


def _spaced(value: str, exact: bool) -> str:
    r"""With the space after the colon, and folds as libmilter wants them ("\n" and a blank)."""
    value = value.replace("\r\n", "\n")
    if not exact:
        return value.removeprefix(" ")
    return value if value[:1] in (" ", "\t", "\n") else " " + value
