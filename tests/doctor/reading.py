"""How tests read findings."""

from collections.abc import Iterable

from smtpapi.doctor.finding import Finding, Level


def only(findings: Iterable[Finding], *levels: Level) -> list[Finding]:
    """The findings of these levels; errors and warnings where none is named."""
    selected = levels or (Level.ERROR, Level.WARNING)
    return [each for each in findings if each.level in selected]


def complete(findings: Iterable[Finding]) -> list[Finding]:
    """The same, each checked to say what, why and what to change wherever something is wrong."""
    found = list(findings)
    for each in only(found):
        assert each.what, each
        assert each.why, each
        assert each.change, each
    return found
