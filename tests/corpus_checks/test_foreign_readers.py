"""postal-mime and mailparser see in rewritten mail what they saw before, but for links and pixels.

Over the goldens and mails of odd MIME (tests/odd_mime.py). The corpus: test_fidelity.py.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import fidelity
import odd_mime
from golden_cases import cases, run

SEEDS = 50_000
EVERYDAY = 500


def _odd(numbers: Iterable[int]) -> list[tuple[str, bytes]]:
    return [(f"{number}.eml", odd_mime.mail(number)) for number in numbers]


def _read_differently(mails: list[tuple[str, bytes]]) -> Iterator[str]:
    """The faults that the foreign readers alone find: Python's parser is no judge of odd MIME."""
    _, faults = fidelity.judge(mails, fidelity.COMMAND, readers=True)
    return (fault for fault in faults if ": postal-mime: " in fault or ": mailparser: " in fault)


def test_h2_odd_mails_are_read_alike_by_two_foreign_readers() -> None:
    assert list(_read_differently(_odd(range(EVERYDAY)))) == []


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_h2_fifty_thousand_odd_mails_are_read_alike_by_two_foreign_readers() -> None:
    for start in range(0, SEEDS, 5000):
        assert list(_read_differently(_odd(range(start, start + 5000)))) == []


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
