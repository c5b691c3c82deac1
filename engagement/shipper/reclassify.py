"""Classifies stored hits again, whatever their age: in portions, so that it may be stopped and repeated."""

from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from engagement.classify.model import Seen
from engagement.classify.rule_set import RuleSet
from engagement.events.classify import Classification
from engagement.events.field_values import timestamp
from engagement.shipper.reclassifier import SeenBy, classify_messages, is_click, is_withheld, message_of
from engagement.stores.port import EventStore, LabelledHit


class Change(NamedTuple):
    """From one class and rule to another; probable ones end with `?`."""

    before: str
    rule_before: str
    after: str
    rule_after: str


@dataclass
class Outcome:
    """What was done so far.

    hits: looked at. withheld: of them, left as they are, as privacy removed what they could be classified by.
    written: labels that changed in the store. at_ms: up to when. changes: how many for each change.
    """

    hits: int = 0
    withheld: int = 0
    written: int = 0
    at_ms: int = 0
    changes: "Counter[Change]" = field(default_factory=Counter)


def reclassify(
    store: EventStore, rules: RuleSet, from_ms: int, to_ms: int, *, now_ms: int | None, portion: int = 200
) -> Generator[Outcome, None, None]:
    """Classify all hits of a time again, oldest first; yield the outcome so far after each portion.

    now_ms: for the history of those that change; None changes nothing. Raises StoreError.
    """
    outcome = Outcome(at_ms=from_ms)
    span = max((rule.recipients.seconds for rule in rules.rules if rule.recipients), default=0.0)
    portions = _portions(store, from_ms, to_ms, portion)
    for around, hits in _with_neighbours(portions, int(span * 1000)):
        seen_by = _seen_by(around)
        open_hits = {each.hit.id for each in hits if not is_withheld(each.hit)}
        messages = dict.fromkeys(message_of(each.hit) for each in hits if each.hit.id in open_hits)
        news = []
        for classified in classify_messages(store, messages, rules, seen_by):
            if classified.hit.id in open_hits and classified.changed:
                news.append(LabelledHit(classified.hit, classified.label))
                outcome.changes[_change(classified.before, classified.label)] += 1
        if news and now_ms is not None:
            outcome.written += store.relabel(news, now_ms)
        outcome.hits += len(hits)
        outcome.withheld += len(hits) - len(open_hits)
        outcome.at_ms = hits[-1].hit.at_ms
        yield outcome


def _portions(store: EventStore, from_ms: int, to_ms: int, size: int) -> Iterator[tuple[LabelledHit, ...]]:
    after = ""
    while hits := store.hits(from_ms, to_ms, after, size):
        yield hits
        last = hits[-1].hit
        after = f"{timestamp(last.at_ms)}/{last.id}"


def _with_neighbours(
    portions: Iterator[tuple[LabelledHit, ...]], span_ms: int
) -> Iterator[tuple[list[LabelledHit], tuple[LabelledHit, ...]]]:
    """Yield each portion, and all hits from span_ms before to span_ms after it, itself included."""
    past: list[LabelledHit] = []
    ahead: deque[tuple[LabelledHit, ...]] = deque()
    for portion in portions:
        ahead.append(portion)
        while ahead and portion[-1].hit.at_ms > ahead[0][-1].hit.at_ms + span_ms:
            this = ahead.popleft()
            yield [*past, *this, *chain.from_iterable(ahead)], this
            past = [each for each in (*past, *this) if each.hit.at_ms >= this[-1].hit.at_ms - span_ms]
    while ahead:
        this = ahead.popleft()
        yield [*past, *this, *chain.from_iterable(ahead)], this
        past = [each for each in (*past, *this) if each.hit.at_ms >= this[-1].hit.at_ms - span_ms]


def _seen_by(hits: list[LabelledHit]) -> SeenBy:
    found: dict[str, list[Seen]] = {}
    for hit, _ in hits:
        if hit.client_address and is_click(hit):
            found.setdefault(hit.client_address, []).append(Seen(hit.at_ms, message_of(hit)))
    return found


def _change(before: Classification, after: Classification) -> Change:
    return Change(_shown(before), before.reason, _shown(after), after.reason)


def _shown(label: Classification) -> str:
    return label.client.value if label.certain else f"{label.client.value}?"
