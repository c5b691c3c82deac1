"""The suppression list beside a running filter: its registry, and the shipper that copies it."""

import itertools
import smtplib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engagement.registry.sqlite import SqliteRegistry
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore
from engagement.suppression import book
from engagement.suppression.model import Entry, MailKind
from mta.mta_site import SMTPAPI, Filter, until

# What the filter does, by the address that a client comes from.
CLIENTS = {"remove": "127.0.0.1", "refuse": "127.0.0.3", "refuse_at_rcpt": "127.0.0.4", "off": "127.0.0.5"}
_NUMBERS = itertools.count(1)


def stanzas(folder: Path) -> str:
    """Return configuration for filter and shipper. folder: where registry, copy and store are."""
    peers = " ".join(
        f'Peer "{address}/32" {{ suppression_action = {action} }}' for action, address in CLIENTS.items()
    )
    return f"""
suppression {{ snapshot = "{folder}/list/suppressed.snapshot" }}
registry {{ path = "{folder}/list/registry.db" }}
store {{ path = "{folder}/list/events.db" }}
ESMTP_Listener {{ {peers} }}
"""


@dataclass
class SuppressionSite:
    """The list of one filter of one worker, with its shipper running. port: where mail comes in."""

    folder: Path
    registry: SqliteRegistry
    port: int

    def put(self, *entries: Entry) -> None:
        """Add entries, and wait until the filter has them."""
        marker = f"marker{next(_NUMBERS)}@a.sink.test"
        for each in (*entries, Entry(marker, MailKind.NON_TRANSACTIONAL)):
            book.add(self.registry, each)
        until(lambda: self.rcpt("refuse_at_rcpt", marker)[0] == 554, 20, "the filter to have the list")

    def rcpt(self, client: str, recipient: str) -> tuple[int, bytes]:
        """Return the answer to RCPT."""
        with self._session(client) as smtp:
            assert smtp.mail("news@sender.test")[0] == 250
            return smtp.rcpt(recipient)

    def send(self, client: str, recipients: Sequence[str], mail: bytes) -> tuple[int, bytes]:
        """Return the answer to the end of the mail. Every recipient has to be taken at RCPT."""
        with self._session(client) as smtp:
            assert smtp.mail("news@sender.test")[0] == 250
            for each in recipients:
                assert smtp.rcpt(each)[0] == 250
            return smtp.data(mail)

    def _session(self, client: str) -> smtplib.SMTP:
        smtp = smtplib.SMTP("127.0.0.1", self.port, timeout=60, source_address=(CLIENTS[client], 0))
        smtp.ehlo("client.test")
        return smtp

    def events(self, recipient: str, count: int) -> list[dict[str, Any]]:
        """Return what the store has of a recipient, by type, once there is so much of it."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            store = SqliteStore(self.folder / "list" / "events.db")
            found[:] = sorted(store.find(Query(recipients=(recipient,))), key=lambda each: str(each["type"]))
            store.close()
            return len(found) >= count

        until(enough, 20, f"{count} events of {recipient}")
        return found


@contextmanager
def listed(filter_: Filter, folder: Path, port: int) -> Iterator[SuppressionSite]:
    """Run the shipper of a filter whose configuration has `stanzas`."""
    (folder / "list").mkdir(exist_ok=True)
    with (folder / "ship.log").open("wb") as log:
        shipper = subprocess.Popen([str(SMTPAPI), "ship", "--config", str(filter_.config)], stderr=log)
        registry = SqliteRegistry(folder / "list" / "registry.db")
        try:
            yield SuppressionSite(folder, registry, port)
        finally:
            registry.close()
            shipper.terminate()
            shipper.wait(20)
