"""Datasources for policies (msys.db): SQLite files, read only, answered from memory while an answer is fresh.

The stanza `datasource NAME { uri = ( "sqlite:PATH" ) }` names them; the defaults of its other options are
Momentum's.
"""

import os
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engagement.settings.schema import Datasource

_BUSY_SECONDS = 0.2  # that a query waits for a file that another process has locked; less than _LONGEST
_LONGEST = 0.5  # seconds of one query; a hook has two by default (`policy { lua_time }`)
_STEPS = 10_000  # of SQLite's machine between two looks at the clock: about 0.1 ms

Values = Mapping[str, object] | tuple[object, ...]


class Rows(NamedTuple):
    """The answer to a query. rows: None is NULL; text is in UTF-8."""

    names: tuple[bytes, ...]
    rows: tuple[tuple[object, ...], ...]


class DataError(Exception):
    """Raised for a query that cannot be answered."""


class DataSources:
    """The datasources of one configuration, by name. Threads share them; queries wait for each other."""

    def __init__(self, declared: Mapping[str, Datasource]) -> None:
        self._sources = {name: _Source(each) for name, each in declared.items()}

    def query(self, name: str, text: str, values: Values, *, cached: bool) -> Rows:
        """Return the rows of a query. Raises `DataError`."""
        source = self._sources.get(name)
        if source is None:
            raise DataError(f'no datasource is named {name}: datasource "{name}" {{ uri = ("sqlite:PATH") }}')
        return source.query(text, values, cached=cached)


class _Source:
    def __init__(self, declared: Datasource) -> None:
        self._declared = declared
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._answers: OrderedDict[tuple[str, Values | frozenset[object]], tuple[float, Rows]] = OrderedDict()

    def query(self, text: str, values: Values, *, cached: bool) -> Rows:
        key = (text, frozenset(values.items()) if isinstance(values, Mapping) else values)
        declared = self._declared
        with self._lock:
            found = self._answers.get(key)
            if cached and found is not None and time.monotonic() - found[0] < declared.cache_life:
                return found[1]
            answer = self._execute(text, values)
            if declared.cache_size:
                self._answers[key] = (time.monotonic(), answer)
                self._answers.move_to_end(key)
                while len(self._answers) > declared.cache_size:
                    self._answers.popitem(last=False)
            return answer

    def _execute(self, text: str, values: Values) -> Rows:
        end = time.monotonic() + _LONGEST
        try:
            connection = self._connected()
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            cursor = connection.execute(text, values)
            names = tuple(column[0].encode() for column in cursor.description or ())
            rows = cursor.fetchmany(self._declared.max_rows)
            cursor.close()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise DataError(f"{self._declared.path}: {error}") from None
        return Rows(names, tuple(tuple(map(_value, row)) for row in rows))

    def _connected(self) -> sqlite3.Connection:
        """Return this process's own connection; one that came over a fork is left alone."""
        if self._connection is None or self._process != os.getpid():
            uri = f"{Path(self._declared.path).absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._connection.execute("PRAGMA query_only = 1")
            self._process = os.getpid()
        return self._connection


def _value(value: object) -> object:
    return value.encode() if isinstance(value, str) else value
