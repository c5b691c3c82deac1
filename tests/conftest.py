"""What tests of several folders share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from cassandra_site import Node

# The first test that needs Cassandra waits for its start, and once for its download.
_FIRST_SECONDS = 900

# How long one example takes says how busy the machine is. What must be quick is measured where that is asked.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_OWN_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """A folder of this run's own.

    pytest's common one is shut to others again whenever another run begins, and Postfix, which delivers as
    another user, would be locked out in the middle of this one.
    """
    if config.option.basetemp is None:
        config.stash[_OWN_FOLDER] = Path(tempfile.mkdtemp(prefix="smtpapi-"))
        config.option.basetemp = str(config.stash[_OWN_FOLDER] / "r")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a run that failed left is kept, for whoever wants to look."""
    folder = session.config.stash.get(_OWN_FOLDER, None)
    if folder is not None and session.testsfailed == 0:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "cassandra_node" in names or item.name.partition("[")[2].startswith("cassandra"):
            item.add_marker(pytest.mark.timeout(_FIRST_SECONDS))


# What is made once, or is there once, by what the ids of its tests hold: one of two processes takes them all.
_TOGETHER = {
    "cassandra": "cassandra",
    "tests/packages/": "packages",
    "tests/lua/test_lua_cases.py": "port 8650",
    "test_the_manuals_example_tracks_clicks_and_not_opens": "port 8650",
}


class _Groups(LoadScopeScheduling):
    """Deals out files, and the groups of `_TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        for names, group in _TOGETHER.items():
            if names in nodeid:
                return group
        return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)  # without the plugin nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Groups(config, log)


@pytest.fixture(scope="session")
def cassandra_node() -> Iterator[Node]:
    """The session's real Cassandra, one node; started by the first test that asks for it."""
    node = Node("session")
    try:
        node.start()
        yield node
    finally:
        node.stop()
