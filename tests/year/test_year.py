"""Every figure of a year of mail equals the truth. `python tests/year/run.py` prints it as a table."""

import pytest

from engagement.figures.definitions import FIGURES
from engagement.stores.memory import MemoryStore
from engagement.stores.port import FigureQuery
from year.compare import compare
from year.make import make_year
from year.play import play


@pytest.mark.parametrize("seed", [1, 2])
def test_every_figure_of_a_year_is_true(seed: int) -> None:
    year = make_year(250, seed)
    store = MemoryStore()
    done = play(year, store, seed)
    assert min(done[name] for name in ("told again", "given another label", "recipients erased")) > 0
    found = compare(year, store, seed)
    assert [comparison.first for comparison in found.values() if comparison.differences] == []
    assert sum(comparison.numbers for comparison in found.values()) > 10_000
    assert all(comparison.questions > comparison.refused for comparison in found.values())


def test_the_year_knows_every_figure() -> None:
    """All that can be other than 0 are in it."""
    year = make_year(600, 3)
    store = MemoryStore()
    play(year, store, 3)
    (row,) = store.figures(FigureQuery())
    never = {name for name, figure in FIGURES.items() if not figure.parts}
    assert {name for name, n in row.figures.items() if n} == FIGURES.keys() - never
