"""The events that `bench.store` and `bench.store_cassandra` write, and the questions that they ask."""

import random
import statistics
import time
from collections.abc import Callable, Iterator

from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.rows import EventRow
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.stores.aggregate import HOUR_MS
from engagement.stores.port import EventStore, Query

START = 1_793_001_722_000
BATCH = 1000


def hits(count: int, *, first: int = 0) -> Iterator[Hit]:
    """Hits of a sender whose messages draw two or three each, one a millisecond."""
    chance, ids = random.Random(first), EventIds(b"8 chance")
    message = 0
    for number in range(first, first + count):
        if number % 3 == 0 or number == first:
            message = chance.getrandbits(127)
            person = f"reader{message % (1 << 30)}@example{message % 50}.net"
            identity = Identity(
                message.to_bytes(16, "big"), message % (1 << 63), person, START // 1000, START // 1000 + 999,
                "", f"campaign-{message % 1000}", ("letter", "nl"), '{"shop":"north"}', "12",
            )  # fmt: skip
            whose = pack_identity(identity)
        kind = (Kind.OPEN, Kind.CLICK, Kind.CLICK)[number % 3]
        target = b"https://shop.example.org/offers/%d" % (number % 40)
        link = pack_link(Link(target, "top banner")) if kind in CLICKS else b""
        at_ms = START + number
        yield Hit(
            ids.next(at_ms), kind, at_ms, payload(whose, link, filler=False), "", "203.0.113.9",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0", "nb-NO", "GET", "t.example.org",
            False, False,
        )  # fmt: skip


def batches(made: list[EventRow]) -> Iterator[list[EventRow]]:
    for start in range(0, len(made), BATCH):
        yield made[start : start + BATCH]


QUESTIONS: dict[str, Callable[[EventRow], Query]] = {
    "by message": lambda row: Query(messages=(row.message_id,)),
    "by recipient": lambda row: Query(recipients=(row.recipient,)),
    "one second": lambda row: Query(from_ms=row.at_ms - 1000, to_ms=row.at_ms, limit=100),
    "latest 100": lambda _row: Query(limit=100),
    "latest of an hour": lambda row: Query(
        from_ms=row.at_ms // HOUR_MS * HOUR_MS, to_ms=(row.at_ms // HOUR_MS + 1) * HOUR_MS, limit=100
    ),
}


def compared(stores: list[tuple[EventStore, list[EventRow]]]) -> dict[str, list[float]]:
    """Median milliseconds of each question, by store. Asked in turns, each store about rows of its own."""
    medians = {}
    for name, query in QUESTIONS.items():
        times: list[list[float]] = [[] for _ in stores]
        for turn in zip(*(sample for _, sample in stores), strict=False):
            for (store, _), row, taken in zip(stores, turn, times, strict=True):
                began = time.perf_counter()
                found = list(store.find(query(row)))
                taken.append((time.perf_counter() - began) * 1000)
                assert found or name == "one second"
        medians[name] = [statistics.median(taken) for taken in times]
    times = [[] for _ in stores]
    for _ in range(20):
        for (store, _), taken in zip(stores, times, strict=True):
            began = time.perf_counter()
            store.totals(Query())
            taken.append((time.perf_counter() - began) * 1000)
    medians["page's figures"] = [statistics.median(taken) for taken in times]
    return medians
