"""Segments that were once written are read for ever (tests/golden/segments, segments-2)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engagement.events.fields import to_fields
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.events.record import decode, encode
from engagement.spool.read import SpoolReader

GOLDEN = Path(__file__).parents[1] / "golden"
# Of the rules in force, which change; not of the record.
LABEL = {"x_client_class", "x_client_reason", "x_client_rules", "user_agent_parsed"}


def without_label(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in LABEL}


@pytest.mark.parametrize(("folder", "hits"), [("segments", [1, 41, 2]), ("segments-2", [1, 41, 1, 2])])
def test_what_was_written_once_says_the_same_for_ever(tmp_path: Path, folder: str, hits: list[int]) -> None:
    shutil.copytree(GOLDEN / folder, tmp_path / "spool")
    reader = SpoolReader(tmp_path / "spool")
    entries = reader.read()
    events = [decode(entry.record) for entry in entries]
    golden = json.loads((GOLDEN / folder / "events.json").read_text("utf-8"))
    assert len(events) == len(golden)
    for event, fields in zip(events, golden, strict=True):
        written = to_fields(event)
        assert {name: written[name] for name in without_label(fields)} == without_label(fields)
    assert [event.hits for event in events if isinstance(event, Hit)] == hits
    reader.commit()
    assert reader.set_aside_count == 0
    assert not list((tmp_path / "spool").glob("host-*"))


def test_the_newest_records_are_written_as_they_were_then(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "segments-2", tmp_path / "spool")
    records = [entry.record for entry in SpoolReader(tmp_path / "spool").read()]
    assert [encode(decode(record)) for record in records] == records
    assert {type(decode(record)) for record in records} == {Hit, Injection, MessageEvent}
