"""How quickly Cassandra answers each question that is offered, among a million events.

    python -m bench.store_cassandra_reads [--events 1000000] [--days 30] [--port P] [--pairs]

Fills a keyspace on a node of its own, as the tests start one (no optimising compiler there), or on the one
at --port, day by day from the newest; one that is there is used again. Then each question is asked
several times, each time about another value, newest 100 first. Only the tables that these questions read are
filled.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.store_cassandra import LIFE, client_of
from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, relabelled, rows
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from engagement.stores.cassandra import connection as driver
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.schema import migrate
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import Query, StoreError, UnsupportedQueryError

DAY = 86_400_000
END = 1_793_059_200_000  # midnight
CAMPAIGNS, DOMAINS = 600, 5_000  # campaigns: in 30 days
EVENTS_A_MESSAGE = 3.3
LINKS = 12
UNFILLED = frozenset(("tally",))  # figures are not read here
IDS = EventIds(b"8 chance")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
LABELS = [
    (Classification(ReaderClass.HUMAN, "user-agent", "1"), 60),
    (Classification(ReaderClass.PROXY, "image-proxy", "1"), 22),
    (Classification(ReaderClass.PREFETCH, "bare-user-agent", "1"), 8),
    (Classification(ReaderClass.SCANNER, "user-agent", "1"), 6),
    (Classification(ReaderClass.SCANNER, "burst", "1", certain=False), 4),
]
BOUNCE_CLASSES = (10, 10, 10, 20, 30, 40, 50, 51, 70, 90)


class Mail:
    """One message and what becomes of it, as (time, what)."""

    def __init__(self, number: int, chance: random.Random, persons: int, days: int) -> None:
        self.number = number
        self.message = (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big") + number.to_bytes(
            8, "big"
        )
        person = chance.randrange(persons)
        self.domain = f"d{min(DOMAINS - 1, int(DOMAINS ** random.Random(person).random()) - 1)}.example.net"
        self.recipient = f"reader{person}@{self.domain}"
        self.campaign = "" if chance.random() < 0.3 else f"campaign-{chance.randrange(CAMPAIGNS)}"
        begins = END - days * DAY
        if self.campaign:  # sent within an hour of its day
            own = random.Random(self.campaign)
            begins += own.randrange(days * DAY) + chance.randrange(3_600_000)
        else:
            begins += chance.randrange(days * DAY)
        self.at = min(begins, END - 1)
        self.events = [(self.at, "injection")]
        self._outcomes(chance)

    def _outcomes(self, chance: random.Random) -> None:
        def add(share: float, kind: str, after: float) -> None:
            if chance.random() < share:
                moment = self.at + int(chance.expovariate(1 / after))
                if moment < END:
                    self.events.append((moment, kind))

        add(0.97, "delivery", 4_000)
        add(0.03, "bounce", 60_000)
        add(0.05, "delay", 300_000)
        for _ in range(3):
            add(0.3, "open", DAY / 2)
        add(0.15, "initial_open", DAY / 2)
        add(0.15, "click", DAY / 2)
        add(0.01, "unsubscribe", DAY)
        add(0.002, "spam_complaint", DAY)

    def rows(self, moment: int, kind: str, chance: random.Random) -> list[EventRow]:
        """The rows of one event."""
        injection = Injection(
            IDS.next(self.at), self.at, self.message, self.number, self.recipient, "b@example.org",
            f"news@brand{self.number % 7}.example.org", f"Offers {self.campaign}", self.campaign,
            ("letter", f"tag{self.number % 20}"), "", "12", False, True, True, True, False, 20480,
            f"4Q{self.number:08x}z", "", {}, message_id_header=f"<{self.number}@mx.example.org>",
            node_name="mx1.example.org", recipient_mark=7,
        )  # fmt: skip
        if kind == "injection":
            return list(rows(injection))
        if kind in ("delivery", "bounce", "delay", "spam_complaint"):
            event = MessageEvent(
                IDS.next(moment), moment, kind, "mx1.example.org", injection.queue_id, 7,
                raw_reason="250 2.0.0 Ok: queued",
                bounce_class=chance.choice(BOUNCE_CLASSES) if kind == "bounce" else 0,
            )  # fmt: skip
            return list(rows(event, injection=injection))
        kinds = {"open": Kind.OPEN, "initial_open": Kind.INITIAL_OPEN}
        tracked = kinds.get(kind, Kind.CLICK)
        place = chance.randrange(LINKS)
        link = Link(b"https://shop.example.org/%d" % place, f"link {place}", kind == "unsubscribe")
        whose = pack_identity(
            Identity(self.message, self.number, self.recipient, self.at // 1000, self.at // 1000 + 999, "",
                     self.campaign, ("letter", f"tag{self.number % 20}"), "", "12")
        )  # fmt: skip
        packed = payload(whose, pack_link(link) if tracked in CLICKS else b"", filler=False)
        hit = Hit(IDS.next(moment), tracked, moment, packed, "", "203.0.113.9", AGENT, "nb-NO", "GET",
                  "t.example.org", spoiled=False, expired=False)  # fmt: skip
        label = chance.choices([each for each, _ in LABELS], [weight for _, weight in LABELS])[0]
        return [relabelled(row, label) for row in rows(hit)]


def by_day(events: int, in_days: int) -> Iterator[list[EventRow]]:
    """The rows of each day, the newest day first."""
    chance = random.Random(1)
    messages = int(events / EVENTS_A_MESSAGE)
    mails = [Mail(number, chance, messages // 6 or 1, in_days) for number in range(1, messages + 1)]
    days: dict[int, list[tuple[int, str, Mail]]] = {}
    for mail in mails:
        for moment, kind in mail.events:
            days.setdefault(moment // DAY, []).append((moment, kind, mail))
    for day in sorted(days, reverse=True):
        yield [row for moment, kind, mail in days[day] for row in mail.rows(moment, kind, chance)]


def fill(store: CassandraStore, events: int, days: int) -> int:
    """Write the events; return how many rows of events there are."""
    driver.BATCH, driver.SMALL_BATCH = 150, 24  # type: ignore[misc] # larger than the store's own, to be quicker
    done, began = 0, time.monotonic()
    for day in by_day(events, days):
        for start in range(0, len(day), 10_000):
            portion = store._writing.portion(day[start : start + 10_000], END / 1000)  # noqa: SLF001 - the same writes
            writes = [(name, lines) for name, lines in portion.rows.writes() if name not in UNFILLED]
            while True:
                try:
                    store.connection.write_batches(writes)
                    break
                except StoreError:  # a busy machine: again, as the shipper would
                    time.sleep(1)
            store._writing.remembered.add(portion.remembered)  # noqa: SLF001 - as `add` does
        done += len(day)
        print(f"{done} rows of events, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return done


Ask = Callable[[random.Random], Query]


def some(chance: random.Random) -> str:
    return f"campaign-{chance.randrange(CAMPAIGNS)}"


def large(chance: random.Random) -> str:
    return f"d{chance.randrange(3)}.example.net"


def rare(chance: random.Random) -> str:
    return f"d{chance.randrange(500, DOMAINS)}.example.net"


def rare_in_a_day(chance: random.Random) -> Query:
    to = END - chance.randrange(3) * DAY
    return Query(limit=100, domains=(rare(chance),), from_ms=to - DAY, to_ms=to)


QUESTIONS: dict[str, Ask] = {
    "latest": lambda c: Query(limit=100),
    "a span of an hour": lambda c: Query(limit=100, to_ms=END - c.randrange(3 * DAY)),
    "common type": lambda c: Query(limit=100, types=(c.choice(("open", "click", "delivery")),)),
    "several types": lambda c: Query(limit=100, types=("open", "click", "initial_open")),
    "rare type": lambda c: Query(limit=100, types=(c.choice(("bounce", "delay", "link_unsubscribe")),)),
    "rarest type": lambda c: Query(limit=100, types=("spam_complaint",)),
    "class": lambda c: Query(limit=100, classes=(c.choice(("human", "scanner", "prefetch")),)),
    "type and class": lambda c: Query(limit=100, types=("click",), classes=("scanner",)),
    "campaign": lambda c: Query(limit=100, campaigns=(some(c),)),
    "campaign and common type": lambda c: Query(limit=100, campaigns=(some(c),), types=("click",)),
    "campaign and rare type": lambda c: Query(limit=100, campaigns=(some(c),), types=("bounce",)),
    "campaign and class": lambda c: Query(limit=100, campaigns=(some(c),), classes=("scanner",)),
    "campaign and domain": lambda c: Query(limit=100, campaigns=(some(c),), domains=(large(c),)),
    "campaign and tag": lambda c: Query(limit=100, campaigns=(some(c),), tags=(f"tag{c.randrange(20)}",)),
    "large domain": lambda c: Query(limit=100, domains=(large(c),)),
    "rare domain in a day": rare_in_a_day,
    "rare domain": lambda c: Query(limit=100, domains=(rare(c),)),
    "domain and rare type": lambda c: Query(limit=100, domains=(large(c),), types=("bounce",)),
    "bounce class": lambda c: Query(limit=100, types=("bounce",), bounce_classes=(c.choice((20, 50, 90)),)),
    "sending domain": lambda c: Query(limit=100, sending_domains=(f"brand{c.randrange(7)}.example.org",)),
    "tag": lambda c: Query(limit=100, tags=(f"tag{c.randrange(20)}",)),
    "tag and rare type": lambda c: Query(limit=100, tags=(f"tag{c.randrange(20)}",), types=("bounce",)),
    "recipient": lambda c: Query(limit=100, recipients=(one_of(c).recipient,)),
    "message": lambda c: Query(limit=100, messages=(one_of(c).message.hex(),)),
    "transmission": lambda c: Query(limit=100, transmissions=(str(one_of(c).number),)),
    "queue id": lambda c: Query(limit=100, queue_ids=(f"4Q{one_of(c).number:08x}z",)),
    "Message-ID": lambda c: Query(limit=100, message_id_headers=(f"<{one_of(c).number}@mx.example.org>",)),
}
# Each filter that pages and the API offer, by itself; `--pairs` asks for all pairs of them.
FILTERS: dict[str, Ask] = {
    "time": lambda c: Query(to_ms=END - c.randrange(3 * DAY)),
    "type": lambda c: Query(types=(c.choice(("open", "click", "delivery")),)),
    "several types": lambda c: Query(types=("open", "click", "initial_open")),
    "rare type": lambda c: Query(types=(c.choice(("bounce", "delay", "spam_complaint")),)),
    "class": lambda c: Query(classes=(c.choice(("human", "scanner", "prefetch")),)),
    "campaign": lambda c: Query(campaigns=(one_of(c).campaign or some(c),)),
    "domain": lambda c: Query(domains=(one_of(c).domain,)),
    "sending domain": lambda c: Query(sending_domains=(f"brand{c.randrange(7)}.example.org",)),
    "tag": lambda c: Query(tags=(f"tag{c.randrange(20)}",)),
    "link": lambda _c: Query(ordinals=(-1,)),
    "bounce class": lambda c: Query(bounce_classes=(c.choice((20, 50, 90)),)),
    "recipient": lambda c: Query(recipients=(one_of(c).recipient,)),
    "message": lambda c: Query(messages=(one_of(c).message.hex(),)),
    "transmission": lambda c: Query(transmissions=(str(one_of(c).number),)),
    "queue id": lambda c: Query(queue_ids=(f"4Q{one_of(c).number:08x}z",)),
    "Message-ID": lambda c: Query(message_id_headers=(f"<{one_of(c).number}@mx.example.org>",)),
}
_MAILS: list[Mail] = []


def pair(one: Ask, other: Ask) -> Ask:
    """The question with two filters, newest 100."""

    def both(chance: random.Random) -> Query:
        state = chance.getstate()
        first = one(chance)
        chance.setstate(state)  # about the same mail, so that something is found
        return replace(first, limit=100, **{k: v for k, v in _set(other(chance)).items()})

    return both


def _set(query: Query) -> dict[str, Any]:
    """The fields of a query that are not at their defaults."""
    return {
        each.name: value for each in fields(query) if (value := getattr(query, each.name)) != each.default
    }


def questions(*, pairs: bool) -> dict[str, Ask]:
    """What is asked, by name."""
    if not pairs:
        return QUESTIONS
    found = {name: pair(one, one) for name, one in FILTERS.items()}
    for (name, one), (other_name, other) in combinations(FILTERS.items(), 2):
        found[f"{name} + {other_name}"] = pair(one, other)
    return found


def one_of(chance: random.Random) -> Mail:
    return chance.choice(_MAILS)


def seconds_of(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(store: CassandraStore, turns: int, pid: int, *, pairs: bool) -> None:
    """Print milliseconds by the clock, and of the processor: here and in the node."""
    print(f"{'newest 100 by':34} {'rows':>5} {'first':>7} {'median':>7} {'worst':>7} {'here':>6} {'node':>6}")
    for name, question in questions(pairs=pairs).items():
        chance = random.Random(name)
        taken, found = [], 0
        here, there = time.process_time(), seconds_of(pid)
        for _ in range(turns):
            query = question(chance)
            began = time.perf_counter()
            try:
                found += len(list(store.find(query)))
            except UnsupportedQueryError:
                break
            taken.append((time.perf_counter() - began) * 1000)
        if len(taken) < turns:
            print(f"{name:34} not offered", flush=True)
            continue
        here, there = time.process_time() - here, seconds_of(pid) - there
        rest = taken[1:]
        print(
            f"{name:34} {found // turns:5} {taken[0]:7.0f} {statistics.median(rest):7.0f} {max(rest):7.0f}"
            f" {here / turns * 1000:6.0f} {there / turns * 1000:6.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--node", type=int, default=0, help="process id of the node at --port")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument("--pairs", action="store_true", help="each filter alone, and all pairs of them")
    given = parser.parse_args()
    node = None
    if not given.port:
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from cassandra_site import Node

        node = Node("reads")
        node.start()
    try:
        client = client_of(given.port or node.port, f"reads_{given.events}_{given.days}", shards=1)  # type: ignore[union-attr] # one of them is there
        connection = Connection(client, {})
        migrate(connection, LIFE, lambda _: None)
        connection.close()
        store = CassandraStore(client, life=LIFE, now=lambda: END / 1000)
        if not list(store.find(Query(limit=1))):
            fill(store, given.events, given.days)
        chance, messages = random.Random(1), int(given.events / EVENTS_A_MESSAGE)
        _MAILS.extend(
            Mail(number, chance, messages // 6 or 1, given.days) for number in range(1, min(messages, 20_000))
        )
        if not given.fill_only:
            ask(store, given.turns, given.node, pairs=given.pairs)
        store.close()
    finally:
        if node:
            node.stop()


if __name__ == "__main__":
    main()
