"""Which tags a customer uses, and events by their tags: what every engine must do (contract.md 3.2)."""

from typing import Any

import pytest

from contract.store_samples import SampleRows
from engagement.stores.customer_tags import TAGS
from engagement.stores.port import EventStore, Query

DAY = 86_400_000


def found(store: EventStore, **query: Any) -> set[str]:
    query_ = Query(**query)
    return {event["event_id"] for event in store.find(query_)}


def test_a_customers_tags_are_listed_once_each(store: EventStore, sample: SampleRows) -> None:
    store.add(
        [
            *sample.hit(tags=("letter", "nl"), customer="12"),
            *sample.hit(at=1, message=2, tags=("nl", "letter"), customer="12"),
            *sample.hit(at=2, message=3, tags=("autumn",), customer="12"),
            *sample.hit(at=3, message=4, tags=("other",), customer="13"),
            *sample.hit(at=4, message=5, tags=("nobody's",)),
            *sample.hit(at=5, message=6, tags=("theirs",), customer="12", tenant="b"),
            *sample.hit(at=6, message=7),
        ]
    )
    assert store.tags("12") == ("autumn", "letter", "nl")
    assert store.tags("13") == ("other",)
    assert store.tags("") == ("nobody's",)
    assert store.tags("12", "b") == ("theirs",)
    assert store.tags("14") == ()


def test_events_are_found_by_their_tags(store: EventStore, sample: SampleRows) -> None:
    letter = sample.hit(tags=("letter", "nl"), customer="12")
    autumn = sample.hit(at=1, message=2, tags=('autumn "x"', "nl"), customer="13")
    untagged = sample.hit(at=2, message=3)
    other = sample.hit(at=3, message=4, tags=("nl",), tenant="b")
    store.add([*letter, *autumn, *untagged, *other])
    assert found(store, tags=("nl",)) == {letter[0].event_id, autumn[0].event_id}
    assert found(store, tags=('autumn "x"', "none")) == {autumn[0].event_id}
    assert found(store, tags=("autumn",)) == found(store, tags=("x",)) == found(store, tags=("",)) == set()
    assert found(store, tags=("nl",), messages=(f"{1:032x}",)) == {letter[0].event_id}
    assert found(store, tags=("letter",), messages=(f"{2:032x}",)) == set()
    assert found(store, tags=("nl",), recipients=("ida@example.net",), from_ms=autumn[0].at_ms) == {
        autumn[0].event_id
    }
    assert store.counts(Query(tags=("nl",)))["click"].counted == 2
    assert found(store, tags=("nl",), tenant="b") == {other[0].event_id}


def test_beyond_the_most_a_tag_is_not_listed_and_stays_with_its_event(
    store: EventStore, sample: SampleRows
) -> None:
    """Never refused, never a reason to refuse mail."""
    rows = [sample.hit(at=n, message=n + 1, tags=(f"tag {n:03}",), customer="12") for n in range(TAGS + 5)]
    for part, listed in ((rows[:50], 50), (rows[50:], TAGS), (rows, TAGS)):  # told again, it is the same
        store.add([row for each in part for row in each])
        assert len(store.tags("12")) == listed
    assert store.tags("12") == tuple(f"tag {n:03}" for n in range(TAGS))
    assert len(found(store)) == TAGS + 5
    (event,) = store.find(Query(messages=(f"{TAGS + 1:032x}",)))
    assert event["rcpt_tags"] == [f"tag {TAGS:03}"]
    assert found(store, tags=(f"tag {TAGS:03}",)) == set()
    assert len(found(store, tags=("tag 099",))) == 1


def test_the_list_is_the_same_for_a_shipper_that_comes_later(store: EventStore, sample: SampleRows) -> None:
    store.add([row for n in range(TAGS) for row in sample.hit(at=n, message=n + 1, tags=(f"tag {n:03}",))])
    before = store.tags("")
    for name in ("_tags", "forget"):  # what it remembers; of Cassandra all it remembers
        part = getattr(store, name, None)
        if callable(part):
            part()
        elif part is not None:
            part.forget()
    store.add(sample.hit(at=5000, message=500, tags=("one more",)))
    assert store.tags("") == before


def test_a_tag_that_nobody_uses_any_more_goes_with_the_events(
    sweeping_store: EventStore, sample: SampleRows
) -> None:
    old, new = sample.hit(tags=("old",)), sample.hit(at=3 * DAY, message=2, tags=("new",))
    both = sample.hit(at=1, message=3, tags=("both",)) + sample.hit(at=3 * DAY, message=4, tags=("both",))
    sweeping_store.add([*old, *new, *both])
    assert sweeping_store.tags("") == ("both", "new", "old")
    sweeping_store.sweep(old[0].at_ms + 2 * DAY)
    assert sweeping_store.tags("") == ("both", "new")


@pytest.mark.parametrize("tag", ["æøå", 'a"b\\c', "x" * 64, "Ünïcode 🍂"])
def test_any_tag_is_kept_as_it_is(store: EventStore, sample: SampleRows, tag: str) -> None:
    (row,) = sample.hit(tags=(tag, "second"))
    store.add([row])
    assert set(store.tags("")) == {tag, "second"}
    assert found(store, tags=(tag,)) == {row.event_id}
