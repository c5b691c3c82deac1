"""Segments that were once written are read for ever (tests/golden/segments)."""

import json
import shutil
from pathlib import Path

from engagement.events.classify import Classification, ReaderClass
from engagement.events.fields import to_fields
from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.spool.read import SpoolReader

# Who it was is told by today's rules; what was written is the same for ever.
LABEL = Classification(ReaderClass.HUMAN, "user-agent", "1")
GOLDEN = Path(__file__).parents[1] / "golden/segments"


def test_what_was_written_once_says_the_same_for_ever(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "spool")
    reader = SpoolReader(tmp_path / "spool")
    events = [decode(entry.record) for entry in reader.read()]
    assert [to_fields(event, label=LABEL) for event in events] == json.loads(
        (GOLDEN / "events.json").read_text("utf-8")
    )
    assert [event.hits for event in events if isinstance(event, Hit)] == [1, 41, 2]
    reader.commit()
    assert reader.set_aside_count == 0
    assert not list((tmp_path / "spool").glob("host-*"))
