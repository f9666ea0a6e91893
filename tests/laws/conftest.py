"""Which of the law's trials are for every day."""

import zlib

import pytest

DAILY = 3
"""Of the trials of variants (a static argument off its default) one in so many runs every day, all of them at night."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("variant") and zlib.crc32(item.nodeid.encode()) % DAILY:
            item.add_marker(pytest.mark.nightly)
