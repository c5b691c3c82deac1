"""The rules that come with this program, read when they are wanted first."""

from functools import cache

from engagement.classify.model import NOTHING, Context
from engagement.classify.read import read_rules
from engagement.classify.rule_set import RuleSet
from engagement.events.classify import Classification
from engagement.events.model import Hit


@cache
def shipped() -> RuleSet:
    """Return them, the same value each time; the first time takes some 40 ms."""
    return read_rules()


def classify(hit: Hit, rules: RuleSet | None = None, context: Context = NOTHING) -> Classification:
    """Return the label of a hit. rules: those shipped if not given."""
    return (rules or shipped()).classify(hit, context)
