"""Every figure of a year of mail equals the truth in the engines that sites use (`bench.year` prints it)."""

import os

import pytest

from engagement.stores.port import EventStore
from year.compare import compare
from year.make import make_year
from year.play import play


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_figure_of_a_year_is_true(store: EventStore) -> None:
    year = make_year(int(os.environ.get("YEAR_MESSAGES", "2000")), 5)
    play(year, store, 5)
    found = compare(year, store, 5)
    assert [tally.first for tally in found.values() if tally.differences] == []
    assert sum(tally.numbers for tally in found.values()) > 50_000
