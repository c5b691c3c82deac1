"""docs/events.md names every type, field, class and file there is."""

import re
from pathlib import Path
from typing import Any

from engagement.events.classify import ReaderClass
from engagement.events.fields import ALL_TYPES, to_fields
from engagement.events.signals import Signals
from engagement.links.model import Kind, shared_identity
from unit.event_samples import LINK, hit, injection

NAMES: dict[str, Any] = {
    "message_id_header": "<a@b>",
    "links": 2,
    "parts": 1,
    "client_address": "192.0.2.7",
    "node_name": "mx.example.org",
    "consent": "form 7",
}
TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text("utf-8")


def named(heading: str) -> set[str]:
    """The words in code type in the first column of the section's tables."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_type_is_described_and_no_other() -> None:
    assert named("Kinds") == set(ALL_TYPES)


def test_every_field_is_described_and_no_other() -> None:
    made = {"x_repeat", "cust_…"}  # the store's, and a family of names
    facts: dict[str, Any] = {"spoiled": True, "expired": True, "signals": 1, "hits": 2}
    events = [hit(kind, **facts) for kind in Kind]
    events.append(hit(user_agent="okhttp/4"))  # no more than probable
    events.append(hit(Kind.OPEN, whose=shared_identity("c", "", 0, 1), **facts))
    events.append(hit(link=LINK._replace(ordinal=0, part="html"), **facts))
    for event in events:
        made |= set(to_fields(event, injection(rcpt_type="cc"), hash_key=b"key"))
    made |= set(to_fields(injection(outcome="no-link", rcpt_type="cc", **NAMES)))
    assert named("Fields") == {name for name in made if name != "cust_plan"}


def test_every_signal_is_described() -> None:
    assert named("Signals") == {str(signal.name).lower() for signal in Signals}


def test_every_class_is_described() -> None:
    assert named("Who it was") == {client.value for client in ReaderClass}
