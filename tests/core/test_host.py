"""The machine's memory, as its files tell it; what a container leaves is told by those who share it (test_memory)."""

import os

import pytest

from jaxlab.core import host


@pytest.mark.parametrize(("limit", "total"), [("max", 9_216_000), ("4000000", 4_000_000), ("99000000", 9_216_000)])
def test_a_machine_is_as_large_as_its_container(tmp_path, limit, total):
    for name, text in (("proc/meminfo", "MemTotal:   9000 kB\n"), ("sys/fs/cgroup/memory.max", f"{limit}\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    assert host.total_memory(tmp_path) == total


def test_nobody_knows_where_nothing_is_told(tmp_path):
    assert host.total_memory(tmp_path) is None
    assert host.free_memory(tmp_path) is None


def test_this_machine_is_known():
    total, free = host.total_memory(), host.free_memory()
    assert total is not None
    assert free is not None
    assert total > free > 0
    assert 1 <= host.cores() <= os.cpu_count()
