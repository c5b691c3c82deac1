"""A damaged segment on its way into a store: whole records before the damage, the rest for a person."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.events.ids import EventIds
from engagement.events.model import Injection
from engagement.events.record import encode
from engagement.shipper.loop import Shipper
from engagement.spool.format import MAGIC, frame
from engagement.spool.read import CORRUPT
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query
from smtpapi.commands import main

_IDS = EventIds(b"8 chance")
_AT = 1_793_001_722_000

DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "one bit": lambda data, at: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :],
    "all bits": lambda data, at: data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :],
    "a byte gone": lambda data, at: data[:at] + data[at + 1 :],
    "a byte too much": lambda data, at: data[:at] + b"\x80" + data[at:],
    "zeros from here": lambda data, at: data[:at] + bytes(len(data) - at),
    "rubbish from here": lambda data, at: data[:at] + b"\xde\xad" * ((len(data) - at + 1) // 2),
    "cut off": lambda data, at: data[:at],
}


def _record(number: int) -> tuple[str, bytes]:
    """A small event, and its id."""
    at = _AT + number
    name = _IDS.next(at)
    values = ("a@b.test", "", "", "", "", (), "", "", False, True, True, False, False, 9, "", "")
    return name, encode(Injection(name, at, number.to_bytes(16, "big"), 7, *values, {}))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_at_every_offset_of_a_segment(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # some hundred lines of no interest
    made = [_record(number) for number in range(2)]
    other, other_record = _record(9)
    ends = [len(MAGIC)]
    for _, record in made:
        ends.append(ends[-1] + len(frame(record)))
    data = MAGIC + b"".join(frame(record) for _, record in made)
    for offset in range(len(data)):
        broken = DAMAGE[damage](data, offset)
        if broken == data:
            continue
        spool = tmp_path / f"{offset}"
        spool.mkdir()
        (spool / "h-1-1-000000.ready").write_bytes(broken)
        (spool / "h-1-2-000000.ready").write_bytes(MAGIC + frame(other_record))
        store = MemoryStore()
        shipper = Shipper(spool, store)
        assert shipper.drain()
        whole = [name for (name, _), end in zip(made, ends[1:], strict=True) if end <= offset]
        stored = {event["event_id"] for event in store.find(Query(expired=True))}
        assert stored == {*whole, other}, offset
        assert not list(spool.glob("*.ready"))
        start = max((end for end in ends if end <= offset), default=0)
        rest = broken[start:]
        rests = [path.read_bytes() for path in (spool / CORRUPT).iterdir()] if rest else []
        assert rests == ([rest] if rest else []), offset
        assert shipper.status.set_aside == (1 if rest else 0)


def test_damage_is_reported_to_the_operator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the log with the file's name, and in `ship --status`."""
    config, spool = tmp_path / "smtpapi.conf", tmp_path / "spool"
    config.write_text(f'smtpapi {{ }}\nspool {{ directory = "{spool}" }}\n')
    spool.mkdir()
    _, record = _record(1)
    (spool / "h-1-1-000000.ready").write_bytes(MAGIC + frame(record) + b"damage")
    assert Shipper(spool, MemoryStore()).drain()
    name = f"h-1-1-000000.{len(MAGIC) + len(frame(record))}.rest"
    assert f"set aside as {CORRUPT}/{name}: 6 bytes that are no whole record" in caplog.text
    output = CliRunner().invoke(main, ["ship", "--status", "--config", str(config)]).output
    assert f"set aside 1, see {spool / CORRUPT}" in output
    as_json = CliRunner().invoke(main, ["ship", "--status", "--json", "--config", str(config)]).output
    assert json.loads(as_json)["set_aside"] == 1
