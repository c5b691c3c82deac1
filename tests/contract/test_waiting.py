"""Messages by their names, and events that wait for theirs: what every engine must do."""

import pytest

from contract.store_samples import AT, SampleRows
from contract.waiting_samples import event, header, injected, injection, queue
from engagement.events.model import MessageName, names_of
from engagement.events.rows import rows
from engagement.stores.port import EventStore, Query


def test_an_empty_store_knows_no_message(store: EventStore) -> None:
    assert dict(store.injections([queue("4XyZ12abcdz9s"), header("<1@example.org>")])) == {}
    assert dict(store.injections([])) == {}
    assert store.waiting([queue("4XyZ12abcdz9s")]) == ()
    assert store.waiting([]) == ()
    store.put_waiting([])
    store.drop_waiting([])
    assert store.sweep_waiting(AT) == 0


def test_a_message_is_found_by_each_of_its_names_and_whole(store: EventStore, sample: SampleRows) -> None:
    one = injection()
    store.add([*injected(one), *sample.hit()])
    for name in names_of(one):
        assert dict(store.injections([name])) == {name: (one,)}
    assert set(store.injections([*names_of(one), queue("none"), header("<2@example.org>")])) == set(
        names_of(one)
    )


@pytest.mark.parametrize(
    "name",
    [
        queue("4XyZ12abcdz9s", "mx2.example.org"),  # another host has queue ids of its own
        queue("4xYz12ABCDz9s"),  # they differ by case
        MessageName("message_id_header", "mx1.example.org", "<1@example.org>"),
        header("<1@EXAMPLE.org>"),
        MessageName("queue_id", "", "4XyZ12abcdz9s"),
    ],
)
def test_another_name_is_another_message(store: EventStore, name: MessageName) -> None:
    store.add(injected(injection()))
    assert dict(store.injections([name])) == {}


def test_messages_of_one_name_come_newest_first(store: EventStore) -> None:
    several = [injection(number, at) for number, at in ((1, 5000), (2, -90_000_000), (3, 7000), (4, 5000))]
    for one in several:
        store.add(injected(one))
    (found,) = store.injections([queue("4XyZ12abcdz9s")]).values()
    assert [one.message_id[-1] for one in found] == [3, 4, 1, 2]


def test_the_newest_injection_is_known_or_nothing_is_said(store: EventStore, sample: SampleRows) -> None:
    """Engines that would have to look for it say None; none says that there is an older one."""
    answers = []
    for number, at in ((0, 0), (1, 5000), (2, -90_000_000), (3, 7000)):
        if number:
            store.add([*injected(injection(number, at)), *sample.hit()])
        answers.append(store.newest_injection())
    assert answers in ([None] * 4, [0, AT + 5000, AT + 5000, AT + 7000])


@pytest.mark.parametrize("number", [3, 250])
def test_what_waits_is_found_among_few_and_many(store: EventStore, number: int) -> None:
    """Few are all read, many are asked for by name."""
    several = [event(each, queue_id=f"Q{each}", message_id_header="") for each in range(number)]
    store.put_waiting(several)
    names = [name for each in several[1:3] for name in names_of(each)]
    assert {each.id for each in store.waiting([*names, *map(queue, map(str, range(300)))])} == {
        each.id for each in several[1:3]
    }
    store.drop_waiting([several[1], *(event(each, queue_id=f"R{each}") for each in range(300, 600))])
    assert [each.id for each in store.waiting(names)] == [several[2].id]


def test_a_message_without_names_is_found_by_none(store: EventStore) -> None:
    store.add(injected(injection(queue_id="", message_id_header="")))
    assert dict(store.injections([queue(""), header("")])) == {}


def test_a_message_told_twice_is_one(store: EventStore) -> None:
    one = injection()
    store.add(injected(one))
    store.add(injected(one, one))
    (found,) = store.injections([queue("4XyZ12abcdz9s")]).values()
    assert found == (one,)


def test_many_names_are_asked_for_at_once(store: EventStore) -> None:
    """As many as a portion of the spool may bring."""
    store.add(injected(*(injection(number, queue_id=f"Q{number}") for number in range(1, 1501))))
    found = store.injections([queue(f"Q{number}") for number in range(1, 3001)])
    assert len(found) == 1500
    assert found[queue("Q1500")][0].message_id == (1500).to_bytes(16, "big")


def test_a_waiting_event_is_found_by_each_of_its_names_and_whole(store: EventStore) -> None:
    one, other = event(), event(2, queue_id="4XyZ12other9s", message_id_header="")
    store.put_waiting([one, other])
    assert store.waiting([queue("4XyZ12abcdz9s")]) == (one,)
    assert store.waiting([header("<1@example.org>")]) == (one,)
    assert store.waiting(names_of(one)) == (one,)
    assert set(store.waiting([*names_of(one), *names_of(other), queue("none")])) == {one, other}


def test_an_event_is_found_by_the_queue_ids_on_its_way(store: EventStore) -> None:
    one = event(earlier=(("4XyZ12first9s", 5), ("4XyZ12abcdz9s", 6), ("4XyZ12second9s", 65_535)))
    store.put_waiting([one])
    for text in ("4XyZ12first9s", "4XyZ12abcdz9s", "4XyZ12second9s"):
        assert store.waiting([queue(text)]) == (one,)
    store.drop_waiting([one])
    assert store.waiting(names_of(one)) == ()


def test_an_event_of_any_text_waits(store: EventStore) -> None:
    one = event(raw_reason="Zürich 🍂 \udcff\0'\"", remote_host="x" * 5000)
    store.put_waiting([one])
    assert store.waiting(names_of(one)) == (one,)


def test_an_event_put_again_changes_nothing(store: EventStore) -> None:
    store.put_waiting([event()])
    store.put_waiting([event(), event()])
    assert store.waiting(names_of(event())) == (event(),)


def test_an_event_that_waits_no_more_is_gone(store: EventStore) -> None:
    one, other = event(), event(2)
    store.put_waiting([one, other])
    store.drop_waiting([one])
    store.drop_waiting([one, event(3)])
    assert store.waiting(names_of(one)) == (other,)
    store.put_waiting([one])  # told again after all
    assert set(store.waiting(names_of(one))) == {one, other}


def test_a_waiting_event_is_not_shown(store: EventStore) -> None:
    store.put_waiting([event()])
    assert list(store.find(Query())) == []
    assert dict(store.counts(Query())) == {}


def test_what_waits_too_long_is_swept(sweeping_store: EventStore) -> None:
    old, new = event(), event(2, at=5000)
    sweeping_store.put_waiting([old, new])
    assert sweeping_store.sweep_waiting(AT + 1000) == 0
    assert sweeping_store.sweep_waiting(AT + 1001) == 1
    assert sweeping_store.waiting(names_of(old)) == (new,)


def test_a_message_that_is_swept_is_found_no_more(sweeping_store: EventStore) -> None:
    sweeping_store.add(injected(injection(), injection(2, at=5000)))
    sweeping_store.sweep(AT + 1000)
    (found,) = sweeping_store.injections([queue("4XyZ12abcdz9s")]).values()
    assert [one.message_id[-1] for one in found] == [2]


def test_a_message_of_an_erased_recipient_is_found_no_more(sweeping_store: EventStore) -> None:
    sweeping_store.add(injected(injection(), injection(2, recipient="other@example.net")))
    sweeping_store.erase("ida@example.net")
    (found,) = sweeping_store.injections([queue("4XyZ12abcdz9s")]).values()
    assert [one.message_id[-1] for one in found] == [2]
    assert dict(sweeping_store.injections([header("<1@example.org>")])) == {}


def test_the_row_of_an_event_shows_its_message(store: EventStore) -> None:
    one = injection()
    store.add([*injected(one), *rows(event(), injection=one)])
    (shown,) = store.find(Query(types=("bounce",)))
    assert (shown["rcpt_to"], shown["campaign_id"], shown["bounce_class"]) == (
        "ida@example.net",
        "autumn",
        "10",
    )
    assert shown["message_id"] == one.message_id.hex()
    assert store.counts(Query())["bounce"].recorded == 1
