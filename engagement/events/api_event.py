"""The form of one event for those outside: the Events API, and webhooks (contract.md 7.1, 7.2).

Both give the same fields; only `timestamp` differs. SparkPost's clients expect text nearly everywhere: Go's
client turns an event with a number or a truth value where it expects text into one of unknown type, and
Singer's schema demands truth values for the four of `BOOLEANS`. Fields of our own (`x_…`) keep the sort that
docs/events.md gives them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from engagement.events.agents import with_agent
from engagement.events.fields import ALL_TYPES, INJECTION, MESSAGE_TYPES, UNSUBSCRIBES, Fields

TRACK: Final = "track_event"
UNSUBSCRIBE: Final = "unsubscribe_event"
MESSAGE: Final = "message_event"

BOOLEANS: Final = frozenset({"open_tracking", "click_tracking", "initial_pixel", "amp_enabled"})
OBJECTS: Final = frozenset({"rcpt_meta", "user_agent_parsed", "geo_ip"})

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def _group(kind: str) -> str:
    if kind in UNSUBSCRIBES:
        return UNSUBSCRIBE
    return MESSAGE if kind == INJECTION or kind in MESSAGE_TYPES else TRACK


GROUPS: Final[Mapping[str, str]] = {kind: _group(kind) for kind in ALL_TYPES}  # the group of each type


def api_event(fields: Mapping[str, Any]) -> Fields:
    """Return an event of the store as the Events API gives it: `timestamp` with milliseconds and `+00:00`.

    Go's client reads no `Z` (`2006-01-02T15:04:05.000-07:00` is its layout).
    """
    event = _typed(fields)
    if event.get("timestamp", "").endswith("Z"):
        event["timestamp"] = f"{event['timestamp'][:-1]}+00:00"
    return event


def webhook_event(fields: Mapping[str, Any]) -> Fields:
    """Return an event of the store as a webhook sends it: in its group, alone under `msys`.

    `timestamp` is Unix seconds as text. Raises ValueError for an event without type or time.
    """
    event = _typed(fields)
    group = GROUPS.get(event.get("type", ""))
    if group is None:
        raise ValueError(
            f"event {event.get('event_id')}: no type that has a group: {event.get('type')!r:.40}"
        )
    event["timestamp"] = str(unix_ms(event.get("timestamp", "")) // 1000)
    return {"msys": {group: event}}


def unix_ms(moment: str) -> int:
    """Return Unix milliseconds of a time as events have it, with `Z` or a zone. Raises ValueError."""
    since = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z") - _EPOCH
    return since // timedelta(milliseconds=1)


def _typed(fields: Mapping[str, Any]) -> Fields:
    return {name: _value(name, value) for name, value in with_agent(dict(fields)).items()}


def _value(name: str, value: Any) -> Any:
    """Return a field's value in the sort that clients expect of it."""
    if isinstance(value, str) or name.startswith("x_") or name in OBJECTS:
        return value
    if name == "rcpt_tags":
        return [str(tag) for tag in value]
    if isinstance(value, bool):
        return value if name in BOOLEANS else str(int(value))
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
