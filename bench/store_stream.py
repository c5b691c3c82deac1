"""A stream of mail without end, as the product makes it, for `bench.store`: what comes, in its order.

Ids come from the product's own functions: of messages by time of issue (`fingerprint.message_id`), of
injections from them, of outcomes from the line of the log; tokens are of format 2, hits have signals. Three
events a message: its injection, one outcome, 3 in 100 delayed and 2 bounced, then scanners within half a
minute, a service that loads pictures, and people: the first look after a median of two hours, one of ten
after 18, one of a hundred after four days; a click soon after an open. 600 campaigns a month, eight of them
being sent at once, and 3 of 10 messages in none. One event of a hundred comes up to two hours late. Messages
go out evenly, so an hour is as long as any.
"""

import math
import random
from bisect import bisect
from collections.abc import Iterator
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import accumulate

from engagement.events.ids import EventIds, reported_id
from engagement.events.model import Event, Hit, Injection, MessageEvent, recipient_mark
from engagement.events.signals import Signals
from engagement.links.model import CLICKS, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload
from smtpapi.hop.fingerprint import event_id, time_of_id

START = 1_790_000_000_000
MONTH_MS = 30 * 86_400_000
_A_MESSAGE = 3.02  # events
_CAMPAIGN_MS = MONTH_MS // 600  # from the beginning of one to that of the next
_AT_ONCE = 8
_DOMAINS = tuple(accumulate(1 / (number + 3) for number in range(5_000)))
_NODE = "mx1.example.org"
_YEAR = 31_536_000
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_SEEN = int(Signals.RECORDED | Signals.HTTP_2 | Signals.LANGUAGE)
_OPENED = _SEEN | int(Signals.MODE_OTHER | Signals.DEST_IMAGE | Signals.ACCEPT_IMAGE)
_CLICKED = _SEEN | int(Signals.MODE_NAVIGATE | Signals.DEST_DOCUMENT | Signals.USER | Signals.ACCEPT_HTML)
_BY_MACHINE = int(Signals.RECORDED | Signals.ACCEPT_ANY)
_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
_PEOPLE = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile",
    _PROXY,
)
_SCANNERS = ("BarracudaCentral", "curl/8.0", "")
_LOADS = "Mozilla/5.0"

_Seen = tuple[Kind, int, str, int]  # kind, link's ordinal, agent, signals
_Comes = tuple[int, int, int, str | _Seen, "_Message"]  # when, its number, at_ms, what, whose


class _Message:
    """A message's facts, made when an event of it is. persons: how many there are to write to."""

    __slots__ = ("at_ms", "injection", "name", "number", "packed", "persons")

    def __init__(self, number: int, at_ms: int, persons: int) -> None:
        self.number, self.at_ms, self.persons = number, at_ms, persons
        self.injection: Injection | None = None
        self.packed = b""

    def injected(self) -> Injection:
        """Return its injection."""
        if self.injection is None:
            unique, issued = blake2b(b"%d" % self.number, digest_size=32).digest(), self.at_ms // 1000
            name = time_of_id(issued) + unique[:12]
            numbers = [int.from_bytes(unique[start : start + 4], "big") for start in range(12, 32, 4)]
            domain = bisect(_DOMAINS, numbers[0] / (1 << 32) * _DOMAINS[-1])
            recipient = f"reader{numbers[1] % self.persons}@example{domain}.net"
            newest = self.at_ms // _CAMPAIGN_MS
            single = numbers[2] % 10 < 3
            queue_id = f"4Xy{self.number:09x}"
            self.injection = Injection(
                event_id(name, issued), self.at_ms, name, int.from_bytes(unique[20:28], "big"), recipient,
                "b@example.org", f"news@sender{numbers[3] % 5}.example.org", f"The letter {newest % 50}",
                "" if single else f"campaign-{newest - numbers[3] % _AT_ONCE}",
                ("single",) if single else ("letter", "nl"), '{"shop":"north"}', "12", single, True, True,
                False, False, 20_480, queue_id, "", {}, "", f"<{self.number}.{unique[:4].hex()}@example.org>",
                5, 2, "192.0.2.1", _NODE, recipient_mark(_NODE, queue_id, recipient),
            )  # fmt: skip
        return self.injection

    def identity(self) -> bytes:
        """Return what its links hold of it, packed."""
        if not self.packed:
            injection, issued = self.injected(), self.at_ms // 1000
            self.packed = pack_identity(
                Identity(
                    injection.message_id, injection.transmission_id, injection.recipient, issued,
                    issued + _YEAR, "", injection.campaign, injection.tags, injection.metadata,
                    injection.customer_id, injection.transactional,
                )
            )  # fmt: skip
        return self.packed


class Stream:
    """Events of a site. month: how many it has in a month, about."""

    def __init__(self, month: int) -> None:
        self._chance = random.Random(7)
        self._ids = EventIds(b"8 chance")
        self._step = MONTH_MS * _A_MESSAGE / month
        self._persons = max(1, int(month / _A_MESSAGE / 6))
        self._number = self._order = 0
        self._waiting: list[_Comes] = []

    def skip(self, rows: int) -> None:
        """Pass by events until they would have made so many rows; quicker than making them."""
        while rows > 0:
            what = self._next()[3]
            rows -= 2 if isinstance(what, tuple) and _is_unsubscribe(what) else 1

    def events(self) -> Iterator[tuple[Event, Injection | None]]:
        """Yield (event, the injection of a message event), without end."""
        while True:
            _, number, at_ms, what, message = self._next()
            injection = message.injected()
            if what == "injection":
                yield injection, None
            elif isinstance(what, str):
                yield _became(what, at_ms, injection), injection
            else:
                yield self._hit(what, at_ms, message, number), None

    def _next(self) -> _Comes:
        """Return what comes next, after sending all messages that went out before it."""
        while not self._waiting or self._waiting[0][0] >= START + int(self._number * self._step):
            self._send()
        return heappop(self._waiting)

    def _send(self) -> None:
        chance, at_ms = self._chance, START + int(self._number * self._step)
        message = _Message(self._number, at_ms, self._persons)
        self._number += 1
        self._comes(at_ms, "injection", message)
        fate = chance.random()
        if fate < 0.02:
            self._comes(at_ms + 500, "bounce", message)
            return
        there = at_ms + int(chance.uniform(300, 4000))
        if fate > 0.97:
            self._comes(at_ms + 1500, "delay", message)
            there = at_ms + _HOUR_MS // 2
        self._comes(there, "delivery", message)
        if chance.random() < 0.1:
            agent = chance.choice(_SCANNERS)
            for ordinal in range(2):
                followed = (Kind.CLICK, ordinal, agent, _BY_MACHINE)
                self._comes(there + int(chance.uniform(1000, 30_000)), followed, message)
        if chance.random() < 0.25:
            self._comes(
                there + int(chance.uniform(1000, 600_000)), (Kind.OPEN, -1, _LOADS, _BY_MACHINE), message
            )
        if chance.random() < 0.3:
            self._read(there, message)

    def _read(self, there: int, message: _Message) -> None:
        """One person reads the message, some several times."""
        chance = self._chance
        agent, at = chance.choice(_PEOPLE), there
        for _ in range(1 + int(chance.expovariate(1.2))):
            at += min(int(chance.lognormvariate(math.log(2 * _HOUR_MS), 1.7)), 30 * _DAY_MS)
            self._comes(at, (Kind.OPEN, -1, agent, _OPENED), message)
            if chance.random() < 0.3:
                browser = _PEOPLE[0] if agent == _PROXY else agent
                clicked = (Kind.CLICK, int(chance.random() ** 2 * 6), browser, _CLICKED)
                self._comes(at + int(chance.uniform(2000, 120_000)), clicked, message)

    def _comes(self, at_ms: int, what: str | _Seen, message: _Message) -> None:
        late = self._chance.random() < 0.01
        self._order += 1
        comes = at_ms + int(self._chance.uniform(0, 2 * _HOUR_MS)) if late else at_ms
        heappush(self._waiting, (comes, self._order, at_ms, what, message))

    def _hit(self, seen: _Seen, at_ms: int, message: _Message, number: int) -> Hit:
        kind, ordinal, agent, signals = seen
        link = b""
        if kind in CLICKS:
            page = message.at_ms // _CAMPAIGN_MS % 40 * 6 + ordinal
            target = b"https://shop.example.org/offers/%d" % page
            link = pack_link(Link(target, "top banner", _is_unsubscribe(seen), ordinal, "html"))
        return Hit(
            self._ids.next(at_ms), kind, at_ms, payload(message.identity(), link, filler=number % 3 == 0), "",
            f"203.0.113.{number % 251}", agent, "nb-NO", "GET", "t.example.org", False, False, signals,
        )  # fmt: skip


def _is_unsubscribe(seen: _Seen) -> bool:
    return seen[1] == 5  # the last link of the mail


def _became(kind: str, at_ms: int, injection: Injection) -> MessageEvent:
    bounced = kind != "delivery"
    reply, enhanced = ("550", "5.1.1") if kind == "bounce" else ("450", "4.2.0") if bounced else ("", "2.0.0")
    return MessageEvent(
        reported_id(at_ms, _NODE, injection.queue_id, injection.recipient, kind), at_ms, kind, _NODE,
        injection.queue_id, injection.recipient_mark, b"", injection.message_id_header,
        f"host said: {reply} {enhanced} no such user" if bounced else "", reply, enhanced,
        10 if kind == "bounce" else 20 if bounced else 0, 1200, 0, "", "mx.example.net", "198.51.100.7", "",
        "esmtp",
    )  # fmt: skip
