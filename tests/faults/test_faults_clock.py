"""The clock moved a day back and forth under tracker and shipper: ids stay unique, nothing is refused."""

import os
from pathlib import Path

import pytest

from cassandra_site import Node
from engagement.settings import load_file
from engagement.stores import migrate_store, open_store
from engagement.stores.port import Query
from faults.pipeline import Clicker, Pipeline, end

_DAY = 86_400
# Every Python process of the site reads its clock through this.
_CUSTOMIZE = """
import os, time
_time, _time_ns, _file = time.time, time.time_ns, os.environ["CLOCK_FILE"]

def _shift():
    with open(_file) as file:
        return int(file.read() or "0")

time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + _shift() * 10**9
"""


class Clock:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        (folder / "python").mkdir()
        (folder / "python" / "sitecustomize.py").write_text(_CUSTOMIZE)
        path = os.pathsep.join((str(folder / "python"), os.environ.get("PYTHONPATH", "")))
        self.environment = {"CLOCK_FILE": str(self.file), "PYTHONPATH": path.rstrip(os.pathsep)}
        self.set(0)

    def set(self, seconds: int) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds}")
        fresh.replace(self.file)


@pytest.mark.parametrize("engine", ["sqlite", "cassandra"])
def test_a_clock_that_jumps_refuses_nothing_and_no_event_is_lost(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    clock, store = Clock(tmp_path), ""
    if engine == "cassandra":
        node: Node = request.getfixturevalue("cassandra_node")
        store = "store { engine = cassandra }\n" + node.stanza(f"clock_{os.getpid()}")
    site = Pipeline(tmp_path, store=store, environment=clock.environment)
    migrate_store(load_file(site.config), lambda _: None)
    answered: list[str] = []
    with site.tracker(), site.shipper():
        for turn, days in enumerate((0, -1, 1, 0, 1, -1, 0)):
            clock.set(days * _DAY)
            crew = [Clicker(site, f"t{turn}c{number}", most=40) for number in range(2)]
            for each in crew:
                each.start()
            for each in crew:
                each.join(60)
            answered += end(crew)
        assert len(answered) == 7 * 2 * 40  # each was answered as at any other time
        site.drained()
    found = site.agents()
    assert sorted(found) == sorted(answered)
    assert set(found.values()) == {1}
    events = open_store(load_file(site.config))
    ids = [event["event_id"] for event in events.find(Query(limit=10_000))]
    events.close()
    assert len(set(ids)) == len(ids) == len(answered)
    assert not (site.spool / "corrupt").exists()
