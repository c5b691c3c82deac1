"""What hostile mails cost: CPU time of each kind, and the longest time between two looks at the clock.

    python bench/hostile.py                    every kind of tests/hostile_mail.py, 10 MB each
    python bench/hostile.py --size 1000000 --only attributes
    python bench/hostile.py --table            the same, as a table for docs/performance.md

The budget (`limits.time_budget`) is taken in CPU time here, so that other programs do not matter. Not a test:
tests/unit/test_rewrite_deadline.py proves the bound without a clock.
"""

import argparse
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import program  # noqa: F401 - finds what follows
from bench.rewriting import DECISION, copy_links  # it also makes the packages known
from hostile_mail import HOSTILE
from smtpapi.model.edit import splice
from smtpapi.model.message import Message
from smtpapi.model.outcome import Plan
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules

BUDGET = 2.0  # seconds; the default


def cost(message: Message, budget: float) -> tuple[float, float, str]:
    """CPU seconds of planning and applying, the longest of them between two looks, and the outcome."""
    last = started = time.process_time()
    gap = 0.0

    def tick() -> float:
        nonlocal last, gap
        now = time.process_time()
        gap, last = max(gap, now - last), now
        return now

    rules = RewritingRules(vml_links=True, skip_url_text=True, time_budget=budget)
    outcome = plan(message, DECISION, copy_links(1), rules, tick)
    tick()
    if isinstance(outcome, Plan):
        splice(message.body, outcome.edits)
    seconds = time.process_time() - started
    left = outcome.why or (f"{len(outcome.edits)} edits" if isinstance(outcome, Plan) else "")
    return seconds, gap, str(left)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000_000, help="bytes of each mail")
    parser.add_argument("--only", default="", help="only kinds whose name contains this")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--no-budget", action="store_true", help="what the whole would cost")
    arguments = parser.parse_args()
    budget = math.inf if arguments.no_budget else BUDGET
    line = (
        "| {:36} | {:5.2f} | {:5.2f} | {} |"
        if arguments.table
        else "{:36} {:5.2f} s, at a time {:5.2f} s: {}"
    )
    for kind, make in HOSTILE.items():
        if arguments.only in kind:
            print(line.format(f"`{kind}`" if "<" in kind else kind, *cost(make(arguments.size), budget)))


if __name__ == "__main__":
    main()
