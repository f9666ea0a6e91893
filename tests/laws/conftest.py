"""Which of the laws' trials are for every day."""

import zlib

import pytest

DAILY = 3
"""Of the trials of variants (a static argument off its default) one in so many runs every day, all of them at night."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    share, turn = config.getoption("--share"), config.getoption("--turn")
    for item in items:
        one_in = share * (DAILY if item.get_closest_marker("variant") else 1)
        if item.path.parent.name == "laws" and (zlib.crc32(item.nodeid.encode()) + turn) % one_in:
            item.add_marker(pytest.mark.nightly)
