"""For the fault tests of Cassandra: a spool under load with its shipper, and a wire to cut. Not a test."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contract.store_samples import RING
from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.record import encode
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.settings.schema import CassandraClientStanza
from engagement.shipper.loop import Shipper
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from engagement.stores.cassandra.store import CassandraStore

BROWSER = "Mozilla/5.0 (X11) Firefox/140.0"


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Site:
    """A writer under load and a shipper, as threads; the ids of all that was spooled."""

    def __init__(self, folder: Path, client: CassandraClientStanza, *, renew_after: float = 60.0) -> None:
        self.spool = folder / "spool"
        self.ids: list[str] = []
        self.events: list[Hit] = []
        self.longest_append = 0.0
        self.store = CassandraStore(client, renew_after=renew_after)
        self.writer = SpoolWriter(self.spool, segment_size=65536)
        self.shipper = Shipper(self.spool, self.store, portion=65536)
        self._names = EventIds(b"8 chance")
        self._stop_load, self._stop = threading.Event(), threading.Event()
        self._load = threading.Thread(target=self._write)
        self._ship = threading.Thread(target=self.shipper.run, args=(self._stop,))

    def start(self) -> None:
        self._load.start()
        self._ship.start()

    def hit(self, number: int) -> Hit:
        now = time.time()
        identity = Identity(
            (number // 3).to_bytes(16, "big"),
            7,
            f"r{number // 3}@example.net",
            int(now),
            int(now) + 60,
            "",
            "c",
        )
        sealer = copy_sealer(RING.signing, identity)
        packed = open_token(sealer.seal(Kind.CLICK, Link(b"https://example.org/%d" % number)), RING).packed
        at = int(now * 1000)
        return Hit(
            *(self._names.next(at), Kind.CLICK, at, packed, "", "203.0.113.9", BROWSER, "", "GET", "h"),
            spoiled=False,
            expired=False,
        )

    def _write(self) -> None:
        number = 0
        while not self._stop_load.wait(0.005):
            hit = self.hit(number)
            record = encode(hit)
            began = time.monotonic()
            if self.writer.append(record):
                self.ids.append(hit.id)
                self.events.append(hit)
            self.longest_append = max(self.longest_append, time.monotonic() - began)
            number += 1

    def end_of_load(self) -> None:
        self._stop_load.set()
        self._load.join()
        self.writer.close()

    def drained(self, seconds: float = 60) -> None:
        """See that all waiting goes into the store by itself."""
        until(lambda: SpoolReader(self.spool).backlog().records == 0, seconds, "a drained spool")

    def stop(self) -> None:
        self._stop_load.set()
        self._stop.set()
        for thread in (self._load, self._ship):
            if thread.ident is not None:
                thread.join(60)
        self.store.close()


@contextlib.contextmanager
def under_load(folder: Path, client: CassandraClientStanza, *, renew_after: float = 60.0) -> Iterator[Site]:
    site = Site(folder, client, renew_after=renew_after)
    site.start()
    try:
        yield site
    finally:
        site.stop()


def check(site: Site, client: CassandraClientStanza) -> None:
    """Each spooled event is there once, in both tables, and nothing else is."""
    store = CassandraStore(client)
    for table in ("event_by_message", "event_by_hour"):
        found = [
            str(name) for (name,) in store.connection.say(f"SELECT event_id FROM {client.keyspace}.{table}")
        ]
        assert sorted(found) == sorted(site.ids), table
    store.connection.close()
    assert site.shipper.status.set_aside == 0
