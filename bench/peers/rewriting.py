"""Mails and documents through each way: processor time, and what is left of them."""

from __future__ import annotations

import os
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.machine import processor_seconds
from bench.peers.judge import Verdict, text_of
from bench.peers.ways import Way

What = Literal["mail", "document"]


@dataclass(frozen=True, slots=True)
class Found:
    """One way over all items. seconds: processor time of each round for all items, that could be done."""

    way: str
    seconds: tuple[float, ...]
    count: int
    verdict: Verdict

    @property
    def milliseconds(self) -> float:
        """Return the median of the rounds for one item."""
        return statistics.median(self.seconds) / self.count * 1000 if self.count else float("nan")

    @property
    def spread(self) -> float:
        """Return the distance of the rounds' quartiles as a part of their median; 0 for a single round."""
        if len(self.seconds) < 2:
            return 0.0
        low, middle, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / middle if middle else float("nan")


def compare(ways: Sequence[Way], what: What, items: Sequence[bytes], rounds: int) -> list[Found]:
    """Take every item through every way, `rounds` times in turns; a way that fails at one does without it."""
    warnings.simplefilter("ignore")  # what parsers of others think of real mail
    candidates: list[tuple[Way, Callable[[bytes], bytes]]] = [
        (way, work) for way in ways if (work := way.mail if what == "mail" else way.document) is not None
    ]
    verdicts = {way.name: Verdict() for way, _ in candidates}
    taken = {way.name: list(items) for way, _ in candidates}
    for way, work in candidates:
        taken[way.name] = [item for item in items if _judge(way, work, what, item, verdicts[way.name])]
    times: dict[str, list[float]] = {way.name: [] for way, _ in candidates}
    for _ in range(rounds):
        for way, work in candidates:
            times[way.name].append(_time(work, taken[way.name]))
    return [
        Found(way.name, tuple(times[way.name]), len(taken[way.name]), verdicts[way.name])
        for way, _ in candidates
    ]


def _judge(way: Way, work: Callable[[bytes], bytes], what: What, item: bytes, verdict: Verdict) -> bool:
    try:
        done = work(item)
    except Exception:  # noqa: BLE001 - what others raise at real mail is theirs; it is counted
        verdict.failed += 1
        return False
    if what == "mail":
        verdict.add_mail(item, done, way.leads)
    else:
        verdict.checked += 1
        verdict.add_document(text_of(item, "utf-8"), text_of(done, "utf-8"), way.leads)
    return True


def _time(work: Callable[[bytes], bytes], items: Sequence[bytes]) -> float:
    """Processor seconds for all items: of this process, and of those that it has started."""
    done, before = 0, processor_seconds(os.getpid())
    while not done or processor_seconds(os.getpid()) - before < 0.4:
        for item in items:
            work(item)
        done += 1
    return (processor_seconds(os.getpid()) - before) / done


def table(found: Sequence[Found], what: What) -> str:
    """Return the Markdown table of it."""
    base = found[0].milliseconds
    mail = what == "mail"
    lines = [
        f"| way | ms a {what} | spread | times ours | failed |"
        + (" header kept | lines kept |" if mail else "")
        + " tree kept | links: right | wrong | untracked |",
        "| --- |" + " --- |" * (9 + (2 if mail else 0) - 1),
    ]
    for one in found:
        verdict = one.verdict
        cells = [
            one.way,
            f"{one.milliseconds:.2f}",
            f"{one.spread:.0%}",
            f"{one.milliseconds / base:.1f}",
            str(verdict.failed),
        ]
        if mail:
            cells += [
                f"{verdict.header_intact} of {verdict.checked}",
                f"{verdict.lines_intact / max(1, verdict.lines):.1%}",
            ]
        cells += [
            f"{verdict.trees_same} of {verdict.trees}",
            *(f"{verdict.links[word]:,}" for word in ("right", "wrong", "untracked")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
