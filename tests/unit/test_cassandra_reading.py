"""What the Cassandra store asks its nodes for, told by a stand-in for them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from engagement.stores.cassandra.by_time import ByTime
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.labels import Labels
from engagement.stores.cassandra.queries import Lifetimes
from engagement.stores.cassandra.rows.filters import condition, selects_here
from engagement.stores.cassandra.rows.senders import Likelihoods, Senders
from engagement.stores.cassandra.rows.stored import SlimEvent
from engagement.stores.port import Query


class Node:
    """Stands in for `Reader`: notes what is asked, and knows two senders' messages by turns."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, int]] = []

    def indexed_from(self) -> int:
        return 0

    def matching_sets(self, _query: Query) -> frozenset[bytes]:
        return frozenset()

    def read_several(self, statements: list[tuple[str, tuple[Any, ...]]]) -> list[list[tuple[Any, ...]]]:
        if not statements:
            return []
        several = [keys for _, (keys, *_) in statements]
        self.queries.append(("lent", sum(map(len, several))))
        assert {name for name, _ in statements} == {"lent"}, "whole messages are read for what is shown alone"
        return [
            [
                (key, 0, UUID(int=0), f'{{"sending_domain": "{("one", "two")[key[-1] % 2]}.example"}}')
                for key in keys
            ]
            for keys in several
        ]


def slim(number: int) -> SlimEvent:
    name = UUID(int=number)
    return SlimEvent(
        *(number, name, number.to_bytes(16, "big"), "open", "human", b"", "", 0, False, b"", 1, "", ""),
        ordinal=-1,
        bounce_class=0,
    )


@pytest.mark.parametrize(
    "query",
    [
        Query(types=("delivery",), classes=("human",)),
        Query(types=("click",), bounce_classes=(10,)),
        Query(classes=("human",), bounce_classes=(10, 20)),
    ],
)
def test_what_nothing_can_match_is_not_searched_for(query: Query) -> None:
    node = Node()
    assert list(ByTime(node).newest_first(query, None, 100)) == []  # type: ignore[arg-type] # a stand-in
    assert node.queries == []


def test_hits_of_a_sending_domain_are_found_by_what_is_lent_and_shown_alone_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not message by message in whole, of which most are of somebody else."""
    node, shown = Node(), list[int]()
    finder = Finder(node, Lifetimes(), lambda: 0.0)  # type: ignore[arg-type] # a stand-in
    slims = [slim(number) for number in range(1, 1001)]
    monkeypatch.setattr(finder.times, "in_rounds", lambda *_: iter(slims))

    def show(found: list[SlimEvent], known: dict[bytes, str]) -> list[dict[str, Any]]:
        assert {slim.message for slim in found} <= known.keys(), "what is known already is not read again"
        shown.extend(slim.at_ms for slim in found)
        return [{"sending_domain": "one.example", "event_id": str(slim.event_id)} for slim in found]

    monkeypatch.setattr(finder, "page", show)
    found = list(finder.find(Query(types=("open",), sending_domains=("one.example",), limit=100)))
    assert len(found) == 100
    assert shown == list(range(2, 202, 2))
    assert [name for name, _ in node.queries] == ["lent", "lent"]
    assert 200 <= sum(number for _, number in node.queries) <= 250


def state(senders: Senders) -> tuple[bool, bool]:
    """Whether those that wait are many, and suffice."""
    return senders.are_many, senders.suffice


def test_messages_of_hits_are_read_with_further_hours_until_those_that_wait_suffice() -> None:
    """The messages of the first hour tell how many more are needed: then none are read too many."""
    senders = Senders(("one.example",), 100)
    for number in range(80):
        senders.note(slim(number), repeat=False)
    assert state(senders) == (False, False), "they are read with the next hours"
    texts = {False: '{"sending_domain": "one.example"}', True: '{"sending_domain": "two.example"}'}
    senders.add({name: texts[bool(name[-1] % 5)] for name in senders.unread})
    assert [found.at_ms for found, _ in senders.passed()] == list(range(0, 80, 5))
    assert 0.2 <= senders.likelihood < 0.21
    for number in range(80, 80 + 400):
        senders.note(slim(number), repeat=False)
        assert state(senders) == (False, False), "at last 80 of 84 on average"
    for number in range(480, 540):
        senders.note(slim(number), repeat=False)
    assert state(senders) == (True, True)


def test_how_likely_a_hit_is_of_a_sending_domain_is_remembered_by_tenant() -> None:
    likelihoods, query = Likelihoods(), Query(sending_domains=("one.example",), tenant="shop")
    assert likelihoods.senders(Query(), 100) is None
    looked_up = []
    for likelihood in (1.0, 0.2, 1.0):
        senders = likelihoods.senders(query, 100)
        assert senders is not None
        assert senders.learned is None
        while not senders.are_many:
            senders.note(slim(len(senders.unread)), repeat=False)
        looked_up.append(len(senders.unread))
        matching = round(likelihood * looked_up[-1])
        names = ["one"] * matching + ["two"] * (looked_up[-1] - matching)
        texts = [f'{{"sending_domain": "{name}.example"}}' for name in names]
        senders.add(dict(zip(senders.unread, texts, strict=True)))
        assert len(list(senders.passed())) == matching
        likelihoods.learn(query, senders)
    assert looked_up[0] == 100
    assert 100 < looked_up[1] < 110
    assert 350 < looked_up[2] <= 500
    other = likelihoods.senders(Query(sending_domains=("one.example",)), 100)
    assert other is not None
    assert other.likelihood == 0.25


def test_a_sending_domain_without_hits_is_never_thought_impossible() -> None:
    likelihood = None
    for _ in range(5):
        senders = Senders(("one.example",), 100, likelihood)
        while not senders.are_many:
            senders.note(slim(len(senders.unread)), repeat=False)
        senders.add(dict.fromkeys(senders.unread, "{}"))
        assert not list(senders.passed())
        likelihood = senders.learned
    assert likelihood == 0.01


@pytest.mark.parametrize(
    ("classes", "ranges"),
    [
        (("human",), [("human", "human?")]),
        (("proxy", "human"), [("human", "proxy?")]),
        (("human", "unknown"), [("human", "human?"), ("unknown", "unknown?")]),
    ],
)
def test_classes_that_lie_near_each_other_are_one_range(
    classes: tuple[str, ...], ranges: list[tuple[str, str]]
) -> None:
    query = Query(classes=classes)
    assert condition(query, frozenset()) == ("client", ranges)
    assert selects_here(query, "client") == (len(classes) > 1)


class Days(Node):
    """A month of hours, of which each has nothing but what is asked for by streams: those are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.read_at_once: list[tuple[str, list[tuple[Any, ...]]]] = []

    def domains_from(self) -> int:
        return 0

    def stream_several(
        self, several: list[tuple[str, tuple[Any, ...], int]]
    ) -> list[Iterator[tuple[Any, ...]]]:
        assert {name for name, *_ in several} == {"hours"}
        return [iter([(hour, 1) for hour in reversed(range(720))]) for _ in several]

    def read_each(self, name: str, several: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
        if name == "hours":
            return [[(hour, 1) for hour in reversed(range(720))] for _ in several]
        self.queries.append((name, len(several)))
        return [[] for _ in several]

    def streams(
        self, name: str, bound: list[tuple[Any, ...]], _page: int, *_others: object
    ) -> list[Iterator[tuple[Any, ...]]]:
        self.read_at_once.append((name, bound))
        return [iter(()) for _ in bound]

    found_streams = streams


@pytest.mark.parametrize(
    ("query", "led", "name"),
    [
        (Query(domains=("rare.example",)), {("domain", "rare.example")}, "day_before"),
        (Query(domains=("rare.example",), types=("click",)), {("domain", "rare.example")}, "day_before_type"),
        (
            Query(domains=("a.example", "b.example")),
            {("domain", "a.example"), ("domain", "b.example")},
            "day_before",
        ),
        (
            Query(domains=("big.example",), types=("spam_complaint",)),
            {("type", "spam_complaint")},
            "day_before_domain",
        ),
        (Query(domains=("a.example",), campaigns=("spring",)), {("campaign", "spring")}, "day_before_domain"),
    ],
)
def test_a_domain_is_looked_for_by_its_days_and_never_hour_by_hour(
    query: Query, led: set[tuple[str, str]], name: str
) -> None:
    node = Days()
    assert list(ByTime(node).newest_first(query, None, 100)) == []  # type: ignore[arg-type] # a stand-in
    looked_up = [one for _, several in node.read_at_once for one in several]
    assert {called for called, _ in node.read_at_once} == {name}
    assert {(what, value) for _, what, value, *_ in looked_up} == led
    assert len(looked_up) == 30 * len(led)
    assert len(node.read_at_once) == 3, "1, 8 and 21 days: where nothing is found ever more are read at once"


def test_hits_of_a_month_are_read_in_a_few_turns_and_no_message_by_itself() -> None:
    """As what a change of a rule would do is told on a page, which asked each hour by itself."""
    node = Days()
    labels = Labels(node, Finder(node, Lifetimes(), lambda: 0.0), 0)  # type: ignore[arg-type] # a stand-in
    assert labels.hits(0, 720 * 3_600_000, "", 200) == ()
    assert sum(len(several) for _, several in node.read_at_once) == 720
    assert len(node.read_at_once) < 20
    messages = [number.to_bytes(16, "big") for number in range(200)]
    assert not labels.hits_of(messages)
    assert not labels.deliveries(messages)
    assert sum(number for _, number in node.queries) == 16
