"""Rows: what a store keeps of an event is enough to make its fields again."""

import json

import pytest

from engagement.events.fields import to_fields
from engagement.events.model import Hit
from engagement.events.record import decode, encode
from engagement.events.rows import RowSource, rows, stored_fields
from engagement.links.model import Kind, Link
from unit.event_samples import LINK, hit, identity, injection


@pytest.mark.parametrize("key", [b"", b"key"])
@pytest.mark.parametrize("event", [hit(), injection()], ids=["hit", "injection"])
def test_the_fields_are_those_of_the_event(event: Hit, key: bytes) -> None:
    (row,) = rows(event, hash_key=key)
    assert row.fields == to_fields(event, hash_key=key)
    assert (row.event_id, row.at_ms) == (event.id, event.at_ms)
    assert row.recipient == row.fields.get("rcpt_to", "")
    assert row.campaign == row.fields.get("campaign_id", "")


def test_a_record_and_a_label_make_the_same_fields() -> None:
    (row,) = rows(hit(), hash_key=b"key")
    assert isinstance(row.source, RowSource)
    assert stored_fields(row.source.record, row.source.label, row.source.rcpt_hash) == row.fields


def test_the_record_handed_in_is_the_one_that_is_kept() -> None:
    record = encode(hit())
    (row,) = rows(decode(record), record=record)
    assert isinstance(row.source, RowSource)
    assert row.source.record is record
    (made,) = rows(decode(record))
    assert isinstance(made.source, RowSource)
    assert made.source.record == record


def test_the_second_row_of_an_unsubscribe_link_is_made_again_from_its_id() -> None:
    first, second = rows(hit(link=Link(b"https://example.org/bye", "", True)))
    assert (first.type, second.type) == ("click", "link_unsubscribe")
    assert isinstance(second.source, RowSource)
    fields = stored_fields(second.source.record, second.source.label, "", second.event_id)
    assert fields == second.fields == first.fields | {"type": second.type, "event_id": second.event_id}


@pytest.mark.parametrize("depth", [65, 480, 2000])
def test_metadata_deeper_than_any_filter_writes_is_not_shown(depth: int) -> None:
    """Else each page that it belongs on would fail."""
    (row,) = rows(hit(whose=identity(metadata='{"a":' + "[" * depth + "]" * depth + "}")))
    assert "rcpt_meta" not in row.fields
    (row,) = rows(hit(whose=identity(metadata=json.dumps({"a": [[1]] * 80}))))
    assert row.fields["rcpt_meta"] == {"a": [[1]] * 80}


@pytest.mark.parametrize(
    ("kind", "part"), [(Kind.CLICK, "html"), (Kind.CLICK, "text"), (Kind.AMP_CLICK, "amp")]
)
def test_a_row_says_which_link_of_its_part_it_is(kind: Kind, part: str) -> None:
    (first,) = rows(hit(kind, link=LINK._replace(ordinal=0, part=part)))
    (second,) = rows(hit(kind, link=LINK._replace(ordinal=1, part=part)))
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert first.link != second.link
    assert (second.fields["x_link_ordinal"], second.fields["x_link_part"]) == ("1", part)


def test_links_of_before_and_pixels_have_no_place() -> None:
    for event in (hit(), hit(Kind.OPEN)):
        (row,) = rows(event)
        assert row.ordinal == -1
        assert not {"x_link_ordinal", "x_link_part"} & row.fields.keys()
