"""A month of mail with what became of it, as `bench.store` writes it: injections, deliveries, bounces, hits.

3.3 events a message, 600 campaigns and single mails, 5,000 recipient domains of which the first few have
most, a person gets six mails, one event in a hundred comes late. Message ids begin with time, as links of
format 2 do.
"""

import random
from bisect import bisect
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import accumulate

from engagement.events.ids import EventIds
from engagement.events.model import Event, Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, rows
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload

START = 1_790_000_000_000
DAYS = 30
_CAMPAIGNS = 600
_DOMAINS = 5_000
_WEIGHTS = tuple(accumulate(1 / (number + 3) for number in range(_DOMAINS)))
_PEOPLE = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"
_AGENTS = (
    *(_PEOPLE, _PEOPLE, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"),
    *("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", "Mozilla/5.0", "curl/8.0", "", "BarracudaCentral"),
)


class Mail:
    """Makes the events. Each carries its injection, for the rows of what became of a message."""

    def __init__(self, count: int, seed: int = 7) -> None:
        self._chance = random.Random(seed)
        self._ids = EventIds(b"8 chance")
        self._messages = max(1, int(count / 3.3))
        self._count = count

    def events(self) -> Iterator[tuple[Event, Injection | None]]:
        """Yield (event, the injection of a message event), in the order of their coming."""
        waiting: list[tuple[int, int, Event, Injection | None]] = []
        step, number, sent = DAYS * 86_400_000 / self._messages, 0, 0
        while sent < self._count:
            at_ms = START + int(number * step)
            for event, injection in self._message(number, at_ms):
                number_ = len(waiting) + sent * 10
                late = self._chance.random() < 0.01
                comes = event.at_ms + (self._chance.randrange(7_200_000) if late else 0)
                heappush(waiting, (comes, number_, event, injection))
            number += 1
            while waiting and waiting[0][0] <= at_ms and sent < self._count:
                _, _, event, injection = heappop(waiting)
                sent += 1
                yield event, injection

    def _message(self, number: int, at_ms: int) -> Iterator[tuple[Event, Injection | None]]:
        chance = self._chance
        name = (at_ms // 1000).to_bytes(4, "big") + chance.randbytes(12)
        domain = bisect(_WEIGHTS, chance.random() * _WEIGHTS[-1])
        person = f"reader{chance.randrange(self._messages // 6 + 1)}@example{domain}.net"
        campaign = "" if chance.random() < 0.3 else f"campaign-{(number * _CAMPAIGNS // self._messages)}"
        tags = ("letter", "nl") if campaign else ("single",)
        sender = f"news@sender{chance.randrange(5)}.example.org"
        injection = Injection(
            self._ids.next(at_ms - 1000), at_ms, name, chance.getrandbits(63), person, "b@example.org",
            sender, f"The letter {number % 50}", campaign, tags, '{"shop":"north"}', "12", False, True, True,
            False, False, 20_480, f"4Xy{number:x}", "", {}, "", f"<{number}@example.org>", 5, 2,
            "192.0.2.1", "mx1.example.org", 1 + number % 60_000,
        )  # fmt: skip
        yield injection, None
        fate = chance.random()
        kind, wait = ("bounce", 500) if fate < 0.02 else ("delivery", chance.randrange(300, 4000))
        if fate > 0.97:
            yield self._became("delay", at_ms + 1500, injection, 0), injection
            wait = 1_800_000
        yield self._became(kind, at_ms + wait, injection, 10 if kind == "bounce" else 0), injection
        if kind == "bounce":
            return
        identity = Identity(
            name, injection.transmission_id, person, at_ms // 1000, at_ms // 1000 + 10**7, "", campaign, tags,
            '{"shop":"north"}', "12",
        )  # fmt: skip
        whose = pack_identity(identity)
        for each in range(min(6, int(chance.expovariate(0.75)))):
            hit = (Kind.OPEN, Kind.CLICK, Kind.INITIAL_OPEN, Kind.CLICK)[each % 4]
            at = at_ms + wait + int(chance.expovariate(1 / 20_000_000))
            bye = hit is Kind.CLICK and chance.random() < 0.01
            target = b"https://shop.example.org/offers/%d" % chance.randrange(40)
            link = pack_link(Link(target, "top banner", bye)) if hit in CLICKS else b""
            yield Hit(
                self._ids.next(at), hit, at, payload(whose, link, filler=False), "", "203.0.113.9",
                chance.choice(_AGENTS), "nb-NO", "GET", "t.example.org", False, False,
            ), injection  # fmt: skip
        if chance.random() < 0.0005:
            yield self._became("spam_complaint", at_ms + 3_600_000, injection, 0), injection

    def _became(self, kind: str, at_ms: int, injection: Injection, bounce: int) -> MessageEvent:
        return MessageEvent(
            self._ids.next(at_ms), at_ms, kind, "mx1.example.org", injection.queue_id,
            injection.recipient_mark, b"", "", "250 2.0.0 OK queued", "250", "2.0.0", bounce, 1200, 0,
            "192.0.2.9", "mx.example.net", "198.51.100.7", "example.net", "esmtp",
        )  # fmt: skip

    def rows(self) -> Iterator[EventRow]:
        """Yield the rows of all events."""
        for event, injection in self.events():
            yield from rows(event, injection=injection)
