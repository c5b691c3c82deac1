"""Hits that were classified anew after they had been sent, as events that correct the earlier ones."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from engagement.events.fields import Fields

LABEL: Final = ("x_client_class", "x_client_certain")
_SPACE: Final = uuid.UUID("5f3c9ad2-54c4-5b0e-9d3a-1a6f0f0e4a77")  # of the ids of corrections; drawn once


def sent_hits(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the hits of a batch; those that correct others are left out, as one look follows each batch."""
    for event in json.loads(body):
        for fields in event["msys"].values():
            if "x_client_class" in fields and "x_corrects" not in fields:
                yield fields


def corrected(sent: Iterable[Mapping[str, Any]], now: Mapping[str, Fields]) -> Iterator[Fields]:
    """Yield corrections of those hits that have another class, or certainty, than they were sent with.

    now: the events as they are, by id. A correction is the event as it is, with an id of its own, the same
    however often it is made, and the id of the one it corrects in `x_corrects`.
    """
    for before in sent:
        after = now.get(str(before["event_id"]))
        if after is None or all(before.get(name, True) == after.get(name, True) for name in LABEL):
            continue
        yield correction(after)


def correction(event: Fields, run: str = "") -> Fields:
    """Return an event that corrects this one, which is as it is now.

    run: which later run classified it anew; a label that comes back is another correction then.
    """
    label = "/".join(str(event.get(name, True)) for name in LABEL)
    made = uuid.uuid5(_SPACE, "/".join(filter(None, (str(event["event_id"]), label, run))))
    return event | {"event_id": str(made), "x_corrects": event["event_id"]}
