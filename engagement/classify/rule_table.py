"""Makes a rule of its table in a TOML file, each value checked."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, Final

from engagement.classify.agents import LISTS, MOST
from engagement.classify.model import AgentTest, Network, Rule, Scope, Within
from engagement.classify.patterns import compiled
from engagement.events.classify import Classification, ReaderClass
from engagement.events.signals import Signals

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CERTAINTIES: Final = ("certain", "probable")
_CONDITIONS: Final = frozenset(
    {
        *("agent_contains", "agent_is", "agent_matches", "agent_list", "signals", "signals_not_set"),
        *("method", "spoiled", "network", "network_file", "as_number"),
        *("seconds_after_injection", "seconds_after_delivery", "burst", "recipients", "link_name"),
    }
)
_KEYS: Final = _CONDITIONS | {"name", "scope", "class", "certainty", "reason", "source"}
_HEAD: Final = "[[rule]]"


class RuleFault(ValueError):
    """A value of a rule is wrong. key: which; the text says what to write."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def rule_of(
    table: Mapping[str, Any], version: str, networks_in: Callable[[str], tuple[Network, ...]]
) -> Rule:
    """Return the rule. version: of its label. networks_in: returns the networks of a file by its name.

    Raises RuleFault for what is no rule.
    """
    for key in sorted(table.keys() - _KEYS):
        raise RuleFault(key, f"{key!r} is no key of a rule; there are {', '.join(sorted(_KEYS))}")
    if not table.keys() & _CONDITIONS and "name" in table:
        raise RuleFault(_HEAD, "a rule without a condition would hold for every hit: give it one")
    name = _text(table, "name")
    if not _NAME.fullmatch(name):
        raise RuleFault("name", "a name is of small letters, digits and single hyphens")
    client = _one_of(table, "class", [each.value for each in ReaderClass])
    certain = _one_of(table, "certainty", _CERTAINTIES) == "certain"
    methods = _texts(table, "method")
    return Rule(
        name=name,
        scope=Scope(_one_of(table, "scope", [each.value for each in Scope], "all")),
        label=Classification(ReaderClass(client), name, version, certain),
        reason=_text(table, "reason"),
        source=_text(table, "source"),
        agent=_agent(table),
        signals=_signals(table, "signals"),
        no_signals=_signals(table, "signals_not_set"),
        methods=methods,
        spoiled=_spoiled(table),
        networks=_networks(table, networks_in),
        as_numbers=_numbers(table, "as_number"),
        after_injection=_seconds(table, "seconds_after_injection"),
        after_delivery=_seconds(table, "seconds_after_delivery"),
        burst=_within(table, "burst", "links"),
        recipients=_within(table, "recipients", "messages"),
        link_names=_texts(table, "link_name"),
    )


def _agent(table: Mapping[str, Any]) -> AgentTest | None:
    contains = tuple(text.lower() for text in _texts(table, "agent_contains"))
    same = tuple(text.strip().lower() for text in _texts(table, "agent_is"))
    listed = _texts(table, "agent_list")
    if any(len(text) < 3 for text in contains):
        raise RuleFault("agent_contains", "a part of an agent has three characters or more")
    if any(len(text) > MOST for text in same):
        raise RuleFault("agent_is", f"of an agent only {MOST} characters are looked at")
    for name in set(listed) - LISTS:
        raise RuleFault("agent_list", f"there is no list {name!r}; there is {', '.join(sorted(LISTS))}")
    try:
        patterns = tuple(compiled(text) for text in _texts(table, "agent_matches"))
    except ValueError as error:
        raise RuleFault("agent_matches", str(error)) from error
    test = AgentTest(contains, same, patterns, listed)
    return None if test == AgentTest() else test


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RuleFault(key, f'{key} is missing: a rule has {key} = "…"')
    return value


def _one_of(
    table: Mapping[str, Any], key: str, values: "list[str] | tuple[str, ...]", default: str = ""
) -> str:
    value = table.get(key, default)
    if value not in values:
        raise RuleFault(key, f"{key} is one of {', '.join(values)}, not {value!r}")
    return str(value)


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of it."""
    value = table.get(key, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise RuleFault(key, f"{key} is a text or a list of texts")
    if key in table and not value:
        raise RuleFault(key, f"{key} is empty, so the rule would hold for none: take the key out, or fill it")
    return tuple(value)


def _numbers(table: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = table.get(key, [])
    value = [value] if isinstance(value, int) else value
    if not isinstance(value, list) or not all(type(each) is int and each > 0 for each in value):
        raise RuleFault(key, f"{key} is a number or a list of numbers")
    if key in table and not value:
        raise RuleFault(key, f"{key} is a number or a list of numbers; this list is empty")
    return tuple(value)


def _signals(table: Mapping[str, Any], key: str) -> int:
    bits = 0
    for name in _texts(table, key):
        if name not in Signals.__members__:
            raise RuleFault(key, f"{name!r} is no signal; there are {', '.join(Signals.__members__)}")
        bits |= Signals[name].value
    return bits


def _spoiled(table: Mapping[str, Any]) -> bool:
    value = table.get("spoiled", False)
    if "spoiled" in table and value is not True:
        raise RuleFault("spoiled", "spoiled = true, or leave it out")
    return bool(value)


def _networks(
    table: Mapping[str, Any], networks_in: Callable[[str], tuple[Network, ...]]
) -> tuple[Network, ...] | None:
    """Return the networks of both keys, which are one condition; None without them."""
    if not table.keys() & {"network", "network_file"}:
        return None
    found: list[Network] = []
    for text in _texts(table, "network"):
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise RuleFault("network", f"no network: {error}") from error
    for name in _texts(table, "network_file"):
        if "/" in name or name.startswith("."):
            raise RuleFault("network_file", "a file beside this one, by its name alone")
        found += networks_in(name)
    return tuple(found)


def _seconds(table: Mapping[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not -86_400 <= value <= 86_400:
        raise RuleFault(key, f"{key} is a number of seconds, of a day at most")
    return float(value)


def _within(table: Mapping[str, Any], key: str, what: str) -> Within | None:
    value = table.get(key)
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or value.keys() != {what, "seconds"}
        or any(type(each) not in (int, float) for each in value.values())
        or type(value[what]) is not int
        or value[what] <= 0
        or not 0 < value["seconds"] <= 3600
    ):
        raise RuleFault(key, f"{key} = {{ {what} = N, seconds = N }}, of an hour at most")
    return Within(value[what], float(value["seconds"]))
