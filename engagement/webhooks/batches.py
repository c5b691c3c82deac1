"""From events to the octets of a batch: which events a webhook wants, and their form."""

import base64
import json
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engagement.events.api_event import webhook_event
from engagement.events.fields import Fields

PING: Final = b'[{"msys":{}}]'  # contract.md 8.2; clients skip it (7.4)


def is_selected(fields: Mapping[str, Any], types: Sequence[str]) -> bool:
    """Return whether a webhook for these types, () for all, gets the event."""
    return not types or fields.get("type") in types


def as_json(fields: Fields) -> bytes:
    """Return one event as it stands in a batch. Raises ValueError for one that no batch can hold."""
    return json.dumps(
        webhook_event(fields), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode("utf-8", "replace")


def joined(events: Iterable[bytes]) -> bytes:
    """Return the octets of a batch: a JSON array."""
    return b"[" + b",".join(events) + b"]"


def batch_id(webhook_id: str, number: int) -> str:
    """Return the id of a webhook's batch, the same whoever makes it."""
    return str(uuid.uuid5(uuid.UUID(webhook_id), str(number)))


def packed(body: bytes) -> dict[str, Any]:
    """Return a document that holds these octets; events of one time are alike and pack to about a tenth."""
    return {"zlib": base64.b64encode(zlib.compress(body)).decode()}


def unpacked(document: Mapping[str, Any]) -> bytes:
    """Return the octets of such a document."""
    return zlib.decompress(base64.b64decode(document["zlib"]))


def without_recipient(body: bytes, address: str) -> bytes:
    """Return the octets of a batch without the events of one recipient; the same octets if it has none."""
    events = json.loads(body)
    left = [event for event in events if not _is_of(event, address.lower())]
    if len(left) == len(events):
        return body
    return joined(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() for event in left)


def _is_of(event: Mapping[str, Any], address: str) -> bool:
    return any(inner.get("rcpt_to") == address for inner in event["msys"].values())
