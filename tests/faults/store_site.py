"""A tracker and a shipper whose Cassandra can be broken in many ways. Not a test."""

import time
from collections.abc import Callable
from pathlib import Path

from cassandra_site import Node
from cassandra_wire import Wire
from engagement.settings import load_file
from engagement.shipper import status
from engagement.spool.read import SpoolReader
from engagement.stores import migrate_store
from faults.pipeline import Pipeline

FAULTS = ("pause", "kill", "slow", "deaf", "login")
SOON = {"connect_timeout": 2000, "request_timeout": 2000}  # milliseconds until the driver gives up


class StoreSite(Pipeline):
    """node: started, with --auth if "login" is among the faults. wired: the driver goes through a wire."""

    def __init__(
        self, folder: Path, node: Node, keyspace: str, *, sync: str = "group", wired: bool = True
    ) -> None:
        self.node = node
        self.wire = Wire(node.port)
        options: dict[str, object] = dict(SOON)
        self._password = folder / "password"
        self._right = node.variables.get("CASSANDRA_PASSWORD", "") + "\n"
        self._password.write_text(self._right)
        if "CASSANDRA_USERNAME" in node.variables:
            options |= {"user": node.variables["CASSANDRA_USERNAME"], "password_file": str(self._password)}
        stanza = node.stanza(keyspace, **options)
        if wired:
            stanza = stanza.replace(f"port={node.port}", f"port={self.wire.port}")
        super().__init__(folder, sync=sync, store="store { engine = cassandra }\n" + stanza)

    def migrate(self) -> None:
        migrate_store(load_file(self.config), lambda _: None)

    def broken(self, fault: str) -> Callable[[], None]:
        """Break it, and return what mends it.

        pause: SIGSTOP. kill: SIGKILL. slow: 0.3 s an answer. deaf: what was written is stored, the answers
        are thrown away. login: all connections cut, and the password refused.
        """
        if fault == "pause":
            self.node.pause()
            return self.node.resume
        if fault == "kill":
            self.node.kill()
            return self.node.restart
        if fault == "slow":
            self.wire.slow = 0.3
        elif fault == "deaf":
            self.wire.deaf = True
        elif fault == "login":
            self._password.write_text("wrong\n")
            self.wire.cut()
        return self._well

    def _well(self) -> None:
        self._password.write_text(self._right)
        self.wire.slow, was_deaf = 0.0, self.wire.deaf
        self.wire.deaf = False
        if was_deaf:
            self.wire.cut()

    def waiting(self) -> int:
        return SpoolReader(self.spool).backlog().records

    def shipper_status(self) -> status.ShipperStatus:
        return status.load(self.spool) or status.ShipperStatus()

    def catches_up(self, seconds: float = 300) -> float:
        """Seconds until no more waits than behind a shipper that keeps up."""
        began = time.monotonic()
        while self.waiting() > 20:
            assert time.monotonic() - began < seconds, (
                f"not drained in {seconds:.0f} s: {self.shipper_status()}"
            )
            time.sleep(0.2)
        return time.monotonic() - began
