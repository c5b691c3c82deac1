"""The stored samples of every format, put where programs look. Not a test; imported by those beside it."""

import shutil
import sqlite3
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
SAMPLES = GOLDEN / "formats"


def copied(name: str, path: Path, *, replaced: tuple[str, str] = ("", "")) -> Path:
    """A copy of a sample at path, of mode 0600. replaced: text of it, and what stands there instead."""
    data = (SAMPLES / name).read_bytes()
    before, after = (each.encode() for each in replaced)
    assert data.count(before) == 1 or not before
    path.write_bytes(data.replace(before, after) if before else data)
    path.chmod(0o600)
    return path


def restored(name: str, path: Path, number: int | None = None) -> Path:
    """A file of SQLite made of a sample's statements. number: of its schema, instead of the sample's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript((SAMPLES / name).read_text("utf-8"))
    connection.execute("PRAGMA journal_mode = WAL")  # as each program leaves it
    if number is not None:
        connection.execute(f"PRAGMA user_version = {number}")
    connection.close()
    return path


def spool(path: Path, folder: str = "segments-2") -> Path:
    """A spool as a sample has it."""
    path.mkdir()
    for each in (GOLDEN / folder).glob("host-*"):
        shutil.copy(each, path)
    return path
