"""Measure the peers, and write the tables and plots.

    make peers                                  installs what it needs, then this
    python -m bench.peers [--mails DIR]… [--sparky DIR] [--rounds 7] [--seconds 2] [--events 1000000]
                          [--docs docs] [--store FILE] [--only rewriting|endpoints|growth]

Mails are those of the folders, without trace fields and signatures, and newsletters that are made here.
--sparky names a copy of sparkypmtatracking's source; it is built with Go. --docs is where the plots go
(plots/) and whose performance.md has the tables between its two `peers` marks; without it they are printed
only. --store names a SQLite store that is there: events go into it as well. All ways take turns in one run on
one machine; medians, with the distance of the quartiles.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.peers import endpoints, growth, plots, rewriting, ways
from bench.peers.ways import Way
from bench.rewriting import alternative, html_parts, message, newsletter

_MARKS = ("<!-- peers: made by `make peers` -->", "<!-- peers end -->")
# What tells that a mail came in from outside, or is signed: as its author hands it in it has none of that.
_TRACE = re.compile(
    rb"(?im)^(?:Received|X-Received|Return-Path|Delivered-To|X-Original-To|ARC-[A-Za-z-]+|DKIM-Signature|"
    rb"Authentication-Results|X-MSYS-API):[^\n]*\n(?:[ \t][^\n]*\n)*"
)
_LARGEST = 300_000  # bytes: of a folder's mails


def mails(folders: list[Path]) -> list[bytes]:
    """Return the mails with HTML, as they were before they were signed and sent."""
    found = [message(newsletter()), alternative(newsletter())]
    for path in sorted(each for folder in folders for each in folder.rglob("*.eml")):
        raw = path.read_bytes()
        if len(raw) > _LARGEST or b"text/html" not in raw.lower():
            continue
        head, blank, body = raw.partition(b"\n\r\n" if b"\n\r\n" in raw else b"\n\n")
        found.append(_TRACE.sub(b"", head + b"\n")[:-1] + blank + body)
    return found


def on_mail(arguments: argparse.Namespace, all_: list[Way], docs: Path | None) -> list[str]:
    raws = mails(arguments.mails)
    whole = rewriting.compare(all_, "mail", raws, arguments.rounds)
    alone = rewriting.compare(all_, "document", html_parts(raws), arguments.rounds)
    if docs:
        plots.bars(
            {one.way: one.milliseconds for one in whole},
            docs / "plots/mails.svg",
            "A whole mail rewritten",
            "ms of processor time",
        )
    return [
        f"{len(raws)} mails with HTML, whole:",
        rewriting.table(whole, "mail"),
        "The HTML of the same, alone:",
        rewriting.table(alone, "document"),
    ]


def on_endpoints(arguments: argparse.Namespace, _: list[Way], docs: Path | None) -> list[str]:
    found = endpoints.measure(arguments.rounds, arguments.seconds)
    if docs:
        middle = {
            label: _median([each[label].rate for each in found["redirect"]]) for label in endpoints.LABELS
        }
        plots.bars(middle, docs / "plots/redirects.svg", "Redirects a second", "two workers, 32 connections")
    return ["Redirects and pixels, two workers, 32 connections:", endpoints.table(found)]


def on_growth(arguments: argparse.Namespace, all_: list[Way], docs: Path | None) -> list[str]:
    kinds: dict[str, tuple[Callable[[], dict[str, growth.Curve]], str, str, str, bool]] = {
        "links": (lambda: growth.by_links(all_), "Links in a mail", "links", "ms a mail", True),
        "bytes": (lambda: growth.by_size(all_), "Size of a mail, ten links", "bytes", "ms a mail", True),
        "recipients": (growth.by_recipients, "Recipients of a mail of 40 kB", "recipients", "ms", True),
        "events": (
            lambda: growth.by_events(arguments.events, arguments.store),
            "Into a store that holds so many",
            "events there",
            "events/s",
            False,
        ),
    }
    lines = []
    for name, (measure, title, x, y, log) in kinds.items():
        found = measure()
        if docs:
            plots.curves(found, docs / f"plots/growth-{name}.svg", title, x, y, log=log)
        lines += [f"{title}, {y}:", _growth_table(found, x)]
    return lines


def _growth_table(found: dict[str, growth.Curve], x: str) -> str:
    counts = sorted({count for curve in found.values() for count, _ in curve})
    lines = [f"| {x} | " + " | ".join(found) + " |", "| --- |" + " --- |" * len(found)]
    for count in counts:
        cells = []
        for curve in found.values():
            value = dict(curve).get(count)
            cells.append("" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}")
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


_PARTS = {"rewriting": on_mail, "endpoints": on_endpoints, "growth": on_growth}


def main() -> None:
    """Measure what is asked for; print it, and write it where --docs says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mails", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--sparky", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--store", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="DIR")
    parser.add_argument("--only", choices=_PARTS)
    arguments = parser.parse_args()
    sections: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as name, ExitStack() as stack:
        all_ = [ways.ours(), ways.untouched(), ways.soup(), ways.lxml(), ways.pytracking()]
        if arguments.sparky:
            all_.append(stack.enter_context(ways.sparky(arguments.sparky, Path(name))))
        for part, work in _PARTS.items():
            if arguments.only in (None, part):
                section = work(arguments, all_, arguments.docs)
                print("\n\n".join(section), flush=True)
                sections += section
    if arguments.docs and arguments.only is None:
        page = arguments.docs / "performance.md"
        text = page.read_text()
        between = re.compile(f"(?<={re.escape(_MARKS[0])}\n).*?(?={re.escape(_MARKS[1])})", re.DOTALL)
        page.write_text(between.sub(lambda _: "\n" + "\n\n".join(sections) + "\n\n", text))


if __name__ == "__main__":
    main()
