"""What an erasure leaves in Cassandra's tables: nothing that leads to the recipient, and the figures."""

import time

from contract.figure_story import Message, at
from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import MessageName
from engagement.links.model import Kind
from engagement.stores.cassandra.figures.day_facts import ERASED
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import FigureQuery, LabelledHit, Query

LEADING = (
    "event_by_message",
    "injection_by_message",
    "event_by_hour",
    "event_by_day",
    "lookup",
    "past_label",
)


def test_no_table_leads_to_an_erased_recipient(cassandra_store: CassandraStore) -> None:
    store = cassandra_store
    keyspace = store.connection.stanza.keyspace
    ida, bo = Message(1, "ida@a.example", "spring"), Message(2, "bo@b.example", "spring")
    for message in (ida, bo):
        store.add(message.comes_in(at(1)))
        store.add(message.becomes("bounce", at(1, 1), bounce_class=10))
        store.add(message.hit(Kind.CLICK, at(2)))
    scanner = Classification(ReaderClass.SCANNER, "burst", "2")
    assert store.relabel([LabelledHit(each.hit, scanner) for each in store.hits(at(0), at(9))], at(3)) == 2
    store.roll_up()
    before = store.figures(FigureQuery(by="campaign"))
    queue_id = MessageName("queue_id", "", "q1")
    assert store.injections([queue_id])
    assert store.erase("IDA@a.example") == 3
    left = {
        table: {bytes(key) for (key,) in store.connection.say(f"SELECT message FROM {keyspace}.{table}")}
        for table in (*LEADING, "message_by_recipient", "tally", "seen")
    }
    mine, other = (message.injection.message_id for message in (ida, bo))
    assert {table for table, keys in left.items() if mine in keys} == {"seen"}
    assert {table for table, keys in left.items() if other not in keys} == set()
    assert len([key for key in left["tally"] if key.startswith(ERASED)]) == 1
    assert store.injections([queue_id]) == {}
    store.roll_up()
    assert store.figures(FigureQuery(by="campaign")) == before
    assert store.recount(at(0) // 86_400_000) == 0


def test_what_happens_after_an_erasure_elsewhere_is_found_by_its_recipient(
    cassandra_store: CassandraStore,
) -> None:
    """A shipper remembers which rows lead to a message; another program's erasure has removed them."""
    shipper, ida = cassandra_store, Message(1, "ida@a.example", "spring")
    shipper.add(ida.comes_in(at(1)))
    shipper.add(ida.hit(Kind.CLICK, at(2)))
    other = CassandraStore(shipper.connection.stanza)
    now = time.time_ns() // 1_000_000
    for number in range(1, 3):
        assert other.erase("ida@a.example") == (2 if number == 1 else 1)
        shipper.add(ida.hit(Kind.CLICK, now + number * 60_000))
        query = Query(recipients=("ida@a.example",), types=("click",))
        assert [event["type"] for event in other.find(query)] == ["click"]
    other.close()


def test_figures_whose_events_have_ended_are_not_counted_again(cassandra_store: CassandraStore) -> None:
    """As those of days from before `retention` was made longer."""
    store, day = cassandra_store, at(0) // 86_400_000
    store.add(Message(1, "ida@a.example", "spring").hit(Kind.CLICK, at(2)))
    store.roll_up()
    before = store.figures(FigureQuery(by="campaign"))
    assert store.is_whole(day)
    store.connection.say(f"TRUNCATE {store.connection.stanza.keyspace}.tally")
    assert store.recount(day) == 0
    assert not store.is_whole(day)
    assert store.figures(FigureQuery(by="campaign")) == before != ()
