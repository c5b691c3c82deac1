"""What a program once wrote is read for ever: docs/compatibility.md, tests/golden/formats."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest

from engagement.cluster import hosts, sealing, state
from engagement.cluster.documents import _entries
from engagement.cluster.entries import Entry, Stamp
from engagement.events.classify import Classification, ReaderClass
from engagement.events.fields import to_fields
from engagement.events.model import Hit
from engagement.events.record import HIT_VERSIONS, INJECTION_VERSIONS, decode
from engagement.events.rows import RowSource
from engagement.links.domains_file import DomainUse
from engagement.links.domains_file import read as read_domains
from engagement.links.keys import KeyStatus
from engagement.links.ring_file import load_ring
from engagement.links.stops import Stops
from engagement.links.stops import load as load_stops
from engagement.maillogs.memory import Failed, QueueMemory
from engagement.objections import load as load_objections
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.shipper import status
from engagement.spool.read import CURSOR, positions
from engagement.stores.cassandra.rows.stored import label_of, source_of
from engagement.stores.port import Query
from engagement.stores.sqlite.migrate import migrations
from engagement.stores.sqlite.store import SqliteStore
from engagement.tracking_domains.model import decoded as decoded_domains
from smtpapi.hop.split_header import FirstPass, name_of, unseal
from smtpapi.model.envelope import Client
from smtpapi.setup import undoing
from smtpapi.telemetry.counters import FILE_NAME, Counters, CountersError
from tracker_web.api.events.filters import Filters
from tracker_web.api.events.paging import Cursor, unpacked
from unit.format_samples import GOLDEN, SAMPLES, copied, restored

ROOT = GOLDEN.parents[1]
LABEL = {"x_client_class", "x_client_reason", "x_client_rules", "user_agent_parsed"}  # of the rules in force
RECORDS = [
    json.loads(line)
    for name in ("records.jsonl", "records-2.jsonl")
    for line in (SAMPLES / name).read_text("utf-8").splitlines()
]
BODIES = [json.loads(line) for line in (SAMPLES / "cassandra-bodies.jsonl").read_text("utf-8").splitlines()]
AT = 1_793_001_722  # 2026-10-26T08:02:02Z, when all samples were made


def held() -> dict[str, str]:
    """The checksums that are written down, by path."""
    lines = (SAMPLES / "SHA256SUMS").read_text("utf-8").splitlines()
    return {path: checksum for checksum, path in (line.split("  ") for line in lines)}


@pytest.mark.parametrize("path", sorted(held()))
def test_what_was_released_is_never_changed(path: str) -> None:
    """A change to a format makes a new version, with a sample or script of its own."""
    assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == held()[path], f"{path} was changed"


def test_every_sample_and_script_is_held() -> None:
    there = [path for path in SAMPLES.iterdir() if path.name not in ("README.md", "SHA256SUMS")]
    there += [path for folder in ("segments", "segments-2") for path in (GOLDEN / folder).iterdir()]
    there += (ROOT / "engagement/stores/sqlite/schema").glob("*.sql")
    there += (ROOT / "engagement/stores/cassandra/schema_scripts").glob("*.cql")
    there += [GOLDEN / "tokens" / "v1.jsonl", GOLDEN.parent / "golden_suppression" / "version-1.snapshot"]
    assert {path.relative_to(ROOT).as_posix() for path in there} == set(held())


@pytest.mark.parametrize("line", RECORDS, ids=lambda line: f"{line['sort']} {line['version']} {line['what']}")
def test_a_record_says_what_it_always_said(line: dict[str, Any]) -> None:
    event = decode(bytes.fromhex(line["record"]))
    written = {name: value for name, value in to_fields(event).items() if name not in LABEL}
    assert {name: written[name] for name in line["says"]} == line["says"]
    if isinstance(event, Hit):
        assert (event.hits, event.signals) == (line["hits"], line["signals"])


def test_there_is_a_record_of_each_version() -> None:
    found = {(line["sort"], msgpack.unpackb(bytes.fromhex(line["record"]))[0]) for line in RECORDS}
    expected = {("hit", version) for version in HIT_VERSIONS}
    expected |= {("injection", version) for version in INJECTION_VERSIONS}
    assert found == expected | {("message event", 1)}
    assert found == {(line["sort"], line["version"]) for line in RECORDS}
    assert "list_unsubscribe" in {line["says"]["type"] for line in RECORDS}


@pytest.mark.parametrize("line", BODIES, ids=lambda line: line["what"])
def test_a_body_in_cassandra_says_what_it_always_said(line: dict[str, Any]) -> None:
    """The column `body` of the wide rows, and a label before the present one."""
    source = source_of(bytes.fromhex(line["body"]))
    fields = source.fields() if isinstance(source, RowSource) else source
    assert {name: fields[name] for name in line["says"]} == line["says"]
    if line["class"]:
        assert isinstance(source, RowSource)
        label = Classification(
            ReaderClass(line["class"]), line["reason"], line["rules"], certain=line["certain"]
        )
        assert source.label == label_of(bytes.fromhex(line["label"])) == label


@pytest.mark.parametrize("number", range(1, len(migrations()) + 1))
def test_events_of_each_schema_are_there_after_it_was_brought_up(tmp_path: Path, number: int) -> None:
    path = restored(f"events-sqlite-{number}.sql", tmp_path / "events.db")
    store = SqliteStore(path, writing=True)
    store.roll_up()
    golden = json.loads((SAMPLES / "events-sqlite.json").read_text("utf-8"))
    if number < 4:  # which had no tags
        golden = [event for event in golden if "rcpt_tags" not in event]
    found = list(store.find(Query()))
    assert len(found) == len(golden) == (3 if number < 4 else 4)
    for event, expected in zip(found, golden, strict=True):
        written = {name: event.get(name) for name in expected if name not in LABEL}
        assert written == {name: value for name, value in expected.items() if name not in LABEL}
    store.close()
    assert len(list(SqliteStore(path).find(Query()))) == len(golden)


def test_the_registry_of_each_schema_is_read(tmp_path: Path) -> None:
    registry = SqliteRegistry(restored("registry-sqlite-1.sql", tmp_path / "registry.db"))
    document = registry.get("sample", "one")
    assert document is not None
    assert (document.data, document.version) == ({"name": "Ida", "n": [1, 2, 3]}, 2)
    assert [(each.key, each.document is None) for each in registry.changes("sample").changes] == [
        ("two", True),
        ("one", False),
    ]
    registry.close()


@pytest.mark.parametrize("number", [0, 1])
def test_the_followers_state_of_each_version_is_read(tmp_path: Path, number: int) -> None:
    path = restored(f"follow-{number}.sql", tmp_path / "follow.db")
    for _ in range(2):  # and still, once this program has written to it
        memory = QueueMemory(path)
        assert memory.cursor("/var/log/mail.log") == {"inode": 7, "offset": 1234}
        known = memory.of("4bQx1z0")
        assert (known.header, known.source, known.recipients, known.whole) == (
            "<a@example.org>",
            "4bQx0a1",
            2,
            True,
        )
        assert known.failed == {4711: Failed(2, "451 later", "451", "4.7.1", 21)}
        assert known.earlier == {4711: [("4bQx0a1", 12)]}
        memory.commit("/var/log/mail.log", {"inode": 7, "offset": 1234}, AT)
        memory.close()


def test_the_key_ring_is_read(tmp_path: Path) -> None:
    ring = load_ring(copied("keys-1", tmp_path / "keys"))
    assert [(key.id, key.status, key.created) for key in ring.keys] == [
        (1, KeyStatus.REVOKED, 1_767_600_000),
        (2, KeyStatus.ACCEPTED, 1_782_892_800),
        (3, KeyStatus.SIGNING, AT),
    ]
    assert b"".join(key.secret for key in ring.keys) == bytes(range(96))
    assert [key.note for key in ring.keys] == ["", "", "made for the move to the new host"]


def test_a_split_header_is_opened(tmp_path: Path) -> None:
    """Mail that lay in the hop's queue while the filter was replaced."""
    ring = load_ring(copied("keys-1", tmp_path / "keys"))
    opened = unseal((SAMPLES / "split-header-1").read_bytes(), ring, AT + 3600)
    assert isinstance(opened, tuple)
    client = Client(
        "192.0.2.7", "app.example.org", "shop", "198.51.100.1", 25, "smtp", "app", "mx1.example.org"
    )
    assert opened[0] == FirstPass(
        client, AT, 1_793_001_700, "ida@example.net", (b"a" * 8, b"b" * 8, b"c" * 8), b"f" * 16,
        (b"s" * 8,), b'{"campaign_id":"spring"}', ("ole@example.org",), {"plan": "gold"},
        {"binding": "west"}, name_of("ida@example.net"),
    )  # fmt: skip


def test_the_small_files_are_read(tmp_path: Path) -> None:
    assert load_stops(copied("stopped-1.json", tmp_path / "stopped.json")) == Stops(
        {"00" * 15 + "01": "Shop"},
        {"73120948816540217": ""},
        {"autumn-letter": ""},
        {"https://a.example/": "x"},
        {"https://b.example/": "https://c.example/"},
    )
    copied("domains-1.json", tmp_path / "domains.json")
    assert read_domains(tmp_path) == (
        DomainUse("click.example.org", AT, AT + 31_536_000),
        DomainUse("t.example.net:8443", AT, AT + 60),
    )
    entered = decoded_domains((SAMPLES / "tracking-domains-1.json").read_bytes())
    assert entered.names == {"go.example.org", "links.shop.example", "old.shop.example"}
    shop, ours = entered.of("shop"), entered.of("")
    assert shop is not None
    assert ours is not None
    assert (shop.domain, shop.secure, ours.domain, ours.secure) == (
        *("links.shop.example", True),
        *("go.example.org", False),
    )
    copied("spool-cursor-1.json", tmp_path / CURSOR)
    assert positions(tmp_path) == {"host-7-1793001722000000-000000": 8}
    copied("shipper-1.json", tmp_path / status.FILE)
    shipper = status.load(tmp_path)
    assert shipper is not None
    assert (shipper.pid, shipper.carried, shipper.last_error, shipper.busy) == (41, 1200, "no room", True)
    assert undoing.load(copied("setup-1.json", tmp_path / "setup.json")) == {
        Path("/etc/postfix/main.cf"): undoing.FileChange(b"a = 1\n", b"a = 2\n")
    }


def test_the_readers_who_objected_are_read(tmp_path: Path) -> None:
    objections = load_objections(copied("objections-1", tmp_path / "objections"))
    assert objections.addresses == {"ida@example.net"}
    assert objections.domains == {"example.org", "xn--bcher-kva.example"}
    assert objections.strange == ()


def test_a_clusters_documents_are_opened_and_its_state_is_read(tmp_path: Path) -> None:
    keys = sealing.load("news", copied("cluster-key-1", tmp_path / "cluster.key"))
    assert keys.keys == (bytes(range(32)), b"\x11" * 32)
    documents = json.loads((SAMPLES / "cluster-documents-1.json").read_text("utf-8"))
    stopped, allowed = "campaigns/autumn-letter", "messages/" + "00" * 15 + "01"
    assert _entries(keys.open("news/stops/0a", documents["news/stops/0a"])) == {
        stopped: Entry(Stamp(AT * 1000, "mx1.example.org"), "Shop"),
        allowed: Entry(Stamp(AT * 1000 + 1, "mx2.example.org"), None),
    }
    assert hosts.opened(keys, "news/mx1.example.org", documents["news/mx1.example.org"]) == hosts.HostReport(
        "mx1.example.org", AT * 1000, "0.1.0", {"1": "0badcafe", "77": "deadbeef"}, 77,
        {"ring": "0123456789ab"}, {"rules": "50-ours.toml:1: no TOML"}, "00112233aabbccdd",
    )  # fmt: skip
    copied("cluster-state-1.json", tmp_path / state.NAME)
    found = state.load(tmp_path)
    assert found is not None
    assert found.host == "mx1.example.org"
    assert found.sorts["stops"] == {
        stopped: (Stamp(AT * 1000, "mx1.example.org"), state.digest("Shop")),
        allowed: (Stamp(AT * 1000 + 1, "mx2.example.org"), None),
    }


def test_a_cursor_of_the_api_goes_on_where_it_was() -> None:
    assert unpacked((SAMPLES / "events-cursor-1").read_text("ascii").strip()) == Cursor(
        Filters(1_793_000_000_000, 1_793_100_000_000, ("click",), campaigns=("spring",)),
        "2026-10-26T08:10:22.000Z/01a17742-b1b0-7000-8001-8da185b98d98",
        42,
    )


def test_counters_are_read_or_refused_as_a_whole(tmp_path: Path) -> None:
    """They begin anew with each start of the filter: no upgrade needs to keep them."""
    path = copied("milter.counters-1", tmp_path / FILE_NAME)
    Counters.create(1, tmp_path / "now")
    if path.read_bytes()[:16] == (tmp_path / "now" / FILE_NAME).read_bytes()[:16]:  # the same names
        assert Counters.open(tmp_path).totals()["messages"] == 3
        return
    with pytest.raises(CountersError, match="written by another version; restart the filter"):
        Counters.open(tmp_path)


def test_a_configuration_that_sets_every_option_of_its_time_is_read() -> None:
    settings = load_file(SAMPLES / "smtpapi-1.conf")
    assert settings.follow.state == "/var/lib/smtpapi/follow.db"
    text = (SAMPLES / "smtpapi-1.conf").read_text("utf-8")
    assert len(re.findall(r"(?m)^ +\w+ = ", text)) >= 100
