"""The types of events by their groups, and a sample of each as a webhook sends it (contract.md 8.2).

What they are in words is `engagement.events.described`; here is the form of SparkPost's calls for webhooks.
"""

from collections.abc import Iterable
from typing import Any, Final

from engagement.events import described
from engagement.events.api_event import GROUPS, MESSAGE, TRACK, UNSUBSCRIBE, webhook_event
from engagement.events.fields import ALL_TYPES

_GROUP_TEXTS: Final = {
    MESSAGE: ("Message Events", "What became of a message, from its injection on."),
    TRACK: ("Engagement Events", "Opens and clicks."),
    UNSUBSCRIBE: ("Unsubscribe Events", "Recipients who asked for no more mail."),
}


def event_documentation() -> dict[str, Any]:
    """Return groups, their types, and the fields of each, with a sample of every value."""
    found: dict[str, Any] = {}
    for group, (name, description) in _GROUP_TEXTS.items():
        events = {kind: _described(kind) for kind in ALL_TYPES if GROUPS[kind] == group}
        found[group] = {"display_name": name, "description": description, "events": events}
    return found


def _described(kind: str) -> dict[str, Any]:
    fields = described.documentation(kind)
    name, description = fields.pop("display_name"), fields.pop("event_description")
    fields["timestamp"] = {
        "description": "When it happened, Unix seconds",
        "sampleValue": next(iter(_sample(kind)["msys"].values()))["timestamp"],
    }
    return {"display_name": name, "description": description, "event": fields}


def samples(kinds: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return a sample of each type as a webhook sends it; of all for none. Unknown types are left out."""
    return [_sample(kind) for kind in described.chosen(kinds)]


def _sample(kind: str) -> dict[str, Any]:
    return webhook_event(described.sample(kind))
