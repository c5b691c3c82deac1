"""What program, system and device a User-Agent names, for people to read (contract.md 7.2).

Not for rules: those look at the agent itself. ua-parser does the work. It takes half a second to load and
300 µs for an agent that was not seen before, so stores do not ask it; whoever shows fields does, with
`with_agent`. Where it is not installed nothing is added.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from engagement.classify.rule_set import is_word
from engagement.events.fields import Fields

_MOBILE: Final = frozenset(
    {"iOS", "Android", "Windows Phone", "Windows Mobile", "BlackBerry OS", "BlackBerry Tablet OS", "KaiOS"}
    | {"Symbian OS", "Firefox OS", "HarmonyOS", "Tizen", "Bada", "webOS", "Sailfish OS"}
)
_NAMELESS: Final = frozenset({"", "Other", "Generic", "Generic Smartphone", "Generic Feature Phone"})


@cache
def _parser() -> Callable[[str], Any] | None:
    try:
        from ua_parser import parse
    except ImportError:
        return None
    return parse


@lru_cache(maxsize=4096)
def _found(user_agent: str) -> tuple[tuple[str, str | bool], ...]:
    parse = _parser()
    if parse is None:
        return ()
    parsed = parse(user_agent)
    agent, system, device = parsed.user_agent, parsed.os, parsed.device
    version = [part for part in (system.major, system.minor, system.patch) if part] if system else []
    named = {
        "agent_family": agent.family if agent else "",
        "os_family": system.family if system else "",
        "os_version": ".".join(version),
        "device_family": device.family if device else "",
        "device_brand": (device.brand or "") if device else "",
    }
    found: dict[str, str | bool] = {name: text for name, text in named.items() if text not in _NAMELESS}
    if "os_family" in found:
        found["is_mobile"] = found["os_family"] in _MOBILE
    return tuple(found.items())


def prepare() -> None:
    """Load what reads agents, so that the first question does not wait for it."""
    _found("")


def with_agent(fields: Fields) -> Fields:
    """Return an event's fields with what its User-Agent says in `user_agent_parsed`, if it has one."""
    parsed = fields.get("user_agent_parsed")
    if parsed is None:
        return fields
    return fields | {"user_agent_parsed": parsed | parsed_agent(fields.get("user_agent", ""))}


def parsed_agent(user_agent: str) -> dict[str, str | bool]:
    """Return agent_family, os_family, os_version, device_family, device_brand and is_mobile, those known.

    Nothing of no agent, of what privacy put in its place, and without the library.
    """
    return dict(_found(user_agent[:2048])) if user_agent and not is_word(user_agent) else {}
