"""The browser of a file of tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from web.chromium import started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser
