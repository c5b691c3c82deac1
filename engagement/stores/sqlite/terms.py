"""Texts that many rows share, each stored once and named by a number."""

import sqlite3
from collections.abc import Mapping
from typing import Final

_MOST: Final = 200_000  # remembered; some 20 MB
_ADD: Final = "INSERT INTO term (text) VALUES (?) ON CONFLICT DO NOTHING"
_NUMBER: Final = "SELECT id FROM term WHERE text = ?"
_TEXT: Final = "SELECT text FROM term WHERE id = ?"


class _Numbers(dict[str, int]):
    """Texts and their numbers; a text that is not remembered is read, or stored."""

    def __init__(self, terms: "Terms") -> None:
        super().__init__({"": 0})
        self._terms = terms
        self.connection: sqlite3.Connection | None = None

    def __missing__(self, text: str) -> int:
        assert self.connection is not None, "no transaction"
        self.connection.execute(_ADD, (text,))
        return self._terms.number(self.connection, text)


class Terms:
    """The dictionary of a file, remembered in part. Not safe to share between threads."""

    def __init__(self) -> None:
        self._numbers = _Numbers(self)
        self._texts: dict[int, str] = {0: ""}

    def forget(self) -> None:
        """Forget everything: a transaction was taken back, or another file is there."""
        self._numbers = _Numbers(self)
        self._texts = {0: ""}

    def numbers(self, connection: sqlite3.Connection) -> Mapping[str, int]:
        """Return the number of any text. New ones are stored, in a transaction of the caller's."""
        if len(self._numbers) > _MOST:
            self.forget()
        self._numbers.connection = connection
        return self._numbers

    def number(self, connection: sqlite3.Connection, text: str) -> int:
        """Return a text's number, -1 if it has none."""
        found = self._numbers.get(text)
        if found is None:
            line = connection.execute(_NUMBER, (text,)).fetchone()
            if line is None:
                return -1
            found = int(line[0])
            self._numbers[text], self._texts[found] = found, text
        return found

    def text(self, connection: sqlite3.Connection, number: int) -> str:
        """Return the text of a number."""
        found = self._texts.get(number)
        if found is None:
            found = str(connection.execute(_TEXT, (number,)).fetchone()[0])
            if len(self._texts) > _MOST:
                self.forget()
            self._numbers[found], self._texts[number] = number, found
        return found
