"""A plugin of pytest: before each test what the product's functions remember is forgotten.

So each test runs the lines it would run alone, and `which_tests.Map` knows of all tests that run a line.
"""

import functools
import gc
import sys

import pytest

PRODUCT = ("engagement", "smtpapi", "tracker_web")


@functools.cache
def _remembering(_modules: int) -> list["functools._lru_cache_wrapper[object]"]:
    found = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
    return [each for each in found if str(each.__module__).partition(".")[0] in PRODUCT]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    for each in _remembering(len(sys.modules)):
        each.cache_clear()
