"""What an event must have to be counted: `query_filters` and the simple filters (contract.md 8.4). Pure."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engagement.events.fields import Fields
from engagement.figures.from_events import GROUPS

FORM: Final = 'must be JSON such as {"groupings":[{"AND":{"campaigns":{"eq":["spring"]}}}]}'
_SHORTEST: Final = 3  # characters of a value of like (contract.md 8.4)
_MOST: Final = 1000  # values in all; more do not fit into a URL

# What mail handed in over SMTP does not have: it is in no event.
NEVER: Final = ("templates", "ip_pools", "mailbox_providers", "mailbox_provider_regions", "ab_tests")
_VALUES: Final[Mapping[str, Callable[[Fields], Iterable[str]]]] = {
    "campaigns": lambda event: (str(event.get("campaign_id", "")),),
    "domains": lambda event: (str(event.get("recipient_domain", "")),),
    "sending_domains": GROUPS["sending_domain"],
    "sending_ips": GROUPS["sending_ip"],
    "tags": GROUPS["tag"],
    "subaccounts": lambda _event: ("0",),
    **dict.fromkeys(NEVER, lambda _event: ()),
}
KEYS: Final = tuple(_VALUES)
_ALIASES: Final = {"recipient_domains": "domains", "x_tags": "tags"}
_LOWER: Final = frozenset({"domains", "sending_domains"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition. key: of `KEYS`. how: eq, notEq, like or notLike. values: any of them."""

    key: str
    how: str
    values: tuple[str, ...]

    def fits(self, event: Fields) -> bool:
        """Return whether an event fits."""
        has = _VALUES[self.key](event)
        if self.how in ("eq", "notEq"):
            found = any(value in self.values for value in has)
        else:
            parts = [part.lower() for part in self.values]
            found = any(part in value.lower() for value in has for part in parts)
        return found is (self.how in ("eq", "like"))


# All groupings must hold: of each every comparison, or with False any of them.
Groupings = tuple[tuple[bool, tuple[Comparison, ...]], ...]


def simple(arguments: Mapping[str, Any]) -> Groupings:
    """Return what the parameters of these names say: any of the values of each."""
    found = [_comparison(key, "eq", arguments[key]) for key in KEYS if arguments.get(key)]
    return ((True, tuple(found)),) if found else ()


def groupings(text: str) -> Groupings:
    """Return what `query_filters` says, "" for nothing. Raises ValueError with what is wrong."""
    if not text:
        return ()
    try:
        found = tuple(_grouping(each) for each in json.loads(text)["groupings"])
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(FORM) from error
    if sum(len(each.values) for _, several in found for each in several) > _MOST:
        raise ValueError(f"must have at most {_MOST} values")
    return found


def fits(event: Fields, filters: Groupings) -> bool:
    """Return whether an event fits all groupings."""
    return all(
        all(each.fits(event) for each in several) if every else any(each.fits(event) for each in several)
        for every, several in filters
    )


def equal(filters: Groupings) -> dict[str, tuple[str, ...]]:
    """Return the values of keys that every event that fits has one of, so that a store may look by them."""
    found: dict[str, tuple[str, ...]] = {}
    for every, several in filters:
        if every or len(several) == 1:
            found |= {each.key: each.values for each in several if each.how == "eq" and each.key not in found}
    return found


def is_only(filters: Groupings, keys: Iterable[str]) -> bool:
    """Return whether `equal`, for these keys, says all that they ask."""
    several = [each for every, part in filters for each in part if every or len(part) == 1]
    names = [each.key for each in several]
    return (
        len(several) == sum(len(part) for _, part in filters)
        and len(set(names)) == len(names)
        and set(names) <= set(keys)
        and all(each.how == "eq" for each in several)
    )


def _grouping(grouping: Any) -> tuple[bool, tuple[Comparison, ...]]:
    ((connective, keys),) = grouping.items()
    if connective not in ("AND", "OR"):
        raise ValueError("must join keys by AND or OR")
    found = [
        _comparison(_ALIASES.get(key, key), how, values)
        for key, comparisons in keys.items()
        for how, values in comparisons.items()
    ]
    if not found:
        raise ValueError(FORM)
    return connective == "AND", tuple(found)


def _comparison(key: str, how: str, values: Any) -> Comparison:
    if key not in _VALUES:
        raise ValueError(f"has no key {key!a:.40}; known: {', '.join(KEYS)}")
    if how not in ("eq", "notEq", "like", "notLike"):
        raise ValueError(f"has no comparison {how!a:.40}; known: eq, notEq, like, notLike")
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(FORM)
    texts = [str(value).lower() if key in _LOWER else str(value) for value in values]
    if "ike" in how and any(len(text) < _SHORTEST for text in texts):
        raise ValueError(f"must have at least {_SHORTEST} characters in each value of {how}")
    return Comparison(key, how, tuple(texts))
