"""What `smtpapi ship --status` tells of a shipper: what waits, its rate and last error, what was lost."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.events.record import encode
from engagement.shipper import status
from engagement.shipper.loop import Shipper
from engagement.shipper.status import ShipperStatus, save
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import StoreError
from smtpapi.commands import main
from unit.event_samples import hit


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    path.write_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/spool" }}\n')
    (tmp_path / "spool").mkdir()
    return path


def output(config: Path, *arguments: str) -> str:
    done = CliRunner().invoke(main, ["ship", "--status", *arguments, "--config", str(config)])
    assert done.exit_code == 0
    return done.output


class Down(MemoryStore):
    def add(self, events: object) -> int:
        raise StoreError("the cluster is down; look at it.")


def test_an_error_that_lasts_and_what_waits_behind_it(config: Path) -> None:
    spool = config.parent / "spool"
    writer = SpoolWriter(spool)
    now = int(time.time() * 1000)
    for age in (90_000, 10_000):
        writer.append(encode(hit(at_ms=now - age)))
    writer.close()
    assert not Shipper(spool, Down()).drain()
    text = output(config)
    assert "error     now: the cluster is down; look at it." in text
    assert "waiting   2 record(s)" in text
    state = json.loads(output(config, "--json"))
    assert (state["failing"], state["last_error"]) == (True, "the cluster is down; look at it.")
    assert 89 < state["oldest_seconds"] < 150
    assert Shipper(spool, MemoryStore()).drain()
    state = json.loads(output(config, "--json"))
    assert (state["failing"], state["backlog_records"], state["carried"]) == (False, 0, 2)


def test_an_error_that_is_over_says_since_when(config: Path) -> None:
    now = time.time()
    save(config.parent / "spool", ShipperStatus(pid=1, at=now, last_error="no route", last_error_at=now - 30))
    assert "error     30 s ago: no route" in output(config)


def test_what_was_set_aside_or_lost_is_told(config: Path) -> None:
    save(
        config.parent / "spool",
        ShipperStatus(pid=1, set_aside=3, outdated=2, trouble="h-1-1-000000.ready: no"),
    )
    text = output(config)
    assert f"set aside 3, see {config.parent / 'spool' / 'corrupt'}" in text
    assert "outdated  2 removed unshipped" in text
    assert "trouble   h-1-1-000000.ready: no" in text
    state = json.loads(output(config, "--json"))
    assert (state["set_aside"], state["outdated"]) == (3, 2)


def test_the_rate_follows_the_last_minute() -> None:
    news = ShipperStatus.begun(0.0)
    for second in range(1, 301):
        news.shipped(100, 0, "", float(second))
    assert 95 < news.rate < 100.1
    for second in range(301, 601):
        news.shipped(0, 0, "", float(second))
    assert news.rate < 1
    assert news.carried == 30_000


def test_the_news_of_another_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "shipper.json").write_text('{"pid": 7, "carried": 5, "of a later version": true}')
    news = status.load(tmp_path)
    assert news is not None
    assert (news.pid, news.carried, news.outdated) == (7, 5, 0)
