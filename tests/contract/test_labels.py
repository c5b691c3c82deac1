"""Labels of stored hits: read, given anew, and kept as history (engagement.stores.port)."""

from dataclasses import replace

import pytest

from contract.store_samples import AT, SampleRows
from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds, derived
from engagement.events.model import Hit, MessageEvent
from engagement.events.rows import EventRow, RowSource, rows
from engagement.links.model import Kind
from engagement.stores.cassandra import labels
from engagement.stores.port import EventStore, LabelledHit, Query, cursor_of

SCANNER = Classification(ReaderClass.SCANNER, "burst", "2", certain=False)
IDS = EventIds(b"outcomes")


def hit_of(row: EventRow) -> Hit:
    source = row.source
    assert isinstance(source, RowSource)
    assert isinstance(source.event, Hit)
    return source.event


def label_of(row: EventRow) -> Classification:
    source = row.source
    assert isinstance(source, RowSource)
    assert source.label is not None
    return source.label


def labelled(row: EventRow) -> LabelledHit:
    return LabelledHit(hit_of(row), label_of(row))


def delivery(at: int, message: int = 1) -> list[EventRow]:
    name = message.to_bytes(16, "big")
    return list(rows(MessageEvent(IDS.next(AT + at), AT + at, "delivery", "mx", "q", 7, name)))


def test_hits_of_a_time_come_oldest_first_and_go_on_after_the_last(
    store: EventStore, sample: SampleRows
) -> None:
    made = [row for at in (3, 1, 2, 2, 4) for row in sample.hit(at=at)]
    store.add(made + sample.injection(at=2))
    expected = [labelled(row) for row in sorted(made, key=lambda row: (row.at_ms, row.event_id))]
    assert list(store.hits(AT + 1, AT + 4)) == expected[:4]
    first = store.hits(AT, AT + 10, limit=2)
    assert list(first) == expected[:2]
    last = next(iter(store.find(Query(ids=(first[-1].hit.id,)))))
    assert list(store.hits(AT, AT + 10, after=cursor_of(last))) == expected[2:]


def test_a_click_that_unsubscribes_is_one_hit(store: EventStore, sample: SampleRows) -> None:
    made = sample.hit(unsubscribe=True)
    store.add(made)
    assert list(store.hits(AT, AT + 1)) == [labelled(made[0])]
    assert store.hits_of([bytes(15) + b"\1"]) == {bytes(15) + b"\1": (labelled(made[0]),)}


def test_hits_of_messages_are_found_whatever_their_link_or_age(store: EventStore, sample: SampleRows) -> None:
    one = sample.hit(at=9) + sample.hit(Kind.OPEN, at=5) + sample.hit(at=1, expired=True)
    other = sample.hit(at=2, message=2)
    store.add(one + other + sample.hit(message=3) + sample.injection())
    names = [number.to_bytes(16, "big") for number in (1, 2, 9)]
    assert store.hits_of(names) == {
        names[0]: tuple(labelled(row) for row in one[::-1]),
        names[1]: (labelled(other[0]),),
    }
    assert store.hits_of([]) == {}


def test_the_first_delivery_counts(store: EventStore, sample: SampleRows) -> None:
    store.add(delivery(50) + delivery(20) + delivery(90, message=2) + sample.hit(at=1, message=3))
    names = [number.to_bytes(16, "big") for number in (1, 2, 3)]
    assert store.deliveries(names) == {names[0]: AT + 20, names[1]: AT + 90}


def test_a_label_given_anew_stands_in_the_row_and_the_old_one_in_its_history(
    store: EventStore, sample: SampleRows
) -> None:
    (row,) = sample.hit()
    store.add([row])
    assert store.relabel([LabelledHit(hit_of(row), SCANNER)], AT + 5) == 1
    assert list(store.hits(AT, AT + 1)) == [LabelledHit(hit_of(row), SCANNER)]
    (event,) = store.find(Query())
    assert (event["x_client_class"], event["x_client_reason"], event["x_client_rules"]) == (
        "scanner",
        "burst",
        "2",
    )
    assert [tuple(past) for past in store.past_labels(row.event_id)] == [(label_of(row), AT + 5)]
    again = replace(SCANNER, certain=True)
    assert store.relabel([LabelledHit(hit_of(row), again)], AT + 6) == 1
    assert [past.label for past in store.past_labels(row.event_id)] == [label_of(row), SCANNER]


def test_a_label_that_a_hit_has_changes_nothing(store: EventStore, sample: SampleRows) -> None:
    (row,) = sample.hit()
    store.add([row])
    assert store.relabel([labelled(row)], AT + 5) == 0
    assert store.past_labels(row.event_id) == ()


def test_a_hit_that_is_gone_stays_gone(store: EventStore, sample: SampleRows) -> None:
    (row,) = sample.hit()
    assert store.relabel([LabelledHit(hit_of(row), SCANNER)], AT) == 0
    assert list(store.find(Query())) == []
    assert store.past_labels(row.event_id) == ()


def test_older_rules_do_not_undo_newer_ones(store: EventStore, sample: SampleRows) -> None:
    (row,) = sample.hit()
    store.add([row])
    newer = replace(SCANNER, rules="30")
    store.relabel([LabelledHit(hit_of(row), newer)], AT)
    for rules in ("4", "x", ""):
        assert store.relabel([LabelledHit(hit_of(row), replace(SCANNER, rules=rules))], AT) == 0
    assert store.hits(AT, AT + 1)[0].label == newer


def test_the_second_row_changes_with_its_hit(store: EventStore, sample: SampleRows) -> None:
    made = sample.hit(unsubscribe=True)
    store.add(made)
    store.relabel([LabelledHit(hit_of(made[0]), SCANNER)], AT)
    assert {event["type"]: event["x_client_class"] for event in store.find(Query())} == {
        "click": "scanner",
        "link_unsubscribe": "scanner",
    }
    assert made[1].event_id == derived(made[0].event_id, 1)


def test_figures_follow_the_label(store: EventStore, sample: SampleRows) -> None:
    made = sample.hit() + sample.hit(message=2)
    store.add(made)
    store.roll_up()
    certain = replace(SCANNER, certain=True)
    store.relabel([LabelledHit(hit_of(made[0]), certain)], AT)
    store.roll_up()
    for figures in (store.counts(Query()), store.totals(Query())):
        assert (figures["click"].counted, figures["click"].people, figures["click"].people_messages) == (
            *(2, 1, 1),
        )


def test_history_goes_with_its_event(store: EventStore, sample: SampleRows) -> None:
    made = sample.hit()
    store.add(made)
    store.relabel([LabelledHit(hit_of(made[0]), SCANNER)], AT)
    store.erase("ida@example.net")
    assert store.past_labels(made[0].event_id) == ()


def test_of_a_message_with_many_hits_the_newest_are_told_and_its_first_delivery(
    store: EventStore, sample: SampleRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cassandra reads messages together, their oldest rows first, and a long one once more by itself."""
    monkeypatch.setattr(labels, "_ROWS_OF_A_MESSAGE", 3)
    long = [row for at in range(5) for row in sample.hit(at=at)]
    short = [row for at in range(2) for row in sample.hit(at=at, message=2)]
    store.add([*long, *short, *delivery(9), *delivery(11), *delivery(1, 2)])
    one, two, none = (number.to_bytes(16, "big") for number in (1, 2, 3))
    found = store.hits_of([one, two, none])
    assert found[two] == tuple(labelled(row) for row in short)
    assert found[one][-1] == labelled(long[-1])
    assert none not in found
    assert store.deliveries([one, two, none]) == {one: AT + 9, two: AT + 1}
