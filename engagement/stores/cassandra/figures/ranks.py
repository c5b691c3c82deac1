"""The sizes of a day's groups, packed into a few rows: of thousands of domains a page shows eight.

They lie in `figure` under cubes of their own, which earlier programs do not read, and are written whole, with
the stamp of the turn, once a day is over. An earlier program may change the day's figures and not these: then
the row of all mail that day, which changes with them, has a later stamp, and the rows of all groups are read.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from zlib import crc32

import msgspec

from engagement.figures.contribution import Cell, Cube
from engagement.figures.definitions import FIGURES

# The figure that groups of a cube are ranked by.
RANKED: Final = {Cube.DOMAIN_DAY: "count_injected"}
CHUNKS: Final = 16  # rows of a day, by name
_RANKS: Final = 200  # cubes of ranks are so far from those of the groups
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[int, dict[str, int]]).decode


def rank_cube(cube: int) -> int:
    """Return the cube under which the ranks of another are stored."""
    return _RANKS + cube


def ranks(cells: Mapping[Cell, int]) -> Iterator[tuple[int, str, bytes]]:
    """Yield (cube, name, value) of the rows of a day's ranks: always all of them. cells: of that day."""
    for cube, name in RANKED.items():
        parts = {int(counter) for counter in FIGURES[name].parts}
        chunks: list[dict[int, dict[str, int]]] = [{} for _ in range(CHUNKS)]
        for (own, _, counter, a, _), n in cells.items():
            if own == cube and counter in parts:
                sums = chunks[_chunk(a)].setdefault(counter, {})
                sums[a] = sums.get(a, 0) + n
        for number, chunk in enumerate(chunks):
            yield rank_cube(cube), f"{number:x}", _encode(chunk)


def _chunk(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogatepass")) % CHUNKS


def by_day(
    lines: Iterable[tuple[Any, ...]], stamps: Iterable[tuple[int, int]]
) -> dict[int, list[dict[int, dict[str, int]]]]:
    """Return the ranks of the days whose ranks are as new as their figures.

    lines: (day, value, its stamp) of ranks. stamps: (day, stamp) of the figures of all mail.
    """
    newest: dict[int, int] = {}
    for day, at in stamps:
        newest[day] = max(at, newest.get(day, 0))
    found: dict[int, list[dict[int, dict[str, int]]]] = {}
    for day, value, at in lines:
        if day in newest and at >= newest[day]:
            found.setdefault(day, []).append(_decode(value))
    return {day: chunks for day, chunks in found.items() if len(chunks) == CHUNKS}


def numbers_of(name: str, chunks: Iterable[Mapping[int, Mapping[str, int]]]) -> dict[str, int]:
    """Return a figure of each group, from ranks of any days. name: of the figure."""
    numbers: dict[str, int] = {}
    before = numbers.get
    factors = {int(counter): factor for counter, factor in FIGURES[name].parts.items()}
    for chunk in chunks:
        for counter, sums in chunk.items():
            factor = factors.get(counter, 0)
            for group, n in sums.items():
                numbers[group] = before(group, 0) + factor * n
    return numbers
