"""Compute from a plan the arguments of all calls that carry it out, so that nothing can fail between these.

Not the calls (`modification_calls`). Invariants: deletions come first and go from the highest index down,
since Postfix renumbers the fields after each deletion and Sendmail does not. Added values begin with the
space after the colon where the MTA does not add it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from smtpapi.model.edit import splice
from smtpapi.model.message import Message
from smtpapi.model.outcome import Outcome, Plan
from smtpapi.mta import dsn


@dataclass(slots=True)
class Modifications:
    """The changes of one message, in their order. body: the new body; None leaves the one that came."""

    deletions: list[tuple[str, int]]
    replacements: list[tuple[str, int, str]]
    additions: list[tuple[str, str, bool]]  # whether on top
    leaving: list[str]  # recipients to delete
    joining: list[tuple[str, str]]  # recipients to add, with their ESMTP parameters
    through: str  # a recipient who is added before the others and deleted after them, or ""
    body: bytes | None
    sender: str | None = None  # the new envelope sender; None leaves the one that came


def modifications_of(
    outcome: Outcome,
    message: Message,
    recipients: Sequence[str] = (),
    options: Sequence[tuple[bytes, ...]] = (),
    *,
    exact: bool = True,
) -> Modifications | None:
    """Return the changes that carry out an outcome, None for an outcome without changes.

    recipients, options: address and ESMTP parameters of each RCPT TO of the client. exact: the MTA takes
    header values octet by octet; else it adds a space before each. Raises ValueError for edits that do not
    fit the body, and for recipients and options of different number.
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
            additions.append((change.name, _spaced(value, exact), change.first))
    deletions.sort(key=lambda place: (place[0].lower(), -place[1]))
    body = splice(outcome.body_to_edit(message.body), outcome.edits) if outcome.edits else outcome.body
    leaving = list(outcome.leaving)
    through, sender = outcome.through, outcome.sender
    if not outcome.recipients:
        return Modifications(deletions, replacements, additions, leaving, [], through, body, sender)
    options_of = dict(zip(recipients, options, strict=True))
    leaving += [each.instead_of for each in outcome.recipients if each.instead_of]
    joining = [
        (each.address, dsn.inherited(options_of.get(each.instead_of, ()), each.original))
        for each in outcome.recipients
    ]
    return Modifications(deletions, replacements, additions, leaving, joining, through, body, sender)


def _spaced(value: str, exact: bool) -> str:
    r"""Return a value with its space after the colon, folded as libmilter requires ("\n" and a blank)."""
    value = value.replace("\r\n", "\n")
    if not exact:
        return value.removeprefix(" ")
    return value if value[:1] in (" ", "\t", "\n") else " " + value
