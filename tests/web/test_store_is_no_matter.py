"""Links need the keys and nothing else: not the store, not what was in it."""

import shutil
import statistics
import time
from pathlib import Path

from engagement.links.model import Kind
from web.servers import Site, fetch, free_port, make_site, running
from web.web_cases import HOST, token

TARGET = b"https://shop.example.org/a?x=1&y="


def _times(site: Site, path: str, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        assert fetch(site.port, path, host=HOST).status == 302
        times.append(time.perf_counter() - began)
    return times


def test_links_survive_the_loss_of_every_database(tmp_path: Path) -> None:
    """The drill of docs/stores.md: of a site that is gone, the key ring's copy alone comes back."""
    lost = tmp_path / "lost"
    lost.mkdir()
    path = f"/f/a/{token(Kind.CLICK, TARGET)}"
    site = make_site(lost)
    with running(site):
        assert fetch(site.port, path, host=HOST).headers["location"] == TARGET.decode()
    backup = tmp_path / "keys.backup"
    shutil.copy2(lost / "keys", backup)
    shutil.rmtree(lost)
    new = tmp_path / "new"
    new.mkdir()
    site = make_site(new)
    (new / "keys").unlink()
    shutil.copy2(backup, new / "keys")
    with running(site):
        assert fetch(site.port, path, host=HOST).headers["location"] == TARGET.decode()
        assert len(site.hits()) == 1


def test_a_cassandra_that_is_not_there_costs_no_link_anything(tmp_path: Path) -> None:
    path = f"/f/a/{token(Kind.CLICK, TARGET)}"
    site = make_site(tmp_path)
    text = site.config.read_text()
    nowhere = f'cassandra_client {{ uri = ("name=x;host=127.0.0.1;port={free_port()}") }}\n'
    site.config.write_text(text.replace("store { path", "store { engine = cassandra path") + nowhere)
    with running(site):
        quiet = statistics.median(_times(site, path, 200))
        assert fetch(site.port, "/", host="localhost").status == 200  # nothing here asks the store
        after = statistics.median(_times(site, path, 200))
        assert len(site.hits()) == 400
    assert after < 3 * quiet  # a blocked worker would take seconds; figures are for bench/
