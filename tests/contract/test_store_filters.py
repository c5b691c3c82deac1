"""Events by what they are filtered by, alone and in pairs: what every engine must find."""

from itertools import product
from typing import Any

import pytest

from contract.store_samples import AT, SampleRows
from engagement.events.classify import Classification, ReaderClass
from engagement.events.model import Injection, MessageEvent
from engagement.events.rows import EventRow, relabelled, rows
from engagement.links.model import Kind
from engagement.stores.port import EventStore, Query

SCANNER = Classification(ReaderClass.SCANNER, "burst", "1")
PERHAPS = Classification(ReaderClass.SCANNER, "burst", "1", certain=False)
HOUR = 3_600_000
DAY = 24 * HOUR


def injection(number: int, at: int) -> Injection:
    return Injection(
        f"00000000-0000-7000-8000-{number:012x}", AT + at, number.to_bytes(16, "big"), 70 + number,
        f"r{number}@{'ab'[number % 2]}.example", "b@example.org", f"news@shop{number}.example", "Autumn",
        ("autumn", "spring")[number % 2], ("letter", f"t{number}"), "", "12",
        False, True, True, False, False, 9, f"Q{number}", "", {},
        message_id_header=f"<{number}@example.org>", node_name="mx",
    )  # fmt: skip


def outcome(number: int, at: int, kind: str, bounce_class: int, of: Injection) -> list[EventRow]:
    name = f"00000000-0000-7000-9000-{number:012x}"
    event = MessageEvent(name, AT + at, kind, "mx", of.queue_id, 7, bounce_class=bounce_class)
    return list(rows(event, injection=of))


@pytest.fixture
def added(store: EventStore, sample: SampleRows) -> list[EventRow]:
    """Two injections (0, 1), what became of them (2 to 5), and hits (6 to 10)."""
    one, two = injection(1, 0), injection(2, DAY)

    def hit(of: Injection, at: int, label: Classification | None, kind: Kind = Kind.CLICK) -> EventRow:
        (row,) = sample.hit(
            kind, at, message=of.message_id[-1], recipient=of.recipient, campaign=of.campaign,
            transmission=of.transmission_id, tags=of.tags, customer="12",
        )  # fmt: skip
        return relabelled(row, label) if label else row

    made = [
        *rows(one),
        *rows(two),
        *outcome(1, 1000, "delivery", 0, one),
        *outcome(2, DAY + 1000, "bounce", 10, two),
        *outcome(3, DAY + 2000, "out_of_band", 50, two),
        *outcome(4, 3 * DAY, "delay", 0, one),
        hit(one, HOUR, None),
        hit(one, 2 * HOUR, SCANNER),
        hit(one, 3 * HOUR, PERHAPS, Kind.OPEN),
        hit(two, 5 * DAY, None, Kind.OPEN),
        hit(two, 5 * DAY + 1, SCANNER),
    ]
    store.add(made)
    return made


FILTERS: dict[str, tuple[dict[str, Any], set[int]]] = {
    "a class, certain or not": ({"classes": ("scanner",)}, {7, 8, 10}),
    "two classes": ({"classes": ("scanner", "human")}, {6, 7, 8, 9, 10}),
    "a class and a type": ({"classes": ("scanner",), "types": ("open",)}, {8}),
    "a class and a campaign": ({"classes": ("scanner",), "campaigns": ("spring",)}, {7, 8}),
    "a domain": ({"domains": ("a.example",)}, {1, 3, 4, 9, 10}),
    "two domains": ({"domains": ("a.example", "b.example")}, set(range(11))),
    "a domain and a type": ({"domains": ("b.example",), "types": ("delay",)}, {5}),
    "a domain and a campaign": ({"domains": ("a.example",), "campaigns": ("spring",)}, set()),
    "a domain and a class": ({"domains": ("a.example",), "classes": ("scanner",)}, {10}),
    "a domain, a class and a type": (
        {"domains": ("b.example",), "classes": ("scanner",), "types": ("open",)},
        {8},
    ),
    "a domain and a tag": ({"domains": ("b.example",), "tags": ("t1",)}, {0, 2, 5, 6, 7, 8}),
    "a domain and one of the rarest types": ({"domains": ("a.example",), "types": ("out_of_band",)}, {4}),
    "a domain and a sending domain": (
        {"domains": ("a.example",), "sending_domains": ("shop2.example",)},
        {1, 3, 4, 9, 10},
    ),
    "a domain and a bounce class": ({"domains": ("a.example",), "bounce_classes": (10,)}, {3}),
    "a domain in a span": ({"domains": ("b.example",), "from_ms": AT + 2 * HOUR}, {5, 7, 8}),
    "a class and a tag": ({"classes": ("scanner",), "tags": ("t2",)}, {10}),
    "two classes and a tag": ({"classes": ("scanner", "human"), "tags": ("t2",)}, {9, 10}),
    "a sending domain": ({"sending_domains": ("shop2.example",)}, {1, 3, 4, 9, 10}),
    "a sending domain and a type": ({"sending_domains": ("shop1.example",), "types": ("click",)}, {6, 7}),
    "a bounce class": ({"bounce_classes": (10,)}, {3}),
    "two bounce classes": ({"bounce_classes": (10, 50)}, {3, 4}),
    "a class of what has none": ({"classes": ("human",), "types": ("delivery", "injection")}, set()),
    "a bounce class of what has none": ({"bounce_classes": (10,), "types": ("click", "delivery")}, set()),
    "a class and a bounce class": ({"classes": ("human",), "bounce_classes": (10,)}, set()),
    "a bounce class, and a type that has one": (
        {"bounce_classes": (50,), "types": ("open", "out_of_band")},
        {4},
    ),
    "a queue id": ({"queue_ids": ("Q1",)}, {0, 2, 5, 6, 7, 8}),
    "a queue id and a class": ({"queue_ids": ("Q1",), "classes": ("human",)}, {6}),
    "a Message-ID": ({"message_id_headers": ("<2@example.org>",)}, {1, 3, 4, 9, 10}),
    "a Message-ID in another case": ({"message_id_headers": ("<2@EXAMPLE.org>",)}, set()),
    "a Message-ID and a queue id": (
        {"message_id_headers": ("<2@example.org>",), "queue_ids": ("Q1",)},
        set(),
    ),
    "a transmission": ({"transmissions": ("71",)}, {0, 2, 5, 6, 7, 8}),
    "a transmission and a type": ({"transmissions": ("71", "72"), "types": ("open",)}, {8, 9}),
    "a rare type": ({"types": ("bounce",)}, {3}),
    "rare types": ({"types": ("bounce", "delay", "out_of_band")}, {3, 4, 5}),
    "a rare type and a common one": ({"types": ("delay", "click")}, {5, 6, 7, 10}),
    "a rare type and a campaign": ({"types": ("delay", "bounce"), "campaigns": ("autumn",)}, {3}),
    "a rare type in a span": ({"types": ("delay",), "from_ms": AT, "to_ms": AT + 3 * DAY}, set()),
    "a campaign": ({"campaigns": ("spring",)}, {0, 2, 5, 6, 7, 8}),
    "a campaign in a span": ({"campaigns": ("spring",), "from_ms": AT + 2 * HOUR}, {5, 7, 8}),
    "a tag": ({"tags": ("t2",)}, {1, 3, 4, 9, 10}),
    "a tag and a type": ({"tags": ("letter",), "types": ("open",)}, {8, 9}),
    "a link of no known place": ({"ordinals": (3,)}, set()),
    "everything at once": (
        {
            "types": ("click",),
            "campaigns": ("autumn",),
            "domains": ("a.example",),
            "classes": ("scanner",),
            "sending_domains": ("shop2.example",),
            "tags": ("letter",),
            "from_ms": AT + DAY,
        },
        {10},
    ),
}


def test_a_filter_finds_what_it_asks_for_and_counts_it(store: EventStore, added: list[EventRow]) -> None:
    """All of them in one store, as filling it takes longer than asking."""
    wrong = {}
    for case, (query, places) in FILTERS.items():
        expected = sorted(
            (added[place] for place in places), key=lambda row: (row.at_ms, row.event_id), reverse=True
        )
        found = [event["event_id"] for event in store.find(Query(**query))]
        counted = sum(count.recorded for count in store.counts(Query(**query)).values())
        numbers = store.number(Query(**query), 100), store.number(Query(**query), 2)
        right = counted == numbers[0] == len(places) and numbers[1] == min(2, len(places))
        if found != [row.event_id for row in expected] or not right:
            wrong[case] = found, counted, numbers
    assert wrong == {}


def test_names_are_all_that_events_have(store: EventStore, added: list[EventRow]) -> None:
    """An engine that cannot tell says so; what it tells is whole."""
    assert set(store.names("campaign", "", 10) or ()) == {"autumn", "spring"}
    assert store.names("campaign", "", 1) is None
    assert store.names("campaign", "other", 10) == ()
    assert set(store.names("domain", "", 10) or ("a.example", "b.example")) == {"a.example", "b.example"}
    senders = ("shop1.example", "shop2.example")
    assert set(store.names("sending_domain", "", 10) or senders) == set(senders)


@pytest.mark.parametrize(
    "query", [{"campaigns": ("spring",)}, {"types": ("click", "open")}, {"tags": ("letter",)}]
)
def test_pages_of_a_filter_follow_each_other(
    store: EventStore, added: list[EventRow], query: dict[str, Any]
) -> None:
    every = [event["event_id"] for event in store.find(Query(**query))]
    paged: list[str] = []
    cursor = ""
    while page := list(store.find(Query(limit=2, cursor=cursor, **query))):
        paged += [event["event_id"] for event in page]
        cursor = f"{page[-1]['timestamp']}/{page[-1]['event_id']}"
        assert store.number(Query(cursor=cursor, **query), 100) == len(every) - len(paged)
    assert paged == every
    assert every


def test_hits_of_a_sending_domain_are_found_page_by_page_whatever_is_known_of_their_messages(
    store: EventStore, sample: SampleRows
) -> None:
    """Of two in three; some messages have no injection, some were sent again by somebody else."""
    made: list[EventRow] = []
    senders: dict[str, str] = {}
    for number in range(90):
        at = (number * 37 % 90) * HOUR // 4
        if number % 9:
            first = injection(number + 1, at)._replace(friendly_from=f"news@shop{number % 3}.example")
            made += rows(first)
            senders[first.id] = f"shop{number % 3}.example"
        sender = f"shop{number % 3}.example" if number % 9 else ""
        if number % 10 == 5:
            again = injection(number + 501, at + 1000)._replace(
                message_id=(number + 1).to_bytes(16, "big"),
                friendly_from="news@shop0.example",
            )
            made += rows(again)
            senders[again.id] = sender = "shop0.example"
        for each in range(number % 4):
            kind = (Kind.CLICK, Kind.OPEN, Kind.INITIAL_OPEN)[each]
            hits = sample.hit(kind, at + each * 5 * HOUR + 2000, message=number + 1, recipient="r@b.example")
            made += [relabelled(row, PERHAPS) if each == 1 else row for row in hits]
            senders |= {row.event_id: sender for row in hits}
    store.add(made)
    made.sort(key=lambda row: (row.at_ms, row.event_id), reverse=True)
    queries: list[dict[str, Any]] = [{}, {"types": ("click", "open", "initial_open", "delay", "bounce")}]
    queries += [{"classes": ("human",)}, {"classes": ("human", "scanner")}, {"classes": ("scanner", "proxy")}]
    for query, names in product(queries, (("shop0.example",), ("shop1.example", "shop2.example"), ("x",))):
        expected = [
            row.event_id
            for row in made
            if senders[row.event_id] in names
            and row.type in query.get("types", (row.type,))
            and row.client in query.get("classes", (row.client,))
        ]
        for limit in (1000, 17):
            found: list[str] = []
            cursor = ""
            while page := list(store.find(Query(limit=limit, cursor=cursor, sending_domains=names, **query))):
                found += [str(event["event_id"]) for event in page]
                cursor = f"{page[-1]['timestamp']}/{page[-1]['event_id']}"
            assert found == expected, (query, names, limit)
        assert store.number(Query(sending_domains=names, **query), 1000) == len(expected)


def test_a_message_is_found_by_each_address_that_an_event_of_it_names(
    store: EventStore, sample: SampleRows
) -> None:
    """As where an alias is known to one program and not to the other."""
    first, second = sample.hit(recipient="ida@a.example"), sample.hit(at=60_000, recipient="bob@b.example")
    third = sample.hit(at=120_000, recipient="ida@a.example", transmission=8)
    store.add([*first, *second])
    store.add(third)
    expected = {
        "ida@a.example": [*third, *first],
        "bob@b.example": second,
    }
    for recipient, places in expected.items():
        found = [event["event_id"] for event in store.find(Query(recipients=(recipient,)))]
        assert found == [row.event_id for row in places], recipient
    found = [event["event_id"] for event in store.find(Query(transmissions=("8",)))]
    assert third[0].event_id in found
