"""A real Cassandra broken behind a real tracker: readers notice nothing, and the backlog drains by itself."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_site import Node
from engagement.settings import load_file
from engagement.stores import migrate_store
from faults.pipeline import Clicker, end, until
from faults.store_site import FAULTS, StoreSite

_MINUTES = float(os.environ.get("FAULT_MINUTES", "2"))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One that asks for passwords."""
    made = Node("dead", "--auth")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _crew(site: StoreSite) -> list[Clicker]:
    crew = [Clicker(site, f"c{number}", pause=0.02) for number in range(2)]
    for each in crew:
        each.start()
    return crew


def _check(site: StoreSite, answered: list[str]) -> None:
    """Each answered click and open is stored once, and nothing was set aside."""
    stored = site.agents()
    assert sorted(stored) == sorted(answered)
    assert set(stored.values()) == {1}
    assert site.shipper_status().set_aside == 0


def _median(crew: list[Clicker], since: float, until_: float) -> float:
    return statistics.median(took for each in crew for at, _, took in each.times if since <= at < until_)


def _hurt(site: StoreSite, faults: tuple[str, ...], seconds: float) -> None:
    """Each fault in turn under load, with one tracker and one shipper that nobody starts again."""
    with site.tracker(), site.shipper() as shipper:
        crew = _crew(site)
        until(lambda: site.shipper_status().carried > 20, 30, "some events shipped")
        for fault in faults:
            site.catches_up()
            began = time.monotonic()
            time.sleep(min(seconds, 10))
            broke = time.monotonic()
            mend = site.broken(fault)
            try:
                if fault != "slow":  # what is slow enough to fail is not for sure
                    until(lambda: site.shipper_status().failing, 40, f"an error ({fault})")
                time.sleep(seconds)
                mended = time.monotonic()
            finally:
                mend()
            site.catches_up()
            quiet, dead = _median(crew, began, broke), _median(crew, broke, mended)
            print(f"{fault}: {quiet * 1000:.2f} ms alive, {dead * 1000:.2f} ms dead, {mended - broke:.0f} s")
            assert (
                dead < 3 * quiet
            )  # a busy machine's; a request that waited for the store would take seconds
        answered = end(crew)
        site.drained()
        assert shipper.poll() is None
    _check(site, answered)


@pytest.mark.timeout(900)
def test_readers_notice_nothing_of_a_broken_store(tmp_path: Path, node: Node) -> None:
    site = StoreSite(tmp_path, node, "short")
    site.migrate()
    _hurt(site, ("pause", "kill", "deaf"), 1.5)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_readers_notice_nothing_of_a_store_broken_for_minutes(tmp_path: Path, node: Node) -> None:
    site = StoreSite(tmp_path, node, "minutes")
    site.migrate()
    _hurt(site, FAULTS, 60 * _MINUTES)  # after a refused login it takes a new Cluster: a minute more


@pytest.mark.timeout(900)
def test_tables_that_come_late_are_waited_for(tmp_path: Path, node: Node) -> None:
    """The shipper is there before the keyspace; migrating it is all that is needed."""
    site = StoreSite(tmp_path, node, "late")
    with site.tracker(), site.shipper() as shipper:
        crew = _crew(site)
        until(lambda: "store migrate" in (site.folder / "ship.log").read_text(), 40, "words about the schema")
        until(lambda: site.waiting() > 50, 40, "a backlog")
        site.migrate()
        site.catches_up()
        answered = end(crew)
        site.drained()
        assert shipper.poll() is None
    _check(site, answered)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_of_three_nodes_killed_then_all_stopped_and_started(tmp_path: Path) -> None:
    node = Node("dead3", "--nodes", "3")
    try:
        node.start()
        site = StoreSite(tmp_path, node, "three", wired=False)
        text = site.config.read_text().replace('datacenter1 = "1"', 'datacenter1 = "3"')
        site.config.write_text(text.replace("_timeout = 2000", "_timeout = 5000"))
        migrate_store(load_file(site.config), lambda _: None)
        with site.tracker(), site.shipper() as shipper:
            crew = _crew(site)
            until(lambda: site.shipper_status().carried > 50, 60, "some events shipped")
            node.say("kill", "3")
            carried = site.shipper_status().carried
            until(lambda: site.shipper_status().carried > carried + 200, 120, "shipping without it")
            node.say("restart", "3")
            node.say("stop")
            until(lambda: site.shipper_status().failing, 60, "an error")
            until(lambda: site.waiting() > 200, 60, "a backlog")
            node.start()
            site.catches_up()
            answered = end(crew)
            site.drained(120)
            assert shipper.poll() is None
        _check(site, answered)
    finally:
        node.stop()
