"""Who fetched a link, and why we think so: a label. No hit is dropped for its label (contract.md 7.5).

Only what a label is; how one is found: `engagement.classify`.
"""

from dataclasses import dataclass
from enum import StrEnum


class ReaderClass(StrEnum):
    """What sent a request."""

    HUMAN = "human"
    PROXY = "proxy"  # an image proxy, which fetches when a person opens the mail
    PREFETCH = "prefetch"  # a mail service that loads pictures whether anyone looks or not
    SCANNER = "scanner"  # a filter that follows links
    PROBE = "probe"  # HEAD: answered, recorded, counted nowhere
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a figure stands for. The three are disjoint, and every hit that counts is in one of them."""

    PEOPLE = "people"
    MACHINES = "machines"
    UNSURE = "unsure"


def verdict(client: str, *, certain: bool) -> Verdict:
    """Return where figures count a class. certain: False for a class that its rule calls probable."""
    if client in (ReaderClass.HUMAN, ReaderClass.PROXY):
        return Verdict.PEOPLE
    return Verdict.MACHINES if certain and client != ReaderClass.UNKNOWN else Verdict.UNSURE


MACHINES = frozenset({ReaderClass.PREFETCH, ReaderClass.SCANNER})  # `is_prefetched` (contract.md 7.5)


@dataclass(frozen=True, slots=True)
class Classification:
    """A hit's label.

    client: the class. reason: the rule that decided. rules: the version of the rules. certain: False where
    the rule calls its class no more than probable.
    """

    client: ReaderClass
    reason: str
    rules: str
    certain: bool = True


def rules_number(version: str) -> int:
    """Return a version of rules as the number by which older ones are distinguished from newer ones.

    A version that is no whole number up to 999 (Cassandra's stores have no room for more) counts as 0.
    """
    return int(version) if version.isascii() and version.isdigit() and len(version) < 4 else 0
