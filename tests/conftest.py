"""What tests of several folders share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_site import Node

# The first test that needs Cassandra waits for its start, and once for its download.
_FIRST_SECONDS = 900


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests share something that is made once, so that one of two processes takes them all.

    A file is a group, since its fixtures may be; a test that names a group of its own keeps it.
    """
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = str(item.path)
        if "cassandra_node" in names or item.name.partition("[")[2].startswith("cassandra"):
            item.add_marker(pytest.mark.timeout(_FIRST_SECONDS))
            group = "cassandra"
        elif "made" in names:
            group = "packages"
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def cassandra_node() -> Iterator[Node]:
    """The session's real Cassandra, one node; started by the first test that asks for it."""
    node = Node("session")
    try:
        node.start()
        yield node
    finally:
        node.stop()
