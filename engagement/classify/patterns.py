"""Regular expressions of rules: only those whose time stays small whatever a stranger sends.

Python's `re` goes back and tries again, and a pattern may make it do so for years. What is refused is more
than what is dangerous; what is left takes at most a time that grows with the square of the agent's length,
which is cut (`agents.MOST`), and an agent is classified once, then remembered.
"""

import re
from typing import Final

_LOOK: Final = re.compile(r"\(\?(?!:)")
_CLASS: Final = re.compile(r"\[\^?\]?[^\]]*\]")
_AGAIN: Final = re.compile(r"\\[1-9]")
_COUNT: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_FEW: Final = 99  # times; no pattern of a known list repeats anything as often


def compiled(text: str) -> re.Pattern[str]:
    """Return the pattern, for agents in lower case. Raises ValueError with the reason for one not taken."""
    if _LOOK.search(text):
        raise ValueError("groups other than (?: … ) are not taken")
    if _AGAIN.search(text):
        raise ValueError("references to groups are not taken")
    bare = _CLASS.sub("c", re.sub(r"\\.", "e", text))
    if re.search(r"\)(?:[*+]|\{)", bare):
        raise ValueError("a group may not be repeated")
    if len(re.findall(r"[*+]", bare)) + sum(map(_is_open, _COUNT.finditer(bare))) > 1:
        raise ValueError("at most one *, + or {n,} is taken")
    if text != text.lower() and re.search(r"[A-Z]", re.sub(r"\\[A-Z]", "", text)):
        raise ValueError("agents are compared in lower case")
    try:
        return re.compile(text, re.ASCII)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error


def _is_open(found: re.Match[str]) -> bool:
    """Return whether a count repeats without an end, or as good as without one."""
    low, comma, high = found.groups()
    return (bool(comma) and not high) or int(high or low or 0) > _FEW
