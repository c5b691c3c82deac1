"""Finds which parts of many stand in a User-Agent, and knows lists of robots that others keep.

Invariants: the time for one agent grows with its length, not with the number of parts.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Final

MOST: Final = 2048  # characters of an agent that are looked at: none of a person's program is as long
LISTS: Final = frozenset({"crawler-user-agents"})
_SIZE: Final = 3  # characters of the parts by which texts are looked up, as in trigram indexes
_SPECIAL: Final = re.compile(r"[\[\](){}.*+?^$|]|\\[A-Za-z0-9]")


class Parts:
    """A set of texts of three characters and more, by which texts are found that hold one of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        known = sorted(set(texts))
        common = Counter(gram for text in known for gram in _grams(text))
        self._by_gram: dict[str, list[str]] = {}
        for text in known:
            rarest = min(_grams(text), key=lambda gram: (common[gram], gram))
            self._by_gram.setdefault(rarest, []).append(text)

    def within(self, text: str) -> set[str]:
        """Return those that stand in the text."""
        by_gram = self._by_gram
        return {part for gram in _grams(text) & by_gram.keys() for part in by_gram[gram] if part in text}


def _grams(text: str) -> set[str]:
    return {text[at : at + _SIZE] for at in range(len(text) - _SIZE + 1)}


class RobotList:
    """Patterns by which robots name themselves: nearly all plain text, the rest regular expressions."""

    def __init__(self, patterns: Iterable[str]) -> None:
        literals: list[str] = []
        rest: list[str] = []
        for pattern in patterns:
            text = re.sub(r"\\(.)", r"\1", pattern)
            is_literal = not _SPECIAL.search(re.sub(r"\\[^A-Za-z0-9]", "", pattern)) and len(text) >= _SIZE
            (literals if is_literal else rest).append(text if is_literal else pattern)
        self._literals = Parts(literals)
        self._rest = tuple(map(re.compile, rest))

    def names(self, agent: str) -> bool:
        """Return whether the agent, as sent, is one of them."""
        return bool(self._literals.within(agent)) or any(pattern.search(agent) for pattern in self._rest)


@cache
def robot_list(name: str) -> RobotList:
    """Return a list of `LISTS`; reading it takes some 30 ms, once a process. Raises KeyError for another."""
    if name not in LISTS:
        raise KeyError(name)
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    return RobotList(entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA)
