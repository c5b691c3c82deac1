"""Classifies stored hits again, by what came after them: other hits, the mail's delivery, changed rules.

Not the rules (`engagement.classify`). Invariants: all hits of a message are classified together, so labels do
not depend on the order in which they came; a label changes only where class, rule or certainty do; a turn
is bounded, by the age of hits, the number of messages and a small share of the shipper's time.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from engagement.classify.model import Context, Seen, Within
from engagement.classify.rule_set import RuleSet, is_word
from engagement.events.classify import Classification, ReaderClass
from engagement.events.field_values import timestamp
from engagement.events.model import Hit
from engagement.events.rows import EventRow, RowSource
from engagement.events.signals import Signals
from engagement.links.model import CLICKS
from engagement.links.token import unpack
from engagement.shipper.recent_clicks import RecentClicks
from engagement.stores.port import EventStore, LabelledHit, StoreError

_log = logging.getLogger("engagement.shipper")

MESSAGES: Final = 500  # classified in one turn
_WAITING: Final = 100_000  # messages that wait for their turn; beyond, the oldest keep their labels
_TURNS: Final = 60.0  # seconds for which clicks are remembered longer than rules ask, as turns may be late
_EVERY: Final = 2.0  # seconds from one turn to the next,
_SHARE: Final = 10  # and at least so many times as long as it took

_PREFETCH: Final = int(Signals.PREFETCH)

SeenBy = Mapping[str, Sequence[Seen]]

# What versions before 0.2 put in the place of a User-Agent: the words of their lists, and "" for none.
_OLD_PLACEHOLDERS: Final = frozenset(
    (
        *("", "ms-office", "msoffice", "microsoft outlook", "thunderbird", "googleimageproxy", "fastmail"),
        *("yahoomailproxy", "duckduckgo-image-proxy", "barracuda", "google-safety", "proofpoint", "mimecast"),
        *("safelinks", "urldefense", "trendmicro", "bot/", "bot;", "crawler", "spider", "curl/", "wget/"),
        *("python-requests", "python-urllib", "httpx/", "go-http-client", "java/", "libwww-perl"),
        *("headlesschrome", "phantomjs", "facebookexternalhit", "mozilla/5.0"),
    )
)


class ClassifiedHit(NamedTuple):
    """A hit, its label so far, and the one it has by these rules and this evidence."""

    hit: Hit
    before: Classification
    label: Classification

    @property
    def changed(self) -> bool:
        """Return whether anything but the version of the rules is different."""
        return _verdict(self.before) != _verdict(self.label)


def _verdict(label: Classification) -> tuple[ReaderClass, str, bool]:
    return label.client, label.reason, label.certain


def is_withheld(hit: Hit) -> bool:
    """Return whether privacy removed what a hit could be classified by."""
    return not hit.client_address and (is_word(hit.user_agent) or hit.user_agent in _OLD_PLACEHOLDERS)


def message_of(hit: Hit) -> bytes:
    """Return the id of a hit's message."""
    return unpack(hit.kind, hit.packed)[0].message_id


def is_click(hit: Hit) -> bool:
    """Return whether a hit may be one of many that a robot made: a real request for a link.

    What a browser says it loads ahead is none: that is one for each link that its reader points at.
    """
    return hit.kind in CLICKS and hit.method != "HEAD" and not hit.signals & _PREFETCH


def classify_messages(
    store: EventStore, messages: Iterable[bytes], rules: RuleSet, seen_by: SeenBy
) -> list[ClassifiedHit]:
    """Return all hits of messages (16 bytes each), classified by everything that is known now.

    seen_by: which messages each address clicked in, in time order. Raises StoreError.
    """
    message_ids = list(messages)
    deliveries = store.deliveries(message_ids)
    classified = []
    for message, labelled in store.hits_of(message_ids).items():
        links: defaultdict[str, list[Seen]] = defaultdict(list)
        for hit, _ in labelled:
            if is_click(hit):
                links[hit.client_address].append(Seen(hit.at_ms, hit.packed))
        links.pop("", None)  # nobody's address is everybody's
        identity, _ = unpack(labelled[0].hit.kind, labelled[0].hit.packed)
        context = Context(identity.issued * 1000, deliveries.get(message), links, seen_by)
        classified += [ClassifiedHit(hit, label, rules.classify(hit, context)) for hit, label in labelled]
    return classified


class _Past(NamedTuple):
    """Hits that changed rules are still applied to: from when to when, and behind which one."""

    from_ms: int
    to_ms: int
    after: str = ""


def _place_of(hit: Hit) -> str:
    return f"{timestamp(hit.at_ms)}/{hit.id}"


class Reclassifier:
    """What the shipper does between its steps.

    rules: returns those in force. within: seconds; older hits keep their labels. now: returns Unix seconds.
    """

    def __init__(
        self,
        store: EventStore,
        rules: Callable[[], RuleSet],
        within: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._rules = rules
        self._within = within
        self._now = now
        self._waiting: dict[bytes, bool] = {}  # in the order they came; whether for more than changed rules
        self._applied: RuleSet | None = None
        self._past: _Past | None = None
        self._recent = RecentClicks(0)
        self._next = float("-inf")

    def rules(self) -> RuleSet:
        """Return the rules in force."""
        return self._rules()

    @property
    def waits(self) -> bool:
        """Return whether messages wait for their turn."""
        return bool(self._waiting) or self._past is not None

    def note(self, rows: Iterable[EventRow]) -> None:
        """Remember the messages of rows that were stored: of young hits, and of deliveries."""
        if not self._within:
            return
        oldest = (self._now() - self._within) * 1000
        many = self._many()
        for row in rows:
            if row.at_ms < oldest or not row.message_id or not (row.client or row.type == "delivery"):
                continue
            message = bytes.fromhex(row.message_id)
            self._waiting[message] = True
            source = row.source
            hit = source.event if isinstance(source, RowSource) else None
            if many and isinstance(hit, Hit) and hit.client_address and is_click(hit):
                found = self._recent.add(hit.client_address, Seen(hit.at_ms, message), many)
                self._waiting.update(dict.fromkeys(found, True))
        while len(self._waiting) > _WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _many(self) -> Within | None:
        """Return the fewest recipients and the longest time that rules ask for, None without such a rule."""
        rules = [rule.recipients for rule in self._rules().rules if rule.recipients]
        if not rules:
            return None
        longest = max(each.seconds for each in rules)
        if self._recent.span != longest + _TURNS:
            self._recent = RecentClicks(longest + _TURNS)
        return Within(min(each.number for each in rules), longest)

    def _forgotten(self, hit: ClassifiedHit) -> bool:
        """Return whether a label would change only because the address's other clicks are forgotten."""
        order = [rule.name for rule in self._rules().rules]
        places = {rule.name: place for place, rule in enumerate(self._rules().rules) if rule.recipients}
        before, after = places.get(hit.before.reason), hit.label.reason
        return before is not None and (after not in order or order.index(after) > before)

    def _look_back(self) -> None:
        """Let messages of young hits wait after the rules changed, as many as this turn has room for.

        Evidence that came in goes before. Raises StoreError; then the same is done again.
        """
        before, rules = self._applied, self._rules()
        if before is not rules:
            self._applied = rules
            if before is not None and before.rules != rules.rules and self._within:
                now_ms = int(self._now() * 1000)
                self._past = _Past(now_ms - self._within * 1000, now_ms + 1)
        room = MESSAGES - len(self._waiting)
        if self._past is None or room <= 0:
            return
        found = self._store.hits(*self._past, room)
        for hit, _ in found:
            self._waiting.setdefault(message_of(hit), False)
        done = len(found) < room
        self._past = None if done else self._past._replace(after=_place_of(found[-1].hit))

    def turn(self, *, now: bool = False) -> int:
        """Classify what waits, if it is time; return how many labels changed. now: also if it is not.

        Raises StoreError; then what waits goes on waiting. After a fault of ours it does not: their hits have
        labels, and shipping is not stopped for better ones.
        """
        began = time.monotonic()
        if began < self._next and not now:
            return 0
        self._look_back()
        if not self._waiting:
            return 0
        messages = [message for message, _ in zip(self._waiting, range(MESSAGES), strict=False)]
        oldest = (self._now() - self._within) * 1000
        try:
            classified = classify_messages(self._store, messages, self._rules(), self._recent.by_address)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - as the docstring says
            _log.error("%d message(s) not judged anew: %s", len(messages), type(error).__name__)
            classified = []
        news = [
            LabelledHit(each.hit, each.label)
            for each in classified
            if each.changed
            and each.hit.at_ms >= oldest
            and not self._forgotten(each)
            and (self._waiting[message_of(each.hit)] or not is_withheld(each.hit))
        ]
        changed = self._store.relabel(news, int(self._now() * 1000)) if news else 0
        for message in messages:
            del self._waiting[message]
        took = time.monotonic() - began
        self._next = began + took + max(_EVERY, _SHARE * took)
        return changed
