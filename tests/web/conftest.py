"""The browser of a file of tests, and the mark of each test that needs it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from web.chromium import started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.chromium)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser
