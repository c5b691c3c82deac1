"""What tests of several folders share."""

from collections.abc import Iterator

import pytest

from cassandra_site import Node

# The first test that needs Cassandra waits for its start, and once for its download.
_FIRST_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "cassandra_node" in names or item.name.partition("[")[2].startswith("cassandra"):
            item.add_marker(pytest.mark.timeout(_FIRST_SECONDS))


@pytest.fixture(scope="session")
def cassandra_node() -> Iterator[Node]:
    """The session's real Cassandra, one node; started by the first test that asks for it."""
    node = Node("session")
    try:
        node.start()
        yield node
    finally:
        node.stop()
