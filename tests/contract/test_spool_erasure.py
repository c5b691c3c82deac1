"""`smtpapi recipient erase` and the spool: nothing readable stays in a segment or in what was set aside."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cassandra_site import TABLES, Node
from contract.store_samples import RING
from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.settings import load_file
from engagement.shipper.loop import Shipper
from engagement.spool.format import MAGIC, frame, scan
from engagement.spool.read import CORRUPT
from engagement.spool.write import SpoolWriter
from engagement.stores import migrate_store, open_store
from engagement.stores.cassandra.store import CassandraStore
from smtpapi.commands import main

IDS = EventIds(b"8 chance")
IDA, OLE, FRIDA = "Ida@Example.net", "ole@example.net", "frida@example.net"
METADATA = '{"a long text that is worth deflating, as many senders have them": "and another one of the sort"}'


@pytest.fixture(params=["sqlite", "cassandra"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    store = f'store {{ path = "{tmp_path}/lib/events.db" }}\n'
    if request.param == "cassandra":
        node: Node = request.getfixturevalue("cassandra_node")
        store = "store { engine = cassandra }\n" + node.stanza("erasure")
    path.write_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/spool" }}\n{store}')
    migrate_store(load_file(path), lambda _: None)
    return path


def hit(recipient: str) -> bytes:
    now = int(time.time())
    whose = Identity(os.urandom(16), 7, recipient, now, now + 60, campaign="c", metadata=METADATA)
    sealed = copy_sealer(RING.signing, whose).seal(Kind.CLICK, Link(b"https://example.org/"))
    packed = open_token(sealed, RING).packed
    values = (
        IDS.next(now * 1000),
        Kind.CLICK,
        now * 1000,
        packed,
        "",
        "192.0.2.9",
        "Firefox",
        "",
        "GET",
        "h",
    )
    return encode(Hit(*values, spoiled=False, expired=False))


def say(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["recipient", *arguments, "--config", str(config)])


@contextmanager
def shipping(config: Path) -> Iterator[None]:
    store, stop = open_store(load_file(config), writing=True), threading.Event()
    thread = threading.Thread(target=Shipper(config.parent / "spool", store).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        store.close()


def holds(folder: Path, address: str) -> list[str]:
    """The files below the folder that have the address in them, in any case."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and address.lower().encode() in path.read_bytes().lower()
    ]


def in_tables(config: Path) -> str:
    """All that Cassandra's tables show, in lower case; SQLite's are a file like others."""
    store = open_store(load_file(config))
    if not isinstance(store, CassandraStore):
        return ""
    keyspace = store.connection.stanza.keyspace
    shown = [repr(store.connection.say(f"SELECT * FROM {keyspace}.{table}")) for table in TABLES]
    store.close()
    return "".join(shown).lower()


def test_nothing_of_a_recipient_is_left_in_a_segment_in_use(config: Path) -> None:
    """What was shipped lies in its segment until its writer begins another: erasing waits for that."""
    spool = config.parent / "spool"
    writer = SpoolWriter(spool, segment_age=1.5)
    for _ in range(3):
        writer.append(hit(IDA))
        writer.append(hit(OLE))
    assert holds(spool, IDA)
    with shipping(config):
        done = say(config, "erase", "--yes", IDA.upper())
        assert (done.exit_code, done.output) == (0, "3 event(s) removed\n")
        assert holds(config.parent, IDA) == []
        assert IDA.lower() not in in_tables(config)
        assert len(say(config, "export", OLE).output.splitlines()) >= 3
    writer.close()
    assert say(config, "erase", "--yes", "--wait", "30", OLE).exit_code == 0


def test_what_waits_for_another_holds_nothing_up(config: Path) -> None:
    writer = SpoolWriter(config.parent / "spool")
    writer.append(hit(OLE))
    writer.close()
    assert say(config, "erase", "--yes", "--wait", "0", IDA).exit_code == 0
    done = say(config, "erase", "--yes", "--wait", "0", OLE)
    assert (done.exit_code, "Nothing was removed" in done.output) == (1, True)


def test_set_aside_files_lose_the_recipient_and_nothing_else(config: Path) -> None:
    spool = config.parent / "spool"
    aside = spool / CORRUPT
    aside.mkdir(parents=True)
    others = [hit(OLE), hit(FRIDA)]
    torn = b"\x07" + hit(IDA)[:-9]
    (aside / "a.8.record").write_bytes(frame(b"no event, of IDA@example.NET"))
    (aside / "b.9.rest").write_bytes(torn + frame(others[0]) + frame(hit(IDA)) + frame(others[1]) + b"end")
    whole = MAGIC + frame(others[0]) + frame(hit(IDA))[:-1]
    (aside / "c.9.segment").write_bytes(whole)
    (aside / "d.9.rest").write_bytes(b"\x01\x02" + frame(others[0]))
    os.utime(aside / "b.9.rest", (1000, 1000))
    done = say(config, "erase", "--yes", "ida@example.net")
    assert (done.exit_code, "overwritten in 3 file(s)" in done.output) == (0, True)
    assert not (aside / "a.8.record").exists()
    remaining = (aside / "b.9.rest").read_bytes()
    assert remaining[: len(torn)] == bytes(len(torn))
    assert [record for record, _ in scan(remaining, len(torn), 1).records] == [others[0]]
    assert remaining.endswith(frame(others[1]) + b"end")
    assert remaining.count(b"@example.net") == 2
    assert (aside / "b.9.rest").stat().st_mtime == 1000
    changed = (aside / "c.9.segment").read_bytes()
    assert len(changed) == len(whole)
    assert changed.startswith(MAGIC + frame(others[0]) + bytes(8))
    assert (aside / "d.9.rest").read_bytes() == b"\x01\x02" + frame(others[0])
    again = say(config, "erase", "--yes", "ida@example.net")
    assert (again.exit_code, again.output) == (0, "0 event(s) removed\n")


def test_an_address_outside_ascii_is_found_in_any_case(config: Path) -> None:
    aside = config.parent / "spool" / CORRUPT
    aside.mkdir(parents=True)
    (aside / "a.8.rest").write_bytes(b"\xff" + "JØRGEN@eksempel.no".encode() + b"\xff")
    assert "overwritten" in say(config, "erase", "--yes", "jørgen@eksempel.no").output
    assert not (aside / "a.8.rest").exists()
