"""Keyword search: a text is cut into words, and a value matches a run of whole ones (contract.md 8.3)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_SEPARATORS: Final = re.compile(r"[\s_-]+")
_OF_DOMAINS: Final = re.compile(r"[\s._-]+")


@lru_cache(maxsize=65_536)  # names of campaigns and domains come again with each search; some 20 MB
def terms(text: str, *, domain: bool = False) -> tuple[str, ...]:
    """Return the words of a text in lower case. domain: dots part words too."""
    return tuple(word for word in (_OF_DOMAINS if domain else _SEPARATORS).split(text.lower()) if word)


def matches(text: str, values: Iterable[str], *, domain: bool = False) -> bool:
    """Return whether one of the values stands in the text as a run of whole words."""
    found = terms(text, domain=domain)
    return any(_is_run(terms(value, domain=domain), found) for value in values)


def _is_run(run: tuple[str, ...], found: tuple[str, ...]) -> bool:
    size = len(run)
    return size > 0 and any(found[start : start + size] == run for start in range(len(found) - size + 1))
