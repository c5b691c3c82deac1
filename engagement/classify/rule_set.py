"""Classifies hits by rules: the first one whose conditions all hold gives the label.

Pure. Invariant: the label follows from the hit, the rules and the context alone, so it can be made again.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from engagement.classify.agents import MOST, Parts, robot_list
from engagement.classify.model import NOTHING, AgentTest, Context, Rule, Scope, Seen, Within
from engagement.classify.networks import AsNumbers, Networks, NoAsNumbers
from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import Hit
from engagement.links.model import CLICKS, OPENS, BadToken, Kind
from engagement.links.payload import unpack

# In the place of the User-Agent where privacy takes it, with the names of the rules whose agent it was.
WITHHELD: Final = "withheld"
PERSON: Final = "browser"  # the rule that WITHHELD alone stands for
NO_AGENT: Final = "no-user-agent"
NO_RULE: Final = "no-rule"
_DAY_MS: Final = 86_400_000
_SKEW: Final = 60.0  # seconds; a hit on a link before it was made is one of a clock that is wrong
_moment = attrgetter("at_ms")

_Test = Callable[[Hit, Context], bool]
_Candidates = tuple[tuple[tuple[_Test, ...], Classification], ...]


class RuleSet:
    """Rules in their order, made ready to classify hits.

    version: in each label. as_numbers: finds the systems of addresses.
    """

    def __init__(self, rules: Iterable[Rule], version: str, as_numbers: AsNumbers | None = None) -> None:
        self.rules = tuple(rules)
        self.version = version
        self._as_numbers = as_numbers or NoAsNumbers()
        self._no_systems = isinstance(self._as_numbers, NoAsNumbers)
        agents = [rule.agent for rule in self.rules if rule.agent]
        self._parts = Parts(part for agent in agents for part in agent.contains)
        self._networks = Networks(
            (rule.name, rule.networks) for rule in self.rules if rule.networks is not None
        )
        self._tests = {rule.name: tuple(self._tests_of(rule)) for rule in self.rules}
        self._nameless = Classification(ReaderClass.UNKNOWN, NO_AGENT, version)
        self._unknown = Classification(ReaderClass.UNKNOWN, NO_RULE, version)
        self._candidates = lru_cache(maxsize=8192)(self._candidates_of)
        self._left = lru_cache(maxsize=8192)(self._left_of)

    def with_rules(self, rules: Iterable[Rule]) -> "RuleSet":
        """Return a set of other rules, with this one's version and systems of addresses."""
        return RuleSet(rules, self.version, self._as_numbers)

    def classify(self, hit: Hit, context: Context = NOTHING) -> Classification:
        """Return the label of a hit."""
        kind = hit.kind
        place = 0 if kind in OPENS else 1 if kind in CLICKS else 2
        if not context.links and not context.messages and context.delivered_ms is None:
            place += 3
        for tests, label in self._left(hit.user_agent[:MOST], place, hit.signals, hit.method, hit.spoiled):
            for test in tests:
                if not test(hit, context):
                    break
            else:
                return label
        return self._unknown if hit.user_agent.strip() else self._nameless

    def word(self, user_agent: str) -> str:
        """Return what may replace a User-Agent and gets the same class: the names of the rules that know it.

        No agent stands for itself, and so does a word, but for what no rule is named.
        """
        agent = user_agent[:MOST].strip()
        if not agent:
            return ""
        if is_word(agent):
            return " ".join((WITHHELD, *filter(self._is_named, agent.split()[1:])))
        names = [rule.name for rule in self._known(agent) if rule.agent]
        return WITHHELD if names == [PERSON] else " ".join((WITHHELD, *(names or [NO_RULE])))

    def _is_named(self, name: str) -> bool:
        return name == NO_RULE or name in self._tests

    def _left_of(self, user_agent: str, place: int, signals: int, method: str, spoiled: bool) -> _Candidates:
        """Return the rules that may decide for hits of one sort, with the tests that each hit differs in.

        Nearly all hits of an agent are of very few sorts, and half of all tests are answered by the sort.
        """
        return tuple(
            (self._tests[rule.name], rule.label)
            for rule in self._candidates(user_agent)[place]
            if _fits_sort(rule, signals, method, spoiled=spoiled)
        )

    def _candidates_of(self, user_agent: str) -> tuple[tuple[Rule, ...], ...]:
        """Return the rules that may decide for an agent: for opens, clicks, the rest.

        Then the same again for a hit of which nothing but its injection is known, as when it comes in.
        """
        known = self._known(user_agent.strip())
        return tuple(
            tuple(
                rule
                for rule in known
                if (rule.scope is Scope.ALL or rule.scope is scope) and self._may_hold(rule, alone=alone)
            )
            for alone in (False, True)
            for scope in (Scope.OPENS, Scope.CLICKS, None)
        )

    def _may_hold(self, rule: Rule, *, alone: bool) -> bool:
        """Return whether a rule can hold at all. alone: of a hit of which only its injection is known."""
        if self._no_systems and rule.as_numbers and 0 not in rule.as_numbers:
            return False
        return not (alone and (rule.burst or rule.recipients or rule.after_delivery is not None))

    def _known(self, user_agent: str) -> list[Rule]:
        """Return the rules whose agent this is or that take any, up to the first that takes all such hits."""
        agent = user_agent.lower()
        names = _names_in(agent)
        parts = self._parts.within(agent) if names is None else set()
        known = []
        for rule in self.rules:
            if rule.agent is None:
                fits = True
            elif names is not None:
                fits = rule.name in names
            else:
                fits = _fits(rule.agent, agent, user_agent, parts)
            if fits:
                known.append(rule)
                if rule.scope is Scope.ALL and not self._tests[rule.name] and _fits_any_sort(rule):
                    break
        return known

    def _tests_of(self, rule: Rule) -> Iterable[_Test]:
        """Yield the conditions of a rule but those on agent and sort of hit, the cheapest first."""
        if (injection := rule.after_injection) is not None:
            span = -int(_SKEW * 1000), injection * 1000
            yield (
                lambda hit, context: (
                    (since := context.injected_ms) is not None
                    and span[0] <= hit.at_ms - since <= span[1]
                    and not _is_day(hit)
                )
            )
        if (delivery := rule.after_delivery) is not None:
            yield lambda hit, context: _soon(hit, context.delivered_ms, delivery, math.inf)
        if rule.networks is not None:
            yield lambda hit, _: rule.name in self._networks.of(hit.client_address)
        if systems := rule.as_numbers:
            yield lambda hit, _: self._as_numbers.of(hit.client_address) in systems
        if burst := rule.burst:
            yield lambda hit, context: _many(context.links.get(hit.client_address, ()), hit.at_ms, burst)
        if names := rule.link_names:
            yield (
                lambda hit, context: (
                    (hit.kind in CLICKS and _link_name(hit.packed) in names)
                    or any(
                        _link_name(each.what) in names for each in context.links.get(hit.client_address, ())
                    )
                )
            )
        if recipients := rule.recipients:
            yield lambda hit, context: _many(
                context.messages.get(hit.client_address, ()), hit.at_ms, recipients
            )


def is_word(user_agent: str) -> bool:
    """Return whether this is what this version's privacy modes put in the place of a User-Agent."""
    return user_agent == WITHHELD or user_agent.startswith(f"{WITHHELD} ")


def _names_in(agent: str) -> frozenset[str] | None:
    """Return the rules that a word names, None for what is no word."""
    if not is_word(agent):
        return None
    return frozenset(agent.split()[1:] or (PERSON,))


def _fits(test: AgentTest, agent: str, as_sent: str, parts: set[str]) -> bool:
    return (
        (not test.contains or not parts.isdisjoint(test.contains))
        and (not test.same or agent in test.same)
        and (not test.patterns or any(pattern.search(agent) for pattern in test.patterns))
        and (not test.listed or any(robot_list(name).names(as_sent) for name in test.listed))
    )


def _fits_any_sort(rule: Rule) -> bool:
    """Return whether a rule has no condition on signals, method or a spoiled link, which define a sort."""
    return not (rule.signals or rule.no_signals or rule.methods or rule.spoiled)


def _fits_sort(rule: Rule, signals: int, method: str, *, spoiled: bool) -> bool:
    return (
        signals & rule.signals == rule.signals
        and not signals & rule.no_signals
        and (not rule.methods or method in rule.methods)
        and (spoiled or not rule.spoiled)
    )


def _is_day(hit: Hit) -> bool:
    """Return whether privacy left no more than the day of a hit's time."""
    return hit.at_ms % _DAY_MS == 0 and not hit.client_address


def _soon(hit: Hit, since_ms: int | None, seconds: float, before: float) -> bool:
    """Return whether a hit came at most so many seconds after, and so many before it.

    Not where privacy left no more than its day.
    """
    if since_ms is None or _is_day(hit):
        return False
    return -before * 1000 <= hit.at_ms - since_ms <= seconds * 1000


@lru_cache(maxsize=4096)
def _link_name(packed: bytes) -> str:
    """Return the name of a link by its payload, "" for one without."""
    try:
        _, link = unpack(Kind.CLICK, packed)
    except BadToken:
        return ""
    return link.name if link else ""


def _many(seen: Sequence[Seen], at_ms: int, within: Within) -> bool:
    """Return whether a hit at this time is in some span with so many different things.

    seen: in time order.
    """
    span = int(within.seconds * 1000)
    near = seen[
        bisect_left(seen, at_ms - span, key=_moment) : bisect_left(seen, at_ms + span + 1, key=_moment)
    ]
    counts: Counter[bytes] = Counter()
    begin = 0
    for at, thing in near:
        counts[thing] += 1
        while near[begin][0] < at - span:
            before = near[begin][1]
            counts[before] -= 1
            if not counts[before]:
                del counts[before]
            begin += 1
        if len(counts) >= within.number and near[begin][0] <= at_ms:
            return True
    return False
