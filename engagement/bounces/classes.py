"""From what the other side says to Momentum's numeric bounce classes. The rules are data: `classes.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

ADMIN_FAILURE: Final = 25  # given up by the site's own rule
UNDETERMINED: Final = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. bounce_class: what it gives. enhanced, replies, texts: any one of them has to fit."""

    bounce_class: int
    enhanced: tuple[str, ...]
    replies: tuple[str, ...]
    texts: tuple[str, ...]

    def fits(self, enhanced: str, reply: str, text: str) -> bool:
        """Return whether the rule fits. text: in lower case."""
        return (
            reply in self.replies
            or any(_is_like(enhanced, pattern) for pattern in self.enhanced if enhanced)
            or any(each in text for each in self.texts)
        )


@dataclass(frozen=True, slots=True)
class BounceClasses:
    """All rules of a file. names: of the classes, by number. version: of the rules."""

    version: str
    names: Mapping[int, str]
    rules: tuple[Rule, ...]

    def of(self, enhanced: str, reply: str, text: str) -> int:
        """Return the class of a failure.

        enhanced: RFC 3463, or "". reply: three digits, or "". text: what the other side said.
        """
        lower = text.lower()
        for rule in self.rules:
            if rule.fits(enhanced, reply, lower):
                return rule.bounce_class
        return UNDETERMINED


def read(text: str) -> BounceClasses:
    """Return the rules of a TOML text. Raises ValueError for a text that is none."""
    values = tomllib.loads(text)
    known = {"class", "enhanced", "replies", "texts"}
    rules = []
    names = {int(number): str(name) for number, name in values["names"].items()}
    for rule in values["rules"]:
        if set(rule) - known or rule.get("class") not in names:
            raise ValueError(f"not a rule: {rule}")
        parts = (
            tuple(str(each).lower() for each in rule.get(name, ())) for name in sorted(known - {"class"})
        )
        rules.append(Rule(int(rule["class"]), *parts))
    return BounceClasses(str(values["version"]), names, tuple(rules))


@cache
def shipped() -> BounceClasses:
    """Return the rules that come with this program."""
    return read((files("engagement.bounces") / "classes.toml").read_text("utf-8"))


def _is_like(enhanced: str, pattern: str) -> bool:
    if pattern.startswith("x."):
        enhanced, pattern = enhanced[1:], pattern[1:]
        if not enhanced:
            return False
    return enhanced.startswith(pattern[:-1]) if pattern.endswith("*") else enhanced == pattern
