"""The connection to a Cassandra cluster: opened at first use, replaced when it fails.

How it is opened and its errors explained: `driver`. No statement of the store is here (`queries`). One object
a process; safe to share between threads.
"""

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from cassandra import DriverException, InvalidRequest, OperationTimedOut, Timeout
from cassandra.cluster import Cluster, NoHostAvailable, Session
from cassandra.concurrent import execute_concurrent
from cassandra.connection import ConnectionException
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, PreparedStatement

from engagement.settings.schema import CassandraClientStanza
from engagement.stores.cassandra.driver.errors import explained
from engagement.stores.cassandra.driver.session import name_of, opened
from engagement.stores.port import StoreError

T = TypeVar("T")
Values = Sequence[object]

RENEW_SECONDS: Final = 60.0  # after so long without a success a new Cluster resolves names again
SCHEMA_SECONDS: Final = 60.0
CONCURRENT: Final = 64  # writes under way at a time, where the cluster keeps up;
LEAST_CONCURRENT: Final = 4  # halved down to this at each time-out, and slowly raised again
# Below `batch_size_warn_threshold` of 5 KiB, as Cassandra is delivered, for rows of 150 bytes, or of 900.
BATCH: Final = 24
SMALL_BATCH: Final = 4
SMALL_BATCHES: Final = frozenset({"event_by_message"})


class RefusedError(Exception):
    """Cassandra refused a statement: the tables are not as expected, or a value is too long."""


class Connection:
    """Runs prepared statements by name. statements: CQL by name, with `{keyspace}` in it.

    ready: called with each new connection; it raises StoreError if the keyspace is not fit for use.
    renew_after: seconds without a success until a new Cluster is made. All methods raise StoreError and
    RefusedError.
    """

    def __init__(
        self,
        stanza: CassandraClientStanza,
        statements: Mapping[str, str],
        *,
        ready: Callable[["Connection"], None] = lambda _: None,
        renew_after: float = RENEW_SECONDS,
    ) -> None:
        self.stanza = stanza
        self._statements = statements
        self._ready = ready
        self._renew_after = renew_after
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._prepared: dict[str, PreparedStatement] = {}
        self._last_success = 0.0  # when something last succeeded, or the connection was made
        self._closed = False
        self.concurrent = CONCURRENT
        self.made = 0  # how many Clusters were made

    # --- asking ---

    def read(self, name: str, values: Values) -> list[tuple[Any, ...]]:
        """Return all lines of one result."""
        return self._guarded(lambda session: list(session.execute(self._bound(session, name, values))))

    def read_each(self, name: str, several: Sequence[Values]) -> list[list[tuple[Any, ...]]]:
        """Return the lines of several results, in the order of `several`; all are queried at once."""
        return self.read_several([(name, values) for values in several])

    def read_several(self, several: Sequence[tuple[str, Values]]) -> list[list[tuple[Any, ...]]]:
        """Return the lines of the results of several statements, in that order; all are queried at once."""
        if not several:
            return []

        def work(session: Session) -> list[list[tuple[Any, ...]]]:
            bound = [(self._bound(session, name, values), None) for name, values in several]
            answers = execute_concurrent(session, bound, concurrency=CONCURRENT, raise_on_first_error=True)
            return [list(answer) for _, answer in answers]

        return self._guarded(work)

    def stream_each(self, name: str, several: Sequence[Values], page: int) -> list[Iterator[tuple[Any, ...]]]:
        """Return the lines of several results; only the first pages are fetched at once."""
        return self.stream_several([(name, values, page) for values in several])

    def stream_several(self, several: Sequence[tuple[str, Values, int]]) -> list[Iterator[tuple[Any, ...]]]:
        """Return the lines of the results of several statements, each with the number of lines of a page."""

        def work(session: Session) -> list[Any]:
            bound: list[Any] = []
            for name, values, page in several:
                statement = self._bound(session, name, values)
                statement.fetch_size = page
                bound.append((statement, None))
            answers = execute_concurrent(session, bound, concurrency=CONCURRENT, raise_on_first_error=True)
            return [answer for _, answer in answers]

        return [self._lines(answer) for answer in self._guarded(work)] if several else []

    def _lines(self, answer: Any) -> Iterator[tuple[Any, ...]]:
        while True:
            yield from answer.current_rows
            if not answer.has_more_pages:
                return
            self._guarded(lambda _session: answer.fetch_next_page())

    # --- writing ---

    def write(self, several: Sequence[tuple[str, Values]]) -> None:
        """Write all, in any order, or raise; then some may have been written."""
        self.write_batches([(name, [values]) for name, values in several])

    def write_batches(self, several: Sequence[tuple[str, Sequence[Values]]]) -> None:
        """Write rows in unlogged batches. The rows of each item must be in one partition."""
        if not several:
            return

        def work(session: Session) -> None:
            bound = [(each, None) for name, rows in several for each in self._batches(session, name, rows)]
            execute_concurrent(session, bound, concurrency=self.concurrent, raise_on_first_error=True)

        self._guarded(work)
        self.concurrent = min(CONCURRENT, self.concurrent + 1)

    def _batches(self, session: Session, name: str, rows: Sequence[Values]) -> Iterator[Any]:
        if len(rows) == 1:
            yield self._bound(session, name, _set_only(rows[0]))
            return
        size = SMALL_BATCH if name in SMALL_BATCHES else BATCH
        for start in range(0, len(rows), size):
            batch = BatchStatement(BatchType.UNLOGGED)
            batch.is_idempotent = True
            for values in rows[start : start + size]:
                batch.add(self._bound(session, name, _set_only(values)))
            yield batch

    def say(self, cql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement that is not prepared, for changes of the schema, which are slow. values: for %s."""
        return self._guarded(
            lambda session: list(session.execute(cql, values or None, timeout=SCHEMA_SECONDS) or ())
        )

    def agreed(self) -> bool:
        """Tell whether all nodes have the same schema."""
        return self._guarded(
            lambda session: bool(session.cluster.control_connection.wait_for_schema_agreement())
        )

    def nodes_up(self) -> list[tuple[str, str, bool]]:
        """Return (address, data centre, whether it is up) of each node known."""
        return self._guarded(
            lambda session: sorted(
                (str(host.address), str(host.datacenter), bool(host.is_up))
                for host in session.cluster.metadata.all_hosts()
            )
        )

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._closed = True
            self._drop()

    # --- the connection ---

    def _bound(self, session: Session, name: str, values: Values) -> Any:
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = session.prepare(self._statements[name].format(keyspace=self.stanza.keyspace))
            prepared.is_idempotent = True
            self._prepared[name] = prepared
        return prepared.bind(values)

    def _guarded(self, work: Callable[[Session], T]) -> T:
        try:
            result = work(self._connected())
        except InvalidRequest as error:
            raise RefusedError(str(error)) from error
        except struct.error as error:  # of the driver, for a part of a key of more than 64 KiB
            raise RefusedError(f"a value is too long for a key ({error})") from error
        except (DriverException, NoHostAvailable, ConnectionException, OSError) as error:
            with self._lock:
                if isinstance(error, Timeout | OperationTimedOut):
                    self.concurrent = max(LEAST_CONCURRENT, self.concurrent // 2)
                if time.monotonic() - self._last_success > self._renew_after:
                    self._drop()
            raise StoreError(explained(self.stanza, error)) from error
        self._last_success = time.monotonic()
        return result

    def _connected(self) -> Session:
        with self._lock:
            if self._closed:
                raise StoreError(f"{name_of(self.stanza)}: the store was closed")
            if self._process != os.getpid():  # the driver's threads do not exist in a forked child
                self._cluster = self._session = None
                self._prepared = {}
                self._process = os.getpid()
            if self._session is None:
                self._session = self._connect()
                self._last_success = time.monotonic()
                try:
                    self._ready(self)
                except BaseException:
                    self._drop()
                    raise
            return self._session

    def _connect(self) -> Session:
        self.made += 1
        self._cluster, session = opened(self.stanza)
        return session

    def _drop(self) -> None:
        cluster, self._cluster, self._session, self._prepared = self._cluster, None, None, {}
        if cluster is not None and self._process == os.getpid():
            cluster.shutdown()

    def recheck(self) -> None:
        """Check again whether the keyspace is fit for use, after a refusal. Raises StoreError."""
        with self._lock:
            self._prepared = {}
        self._ready(self)


def _set_only(values: Values) -> Values:
    """Leave out what is None: writing nothing costs nothing, writing null a tombstone."""
    return [UNSET_VALUE if value is None else value for value in values]
