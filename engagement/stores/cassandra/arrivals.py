"""What came in, in the order of its coming: a row for each portion, numbered by the shipper that wrote it."""

from collections.abc import Mapping
from typing import Final

from engagement.stores.cassandra import queries
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.writing import Writes

ARRIVALS_LIFE: Final = 7 * 86400

Place = tuple[int, int]  # a row of a shipper's, and how many of its events were read
Ref = tuple[bytes, int, bytes]  # message, at_ms, event id


def arrival_writes(shipper: str, number: int, arrived: list[Ref]) -> tuple[Writes, Writes, int]:
    """Return the writes of what came in, then the one that tells it, and the number of the next row.

    number: of this shipper's next row.
    """
    writes: Writes = []
    for start in range(0, len(arrived), queries.EVENTS_IN_ARRIVAL):
        packed = queries.pack_arrival(arrived[start : start + queries.EVENTS_IN_ARRIVAL])
        part = number // queries.ARRIVALS_IN_PART
        writes.append(("arrival", [(shipper, part, number, packed, ARRIVALS_LIFE)]))
        number += 1
    at = queries.arrivals_written_at(number)
    return writes, [("shipper", [(queries.PLACE, shipper, number, ARRIVALS_LIFE, at)])], number


def read_arrivals(reader: Reader, mark: str, limit: int) -> tuple[list[Ref], str]:
    """Return what came in after a mark, at most limit, and the mark behind it.

    The mark holds each shipper's name, and how far it was read. Raises StoreError.
    """
    newest_of = dict(reader.read("shippers", (queries.PLACE,)))
    read = _places_of(mark)
    if read is None:
        return [], _mark({name: (number, 0) for name, number in newest_of.items()})
    refs: list[Ref] = []
    for name, newest in sorted(newest_of.items()):
        place = read.get(name, (0, 0))
        while len(refs) < limit and place[0] < newest:
            place = _read_on(reader, name, place, limit - len(refs), refs, newest)
        read[name] = place
    return refs, _mark({name: place for name, place in read.items() if name in newest_of})


def _read_on(
    reader: Reader, name: str, place: Place, missing: int, refs: list[Ref], newest: int
) -> tuple[int, int]:
    """Add the next events of a shipper to refs; return the place after them."""
    number, offset = place
    part = number // queries.ARRIVALS_IN_PART
    most = missing // queries.EVENTS_IN_ARRIVAL + 2
    lines = reader.read("arrivals", (name, part, number, most))
    for at, packed in lines:
        if at != number:
            number, offset = at, 0
        found = list(queries.unpack_arrival(packed))[offset:]
        taken = found[:missing]
        refs += taken
        missing -= len(taken)
        if len(taken) < len(found):
            return number, offset + len(taken)
        number, offset = number + 1, 0
    if not lines:  # expired: continue with the next part, or at the newest
        number = min((part + 1) * queries.ARRIVALS_IN_PART, newest)
    return number, 0 if not lines else offset


def _mark(places: Mapping[str, Place]) -> str:
    return ",".join(f"{name}:{number}:{offset}" for name, (number, offset) in sorted(places.items())) or "0"


def _places_of(mark: str) -> dict[str, Place] | None:
    if mark == "0":  # of a store that no shipper has written to
        return {}
    places = {}
    for entry in mark.split(","):
        name, _, rest = entry.partition(":")
        number, _, offset = rest.partition(":")
        if not (
            len(name) == 12 and all(x.isascii() and x.isdigit() and len(x) < 10 for x in (number, offset))
        ):
            return None
        places[name] = (int(number), int(offset))
    return places
