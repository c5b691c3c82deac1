"""What programs are told of events: each word and value (engagement.events.described).

`python tests/unit/test_event_descriptions.py` writes the file anew; review its diff.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engagement.events.described import chosen, documentation, sample
from engagement.events.fields import ALL_TYPES, UNSUBSCRIBES

FILE = Path(__file__).with_name("described_events.json")


def descriptions() -> dict[str, Any]:
    """Return what is told of each type, and of each field with the types that have it."""
    types, fields = {}, dict[str, Any]()
    for kind in ALL_TYPES:
        about = documentation(kind)
        types[kind] = [about.pop("display_name"), about.pop("event_description")]
        for name, field in about.items():
            fields.setdefault(name, {**field, "types": []})["types"].append(kind)
    return {"types": types, "fields": fields}


def test_nothing_that_is_told_of_events_changes_unseen() -> None:
    assert descriptions() == json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_documentation_and_sample_have_the_same_fields(kind: str) -> None:
    fields = {name for name in documentation(kind) if name not in ("display_name", "event_description")}
    assert fields - set(sample(kind)) <= {"rcpt_type"}
    assert set(sample(kind)) <= fields
    assert sample(kind)["type"] == documentation(kind)["type"]["sampleValue"] == kind


def test_types_that_are_asked_for_come_in_their_order() -> None:
    assert chosen(()) == ALL_TYPES
    assert chosen(UNSUBSCRIBES) == tuple(kind for kind in ALL_TYPES if kind in UNSUBSCRIBES)
    assert chosen(("open", "none", "click")) == tuple(kind for kind in ALL_TYPES if kind in ("open", "click"))
    assert chosen(("none",)) == ()


if __name__ == "__main__":
    FILE.write_text(json.dumps(descriptions(), indent=1) + "\n", "utf-8")
