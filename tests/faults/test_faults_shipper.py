"""The shipper killed at each of its steps, and segments shipped again in any order: the same set of rows."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from cassandra_site import Node, empty
from engagement.events.ids import EventIds
from engagement.events.model import Event, Hit, Injection
from engagement.events.record import encode
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.settings import load_file
from engagement.shipper.loop import Shipper
from engagement.spool.write import SpoolWriter
from engagement.stores import open_store
from engagement.stores.cassandra.store import CassandraStore
from engagement.stores.port import MAX_LIMIT, EventStore, Query

STEPS = ("add", "half", "added", "cursor", "replaced", "unlink", "unlinked")
# The ones that follow from the events; the others say which shipper wrote, and when.
TABLES = (
    "event_by_message",
    "injection_by_message",
    "event_by_hour",
    "message_by_recipient",
    "figure_by_hour",
)
_LONG = int(os.environ.get("SHIPPER_KILLS", "400"))
_RING = Ring().rotated(b"k" * 32, 1)
_IDS = EventIds(b"8 chance")


def events(count: int) -> list[Event]:
    """Injections and hits of some messages, of the last minutes."""
    now = int(time.time() * 1000) - 600_000
    made: list[Event] = []
    for number in range(count):
        message, at = number % 17, now + 700 * number
        whose = Identity(
            message.to_bytes(16, "big"), 7, f"r{message}@rcpt.test", now // 1000, now // 1000 + 60
        )
        if number < 17:
            values = (
                "a@s.test",
                "a@s.test",
                "Hello",
                "",
                (),
                "",
                "",
                False,
                True,
                True,
                False,
                False,
                99,
                "q",
                "",
            )
            made.append(Injection(_IDS.next(at), at, whose.message_id, 7, whose.recipient, *values, {}))
            continue
        link = Link(b"https://shop.example/%d" % number)
        packed = open_token(copy_sealer(_RING.signing, whose).seal(Kind.CLICK, link), _RING).packed
        made.append(
            Hit(
                # An address for each message: what one did in many is forgotten by a kill (docs/classify.md).
                *(_IDS.next(at), Kind.CLICK, at, packed, "", f"192.0.2.{message}", "Firefox", "", "GET", "h"),
                False,
                False,
            )
        )
    return made


class Site:
    """A configuration, its spool, and its store to look at."""

    def __init__(self, folder: Path, store: str) -> None:
        self.config = folder / "smtpapi.conf"
        self.spool = folder / "spool"
        self.config.write_text(f'smtpapi {{ }}\nspool {{ directory = "{self.spool}" }}\n{store}')

    def fill(self, count: int, size: int = 5000) -> None:
        writer = SpoolWriter(self.spool, segment_size=size)
        for event in events(count):
            assert writer.append(encode(event))
        writer.close()

    def store(self) -> EventStore:
        return open_store(load_file(self.config), writing=True)

    def rows(self) -> dict[str, list[str]]:
        """All that is stored, by table where there are tables of ours to look into."""
        store = self.store()
        try:
            store.roll_up()
            query = Query(expired=True, limit=MAX_LIMIT)
            found = {"found": [repr(event) for event in store.find(query)]}
            if isinstance(store, CassandraStore):
                keyspace = store.connection.stanza.keyspace
                for table in TABLES:
                    lines = store.connection.say(f"SELECT * FROM {keyspace}.{table}")
                    found[table] = sorted(map(repr, lines))
            return found
        finally:
            store.close()

    def ship(self) -> None:
        store = self.store()
        try:
            assert Shipper(self.spool, store).drain(60)
        finally:
            store.close()


@pytest.fixture(params=["sqlite", "cassandra"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Each engine that is kept on disk, empty."""
    if request.param == "sqlite":
        yield Site(tmp_path, f'store {{ path = "{tmp_path}/events.db" }}\n')
        return
    node: Node = request.getfixturevalue("cassandra_node")
    store = CassandraStore(node.migrated("killed"))
    empty(store)
    store.close()
    yield Site(tmp_path, "store { engine = cassandra }\n" + node.stanza("killed"))


def _emptied(site: Site) -> None:
    store = site.store()
    if isinstance(store, CassandraStore):
        empty(store)
    store.close()
    for path in site.config.parent.glob("events.db*"):
        path.unlink()
    shutil.rmtree(site.spool)


def _killed(site: Site, lives: list[str]) -> None:
    """Ship in these lives and a last one, then as if nothing had happened: the rows must be the same."""
    copies = site.config.parent / "kept"
    shutil.copytree(site.spool, copies)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ship_program.py")), str(site.config), *lives],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines == [*(f"{life} signal 9" for life in lives), "none:0 exit 0"], (lines, done.stderr[-2000:])
    assert not list(site.spool.glob("*.ready"))
    assert not (site.spool / "corrupt").exists()
    disturbed = site.rows()
    _emptied(site)
    copies.rename(site.spool)
    site.ship()
    assert disturbed == site.rows()


def test_a_shipper_killed_at_each_step_leaves_the_same_rows(site: Site) -> None:
    site.fill(300)
    _killed(site, [f"{step}:{number}" for number in (1, 2) for step in STEPS])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_shipper_killed_hundreds_of_times_leaves_the_same_rows(site: Site) -> None:
    """At steps of chance; each life comes some way before it ends."""
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    lives = [f"{chance.choice(STEPS)}:{chance.randint(1, 2)}" for _ in range(_LONG)]
    site.fill(40 * _LONG)
    print(f"\n{len(lives)} kills, {40 * _LONG} events, seed {seed}")
    _killed(site, lives)


def test_segments_shipped_three_times_in_any_order_leave_the_same_rows(site: Site) -> None:
    site.fill(90, 7000)
    originals = [path.read_bytes() for path in sorted(site.spool.glob("*.ready"))]
    assert len(originals) == 3
    first: dict[str, list[str]] = {}
    for order in permutations(range(3)):
        for place in (*order, *order[::-1], *order):
            (site.spool / f"h-1-{place}-000000.ready").write_bytes(originals[place])
            site.ship()
        first = first or site.rows()
        assert site.rows() == first
    assert len(first["found"]) == 90
