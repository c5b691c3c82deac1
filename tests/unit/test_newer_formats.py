"""An older program meets what a newer one wrote: it says so and damages nothing (docs/compatibility.md)."""

import base64
import json
import logging
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest

from engagement import objections as objections_file
from engagement.cluster import sealing, state
from engagement.events.record import HIT_VERSIONS, INJECTION_VERSIONS, BadRecord, decode, encode
from engagement.links import domains_file, stops
from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import RingFile, load_ring
from engagement.links.token import BadToken, open_token
from engagement.maillogs.memory import MemoryFileError, QueueMemory
from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import SettingsError, load_file
from engagement.shipper import status
from engagement.shipper.loop import Shipper
from engagement.spool.format import MAGIC, frame
from engagement.spool.read import CORRUPT, CURSOR, SpoolReader
from engagement.stores.cassandra import schema
from engagement.stores.cassandra.connection import Connection
from engagement.stores.cassandra.queries import Lifetimes
from engagement.stores.cassandra.rows.stored import source_of
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query, StoreError
from engagement.stores.sqlite.migrate import migrations
from engagement.stores.sqlite.store import SqliteStore
from engagement.suppression.snapshot import EMPTY
from engagement.suppression.snapshot_file import SnapshotFile
from engagement.tracking_domains.copy_file import CopyFile
from engagement.tracking_domains.model import NONE
from shell_blocks import script
from smtpapi.hop.split_header import Unopened, unseal
from smtpapi.setup import undoing
from smtpapi.telemetry.counters import FILE_NAME, Counters, CountersError
from tracker_web.api.events.paging import CursorError, unpacked
from unit.event_samples import hit
from unit.format_samples import GOLDEN, SAMPLES, copied, restored, spool

NEWER = "[Uu]se the newer program"


def refusal(path: Path, what: str) -> str:
    """A pattern of what is said of a file."""
    return f"{re.escape(str(path))}:{what}, .*{NEWER}"


def test_a_link() -> None:
    line = json.loads((GOLDEN / "tokens" / "v1.jsonl").read_text("utf-8").splitlines()[0])
    ring = Ring.parse((GOLDEN / "tokens" / "ring").read_text("utf-8"))
    raw = base64.urlsafe_b64decode(line["token"] + "==")
    token = base64.urlsafe_b64encode(b"\2" + raw[1:]).rstrip(b"=")
    with pytest.raises(BadToken, match="version"):
        open_token(token, ring, line["tenant"])


def test_a_split_header(tmp_path: Path) -> None:
    ring = load_ring(copied("keys-1", tmp_path / "keys"))
    value = (SAMPLES / "split-header-1").read_bytes().replace(b"1 3\n", b"2 3\n", 1)
    assert unseal(value, ring, 1_793_001_800) is Unopened.NOT_OURS


def test_a_document_and_the_state_of_a_cluster(tmp_path: Path) -> None:
    keys = sealing.load("news", copied("cluster-key-1", tmp_path / "cluster.key"))
    documents = json.loads((SAMPLES / "cluster-documents-1.json").read_text("utf-8"))
    with pytest.raises(sealing.SealError, match=f"news/stops/0a: its version is 2, .*{NEWER}"):
        keys.open("news/stops/0a", documents["news/stops/0a"] | {"version": 2})
    path = copied("cluster-state-1.json", tmp_path / state.NAME, replaced=('"version":1', '"version":2'))
    with pytest.raises(state.StateError, match=refusal(path, " its version is 2")):
        state.load(tmp_path)


@pytest.mark.parametrize(
    ("sort", "version"), [(1, max(HIT_VERSIONS) + 1), (2, max(INJECTION_VERSIONS) + 1), (3, 2), (4, 1)]
)
def test_a_record(sort: int, version: int) -> None:
    with pytest.raises(BadRecord, match=f"version {version} of sort {sort}, .*use the newer program"):
        decode(msgpack.packb((version, sort, "more")))


def test_a_record_that_an_older_shipper_set_aside_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command of docs/compatibility.md."""
    monkeypatch.setattr(logging.getLogger("engagement"), "propagate", True)
    records = [msgpack.packb((9, 1, f"what a newer program knows, {number}")) for number in range(2)]
    (tmp_path / "host-7-1-000000.ready").write_bytes(MAGIC + b"".join(map(frame, [*records, encode(hit())])))
    store = MemoryStore()
    Shipper(tmp_path, store).step()
    assert len(list(store.find(Query()))) == 1
    refused = "version 9 of sort 1, which this program does not know: use the newer program"
    assert caplog.text.count(refused) == 2
    elsewhere = f'cd() {{ command cd "{tmp_path}"; }}\n'
    commands = script("docs/compatibility.md", "cd /var/spool/smtpapi")
    subprocess.run(["sh", "-euc", elsewhere + commands], cwd=tmp_path, check=True)
    assert sorted(entry.record for entry in SpoolReader(tmp_path).read()) == records
    assert list((tmp_path / CORRUPT).iterdir()) == []


@pytest.mark.parametrize("ending", ["ready", "repeats"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_file_of_the_spool(
    tmp_path: Path,
    ending: str,
    begun: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stays as it is, and what others hold is read."""
    monkeypatch.setattr(logging.getLogger("engagement"), "propagate", True)
    directory = spool(tmp_path / "spool")
    (path,) = directory.glob(f"*.{ending}")
    newer = path.read_bytes()[:7] + b"2" + path.read_bytes()[8:]
    path.write_bytes(newer)
    if begun:  # by the newer program
        (directory / CURSOR).write_text(json.dumps({"version": 1, "positions": {path.stem: 20}}))
    reader = SpoolReader(directory)
    assert len(reader.read()) > 0
    reader.commit()
    assert path.read_bytes() == newer
    assert [each.name for each in directory.glob("host-*")] == [path.name]
    assert not (directory / CORRUPT).exists()
    assert re.search(f"{re.escape(str(path))} cannot be read: .*use the newer program", caplog.text)
    assert reader.trouble.startswith(str(path))
    assert reader.backlog().records == 0


def test_the_cursor_of_the_spool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is read again: events have fixed ids."""
    monkeypatch.setattr(logging.getLogger("engagement"), "propagate", True)
    directory = spool(tmp_path / "spool")
    everything = len(SpoolReader(directory).read())
    copied("spool-cursor-1.json", directory / CURSOR, replaced=('"version": 1', '"version": 2'))
    assert len(SpoolReader(directory).read()) == everything
    assert re.search(f"{CURSOR} is not usable .its version is 2, this program knows 1", caplog.text)


def _events(path: Path) -> None:
    with pytest.raises(StoreError, match=NEWER):
        list(SqliteStore(path).find(Query()))
    SqliteStore(path, writing=True).add([])
    list(SqliteStore(path, writing=True).find(Query()))


FILES: list[tuple[str, int, type[Exception], Callable[[Path], Any]]] = [
    (f"events-sqlite-{len(migrations())}.sql", len(migrations()) + 1, StoreError, _events),
    ("registry-sqlite-1.sql", 2, RegistryError, SqliteRegistry),
    ("follow-1.sql", 2, MemoryFileError, QueueMemory),
]


@pytest.mark.parametrize(
    ("sample", "number", "trouble", "use"), FILES, ids=["events", "registry", "follower"]
)
def test_a_database(
    tmp_path: Path, sample: str, number: int, trouble: type[Exception], use: Callable[[Path], Any]
) -> None:
    path = restored(sample, tmp_path / "file.db", number)
    before = path.read_bytes()
    with pytest.raises(trouble, match=refusal(path, f" .*number {number}")):
        use(path)
    assert path.read_bytes() == before


class _Keyspace:
    """Stands for a connection to a keyspace, and refuses to change it."""

    class stanza:  # noqa: N801 - an attribute of the connection
        keyspace = "engagement"

    def __init__(self) -> None:
        self.statements: list[str] = []

    def say(self, statement: str, values: object = None) -> list[tuple[int]]:
        assert statement.strip().startswith("SELECT")
        return [(schema.scripts()[-1][0] + 1,)]


def test_a_keyspace_of_cassandra() -> None:
    connection = cast(Connection, _Keyspace())
    number = schema.scripts()[-1][0] + 1
    for use in (schema.check_version, lambda one: schema.migrate(one, Lifetimes(), print)):
        with pytest.raises(StoreError, match=f"keyspace engagement has schema {number}, .*{NEWER}"):
            use(connection)


def test_a_body_in_cassandra() -> None:
    with pytest.raises(BadRecord, match=f"a body of sort 3, .*{NEWER}"):
        source_of(b"\3more")


def test_a_key_ring(tmp_path: Path) -> None:
    path = copied("keys-1", tmp_path / "keys")
    troubles: list[RingError] = []
    now = [0.0]
    file = RingFile(path, troubles.append, lambda: now[0])
    before = file.current()
    path.write_text("format 2\n" + path.read_text() + "4 resting 2027-01-05T08:00:00Z\n")
    with pytest.raises(RingError, match=refusal(path, "1: a ring of format 2")):
        load_ring(path)
    now[0] = 5.0
    assert file.current() == before
    assert len(troubles) == 1


def test_the_list_of_stopped_links(tmp_path: Path) -> None:
    path = copied("stopped-1.json", tmp_path / "stopped.json", replaced=('"version": 1', '"version": 2'))
    before = path.read_bytes()
    for use in (stops.load, lambda one: stops.edit(one, lambda stopped: stopped)):
        with pytest.raises(stops.StopsError, match=refusal(path, " its version is 2")):
            use(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["stopped.json"]


def test_the_readers_who_objected(tmp_path: Path) -> None:
    path = copied("objections-1", tmp_path / "objections")
    path.write_text("by-hash 6d1f\n" + path.read_text("utf-8"), "utf-8")
    objections = objections_file.load(path)
    assert objections.hold("ida@example.net")
    assert [line.startswith(f"{path}:1: ") for line in objections.strange] == [True]
    objections_file.add(path, ["ole@example.net"])
    assert path.read_text("utf-8").startswith("by-hash 6d1f\n")


def test_the_domains_in_links(tmp_path: Path) -> None:
    path = copied("domains-1.json", tmp_path / "domains.json", replaced=('"version": 1', '"version": 2'))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=refusal(path, " its version is 2")):
        domains_file.read(tmp_path)
    reports: list[str] = []
    domains_file.DomainsFile(tmp_path, reports.append).used("new.example.org", 60)
    assert len(reports) == 1
    assert "Use the newer program" in reports[0]
    assert path.read_bytes() == before


def test_the_copy_of_the_suppression_list(tmp_path: Path) -> None:
    path = tmp_path / "suppressed.snapshot"
    data = (GOLDEN.parent / "golden_suppression" / "version-1.snapshot").read_bytes()
    path.write_bytes(data[:8] + b"\2" + data[9:])
    reports: list[str] = []
    assert SnapshotFile(path, reports.append).current() is EMPTY
    assert re.search(refusal(path, " its form has number 2"), reports[0])


def test_the_copy_of_entered_domains(tmp_path: Path) -> None:
    reports: list[str] = []
    name = "tracking-domains-1.json"
    path = copied(name, tmp_path / "copy", replaced=('"version": 1', '"version": 2'))
    assert CopyFile(path, reports.append).current() == NONE
    assert "newer program" in reports[0]
    assert path.read_bytes() == (SAMPLES / name).read_bytes().replace(b'"version": 1', b'"version": 2')


def test_the_counters_of_the_filter(tmp_path: Path) -> None:
    data = copied("milter.counters-1", tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(b"smtpapi2" + data[8:])
    with pytest.raises(CountersError, match=f"{FILE_NAME}: written by another version; restart the filter"):
        Counters.open(tmp_path)


def test_the_record_of_setup(tmp_path: Path) -> None:
    path = copied("setup-1.json", tmp_path / "setup.json", replaced=('"version": 1', '"version": 2'))
    before, edited = path.read_bytes(), tmp_path / "main.cf"
    edited.write_text("a = 1\n")
    for use in (undoing.load, lambda one: undoing.apply(one, {edited: b"a = 2\n"})):
        with pytest.raises(ValueError, match=refusal(path, " its version is 2")):
            use(path)
    assert (path.read_bytes(), edited.read_text()) == (before, "a = 1\n")


def test_the_status_of_the_shipper(tmp_path: Path) -> None:
    copied("shipper-1.json", tmp_path / status.FILE, replaced=('"pid"', '"moon": 3, "pid"'))
    found = status.load(tmp_path)
    assert found is not None
    assert found.pid == 41


@pytest.mark.parametrize("place", ["cursor", "filters"])
def test_a_cursor_of_the_api(place: str) -> None:
    """A filter that is not known must not be passed over: more would be shown than was asked for."""
    text = (SAMPLES / "events-cursor-1").read_text("ascii").strip()
    content = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "==")))
    (content if place == "cursor" else content["filters"])["moons"] = ["full"]
    newer = base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode().rstrip("=")
    with pytest.raises(CursorError, match="begin anew"):
        unpacked(newer)


def test_a_configuration(tmp_path: Path) -> None:
    path = copied("smtpapi-1.conf", tmp_path / "smtpapi.conf")
    path.write_text("milter { moons = 3 }\n" + path.read_text())
    with pytest.raises(SettingsError, match=rf"{re.escape(str(path))}:1"):
        load_file(path)
