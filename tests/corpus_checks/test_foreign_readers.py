"""postal-mime and mailparser see in rewritten mail what they saw before, but for links and pixels.

Over the goldens, mails of odd MIME (tests/odd_mime.py), and real ones with their MIME broken
(tests/odd_real_mails.py). The corpus: test_fidelity.py. The long run takes 50,000 odd mails and a fifth as
many broken ones, in as many processes as there are processors, and ends with lines of counts. ODD_MAILS:
another number; ODD_SEED: others.

    pytest -m long -s tests/corpus_checks
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

import fidelity
import odd_mime
import odd_real_mails
from foreign_readers import Replaced, differences
from golden_cases import cases, run

ALL = int(os.environ.get("ODD_MAILS", "50000"))
SEED = os.environ.get("ODD_SEED", "odd")
BATCH = 1000
EVERYDAY = 500


def _odd(numbers: Iterable[int], seed: str = "odd") -> list[tuple[str, bytes]]:
    return [(f"{number}.eml", odd_mime.mail(number, seed)) for number in numbers]


def _read_differently(mails: list[tuple[str, bytes]]) -> tuple[Counter[str], list[str]]:
    """What became of them, and the faults that the foreign readers alone find.

    Python's parser is no judge of odd MIME.
    """
    outcomes, faults = fidelity.judge(mails, fidelity.COMMAND, readers=True)
    return outcomes, [fault for fault in faults if ": postal-mime: " in fault or ": mailparser: " in fault]


def _batch(start: int, seed: str) -> tuple[Counter[str], list[str]]:
    return _read_differently(_odd(range(start, start + BATCH), seed))


def _broken(number: int, seed: str, count: int = BATCH) -> tuple[Counter[str], list[str]]:
    mails = odd_real_mails.broken(f"{seed} {number}", count)
    return _read_differently([(f"{number}-{at}.eml", raw) for at, raw in enumerate(mails)])


def test_h2_odd_mails_are_read_alike_by_two_foreign_readers() -> None:
    assert _read_differently(_odd(range(EVERYDAY)))[1] == []


def test_h2_real_mails_with_broken_mime_are_read_alike_by_two_foreign_readers() -> None:
    assert _broken(0, "everyday", EVERYDAY // 3)[1] == []


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("what", "judge", "numbers"),
    [("odd", _batch, range(0, ALL, BATCH)), ("broken real", _broken, range(ALL // BATCH // 5))],
)
def test_h2_fifty_thousand_odd_mails_are_read_alike_by_two_foreign_readers(
    what: str, judge: Callable[..., tuple[Counter[str], list[str]]], numbers: range
) -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        shares = list(pool.map(partial(judge, seed=SEED), numbers))
    faults = [*chain.from_iterable(share[1] for share in shares)]
    outcomes = sum((share[0] for share in shares), Counter[str]())
    print(
        f"\n{len(shares) * BATCH:,} {what} mails of seed {SEED!r}: {outcomes['rewritten']:,} rewritten,"
        f" {outcomes['untouched ambiguous-mime']:,} left as ambiguous; {len(faults)} read differently,"
        f" {time.monotonic() - began:.0f} s"
    )
    assert faults == []


def test_h2_most_mails_of_the_generator_are_worth_judging() -> None:
    outcomes, _ = fidelity.judge(_odd(range(EVERYDAY)), fidelity.COMMAND)
    assert outcomes["rewritten"] > EVERYDAY // 4


def test_h2_golden_messages_are_read_alike_by_two_foreign_readers(tmp_path: Path) -> None:
    reports = {}
    for place in ("in", "out"):
        (tmp_path / place).mkdir()
    for case in cases():
        ran = run(case, (case / "in.eml").read_bytes())
        (tmp_path / "in" / case.name).write_bytes(ran.raw)
        (tmp_path / "out" / case.name).write_bytes(ran.out)
        reports[case.name] = ran.report
    assert list(fidelity.foreign(tmp_path, reports)) == []


def test_the_end_that_a_reader_gives_the_last_line_is_no_difference() -> None:
    """Where a mail's last line is a pixel, as its last boundary is broken and its HTML goes on to the end."""
    leaf = {"place": ".0", "type": "text/html", "name": "", "text": "x</center>\n"}
    pixel = [Replaced("1", "pixel", "", "<img>")]

    def found(text: str) -> list[str]:
        return list(differences({"reader": [leaf]}, {"reader": [{**leaf, "text": text}]}, pixel))

    assert found("x</center>\n<img>\n") == found("x</center>\n<img>") == []
    assert found("x</center>\n<img>\n\n")
    assert found("x</center>\n<img>\nx")
