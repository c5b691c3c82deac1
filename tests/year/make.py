"""Makes a year of mail: who was sent what, what became of it, who asked for its pixels and links, and when.

Everything follows from a seed and a number of messages. A hit that repeats another is made as such; all
others of one link are at least ten seconds from it, sometimes exactly ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.links.keys import Ring
from engagement.links.model import CLICKS, Identity, Link
from engagement.links.token import copy_sealer, open_token
from year.events import KINDS, Letter, YearEvent

BEGIN = 1_767_225_600_000  # 2026-01-01T00:00Z
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY
_REPEAT = 10 * SECOND
_RING = Ring(()).rotated(b"k" * 32, 1)
_DOMAINS = ("big.example", "mail.example", "post.example", "uni.example", "firm.example", "tiny.example")
_CATEGORIES = {
    "hard": (10, 30, 90),
    "soft": (20, 21, 22, 23, 24, 40, 60, 70, 100),
    "block": (50, 51, 52, 53, 54),
    "admin": (25, 26, 80),
    "undetermined": (0, 1, 999),
}
_WHO = {
    "people": (("human", True), ("human", False), ("proxy", True), ("proxy", False)),
    "machine": (("prefetch", True), ("scanner", True)),
    "unsure": (("prefetch", False), ("scanner", False), ("unknown", True), ("unknown", False)),
}


@dataclass
class Year:
    """The events by time, and the messages."""

    letters: list[Letter] = field(default_factory=list)
    events: list[YearEvent] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Campaign:
    name: str
    begins: int
    opens: bool
    initial: bool
    clicks: bool
    amp: bool
    links: tuple[str, ...]


def make_year(messages: int, seed: int) -> Year:
    maker = _Maker(Random(seed), messages)
    for number in range(1, messages + 1):
        maker.letter(number)
    year = maker.year
    year.events.sort(key=lambda event: event.at)
    return year


class _Maker:
    def __init__(self, chance: Random, messages: int) -> None:
        self._chance = chance
        self._ids = EventIds(chance.randbytes(8))
        self._persons = max(5, messages // 3)
        self._campaigns = [self._campaign(n) for n in range(max(4, messages // 60))]
        self._groups = 0
        self._taken: dict[str, list[tuple[int, int]]] = {}
        self.year = Year(campaigns=[each.name for each in self._campaigns])

    def _likely(self, share: float) -> bool:
        return self._chance.random() < share

    def _campaign(self, number: int) -> _Campaign:
        names = [f"link {n}" for n in range(self._chance.randint(1, 5))]
        if self._likely(0.5):
            names[0] = ""
        return _Campaign(
            f"campaign {number}",
            BEGIN + self._chance.randrange(YEAR - 20 * DAY),
            self._likely(0.9) or not number,  # the first campaign has everything
            self._likely(0.5) or not number,
            self._likely(0.9) or not number,
            self._likely(0.4) or not number,
            tuple(names),
        )

    def letter(self, number: int) -> None:
        """One message, and all that happens to it."""
        chance = self._chance
        campaign = chance.choice(self._campaigns)
        name, at = campaign.name, campaign.begins + int(chance.expovariate(1 / HOUR))
        if self._likely(0.3):
            name, at = "", BEGIN + chance.randrange(YEAR - 20 * DAY)
        person = chance.randrange(self._persons)
        domain = _DOMAINS[min(int(chance.expovariate(0.8)), 5)] if person % 7 else f"own{person % 50}.example"
        recipient = f"p{person}@{domain}"
        opens, clicks = (campaign.opens, campaign.clicks) if name else (self._likely(0.5), self._likely(0.5))
        injection = Injection(
            id=self._ids.next(at),
            at_ms=at,
            message_id=number.to_bytes(16, "big"),
            transmission_id=number,
            recipient=recipient,
            sender="b@example.org",
            friendly_from="news@example.org",
            subject="Words",
            campaign=name,
            tags=(),
            metadata="",
            customer_id="",
            transactional=False,
            opens=opens,
            clicks=clicks,
            initial_opens=opens and campaign.initial,
            amp=campaign.amp,
            size=chance.randint(500, 50_000),
            queue_id=f"q{number}",
            outcome="",
            context={},
        )
        letter = Letter(
            *(number, name, recipient, domain, opens, opens and campaign.initial, clicks, campaign.amp),
            *(injection.size, campaign.links, injection),
        )
        self._taken = {}
        self.year.letters.append(letter)
        self._record(YearEvent(at, "injection", letter, injection))
        delivered = self._outcome(letter, at)
        if delivered:
            self._hits(letter, delivered)

    def _record(self, event: YearEvent) -> None:
        chance = self._chance
        event.arrives = event.at + chance.randrange(2 * SECOND)
        if self._likely(0.05):
            event.arrives = event.at + chance.randrange(2 * HOUR)
        event.letter.events.append(event)
        self.year.events.append(event)

    def _outcome(self, letter: Letter, at: int) -> int:
        """Tell deliveries, delays and bounces. Returns when it was delivered, 0 if it was not."""
        chance = self._chance
        tries = 0
        began = at
        while self._likely(0.08 if tries == 0 else 0.4):
            at += chance.randint(SECOND, 3 * MINUTE) if tries == 0 else chance.randint(5 * MINUTE, HOUR)
            self._became(letter, "delay", at, retries=tries)
            tries += 1
        at += chance.randint(SECOND, HOUR)
        if tries > 1 and self._likely(0.5):
            self._became(letter, "expiration", at, category=self._category(), retries=tries)
            return 0
        if self._likely(0.05):
            self._became(letter, "bounce", at, category=self._category(), retries=tries)
            return 0
        if self._likely(0.02):
            tries = -1  # the log does not say
        self._became(letter, "delivery", at, retries=tries, queue=at - began)
        if self._likely(0.02):
            back = at + chance.randint(MINUTE, 3 * DAY)
            self._became(letter, "out_of_band", back, category=self._category())
        if self._likely(0.02):
            self._became(letter, "spam_complaint", at + chance.randint(HOUR, 5 * DAY))
        return at

    def _category(self) -> str:
        return self._chance.choice(tuple(_CATEGORIES))

    def _became(
        self, letter: Letter, kind: str, at: int, category: str = "", retries: int = -1, queue: int = -1
    ) -> None:
        event = MessageEvent(
            *(self._ids.next(at), at, kind, "mx", letter.injection.queue_id, 0),
            bounce_class=self._chance.choice(_CATEGORIES[category]) if category else 0,
            num_retries=retries,
            queue_time=queue,
        )
        self._record(YearEvent(at, kind, letter, event, category=category, retries=retries, queue=queue))

    def _hits(self, letter: Letter, at: int) -> None:
        chance = self._chance
        if letter.opens:
            for kind in ("open", "initial_open") if letter.initial else ("open",):
                amp = "amp_" if letter.amp and self._likely(0.3) else ""
                if self._likely(0.3):
                    self._hit(letter, f"{amp}{kind}", at + chance.randint(1, 60) * SECOND, "machine")
                for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
                    self._hit(letter, f"{amp}{kind}", at + self._reading_time(), self._reader())
        if not letter.clicks:
            return
        if self._likely(0.15):
            side = chance.choice(("machine", "unsure"))
            for place in range(len(letter.links)):
                moment = at + chance.randint(1, 20) * SECOND
                self._hit(letter, "click", moment, side, place=place, probe=self._likely(0.2))
        for _ in range(chance.choice((0, 0, 0, 1, 2, 3))):
            kind = "amp_click" if letter.amp and self._likely(0.3) else "click"
            place = chance.randrange(len(letter.links))
            self._hit(letter, kind, at + self._reading_time(), self._reader(), place=place)
        if self._likely(0.04):
            self._hit(letter, "click", at + self._reading_time(), self._reader(), place=-1)
        if self._likely(0.02):
            self._hit(letter, "list_unsubscribe", at + self._reading_time(), "people")
        if self._likely(0.03):
            late = at + chance.randint(60, 120) * DAY
            self._hit(letter, "click", late, self._reader(), place=0, expired=self._likely(0.7))

    def _reader(self) -> str:
        return self._chance.choices(("people", "unsure", "machine"), (8, 2, 1))[0]

    def _reading_time(self) -> int:
        chance = self._chance
        mean = chance.choice((10 * MINUTE, 3 * HOUR, 2 * DAY, 20 * DAY))
        return MINUTE + int(chance.expovariate(1 / mean))

    def _hit(
        self,
        letter: Letter,
        kind: str,
        at: int,
        side: str,
        *,
        place: int = 0,
        probe: bool = False,
        expired: bool = False,
    ) -> None:
        """A hit, and what repeats it. place: of the link, -1 for the unsubscribe link."""
        chance = self._chance
        self._groups += 1
        link = f"{kind} {place}"
        moments = [at]
        if self._likely(0.15):
            for _ in range(chance.randint(1, 3)):
                moments.append(moments[-1] + chance.choice((0, 1, 5 * SECOND, _REPEAT - 1)))
        moments = self._moved(link, moments)
        client, certain = ("probe", True) if probe else chance.choice(_WHO[side])
        name = "" if place < 0 or not letter.links else letter.links[place]
        for number, moment in enumerate(moments):
            hits = chance.choice((1, 1, 2, 30)) if number else 1
            event = self._request(letter, kind, moment, place, name, probe, hits, expired)
            self._record(
                YearEvent(
                    *(moment, kind, letter, event),
                    side="" if probe else side,
                    client=client,
                    certain=certain,
                    reason="agent",
                    link=link,
                    link_name=(name or "Raw URL") if "click" in kind else "",
                    counts=number == 0 and not probe and not expired,
                    hits=hits,
                    expired=expired,
                    unsubscribes=place < 0,
                    group=self._groups,
                )
            )
        if self._likely(0.05):  # what comes after ten seconds to the millisecond is no repeat
            self._hit(letter, kind, moments[-1] + _REPEAT, side, place=place, probe=probe, expired=expired)

    def _moved(self, link: str, moments: list[int]) -> list[int]:
        """The moments, moved so that they are ten seconds from all others of the link."""
        taken = self._taken.setdefault(link, [])
        shift = 0
        for begin, end in sorted(taken):
            if begin - _REPEAT < moments[-1] + shift and moments[0] + shift < end + _REPEAT:
                shift = end + _REPEAT - moments[0]
        taken.append((moments[0] + shift, moments[-1] + shift))
        return [moment + shift for moment in moments]

    def _request(
        self, letter: Letter, kind: str, at: int, place: int, name: str, probe: bool, hits: int, expired: bool
    ) -> Hit:
        issued = letter.injection.at_ms // 1000
        identity = Identity(
            *(letter.injection.message_id, letter.number, letter.recipient, issued, issued + 10**7),
            campaign=letter.campaign,
        )
        link = (
            Link(f"https://example.org/{place}".encode(), name, place < 0) if KINDS[kind] in CLICKS else None
        )
        packed = open_token(copy_sealer(_RING.signing, identity).seal(KINDS[kind], link), _RING).packed
        return Hit(
            *(
                self._ids.next(at),
                KINDS[kind],
                at,
                packed,
                "",
                "203.0.113.9",
                "Mozilla/5.0 Firefox/140.0",
                "",
            ),
            *("HEAD" if probe else "GET", "click.example.org", False, expired),
            hits=hits,
        )


def labels(chance: Random) -> Iterator[tuple[str, str, bool, str]]:
    """Other labels, without end: side, class, certain, reason."""
    while True:
        side = chance.choice(tuple(_WHO))
        client, certain = chance.choice(_WHO[side])
        yield side, client, certain, chance.choice(("network", "burst"))
