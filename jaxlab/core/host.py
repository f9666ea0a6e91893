"""The machine that a program runs on: its cores and its memory. Needs nothing but Python."""

import os
from pathlib import Path

ROOT = Path("/")


def cores() -> int:
    """How many cores this process may run on.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory(root: Path = ROOT) -> int | None:
    """Bytes of the machine, or of its container's limit where that is less; None: nobody knows.

    Args:
      root: where the system's files begin.
    """
    limit = _text(root / "sys/fs/cgroup/memory.max")
    of_machine = _entries(root / "proc/meminfo").get("MemTotal:")
    known = [1024 * int(of_machine)] if of_machine is not None else []
    known += [int(limit)] if limit.isdecimal() else []
    return min(known, default=None)


def free_memory(root: Path = ROOT) -> int | None:
    """Bytes that programs may still take, of the machine or of its container's limit, if that is less; None: unknown.

    Args:
      root: where the system's files begin.
    """
    available = _entries(root / "proc/meminfo").get("MemAvailable:")
    known = [1024 * int(available)] if available is not None else []
    left = _left_to_container(root)
    return min([*known, *([] if left is None else [left])], default=None)


def _left_to_container(root: Path) -> int | None:
    """Of cgroup v2. Pages of files that were read count as used there, yet make room for whoever asks."""
    group = root / "sys/fs/cgroup"
    limit, used = (_text(group / name) for name in ("memory.max", "memory.current"))
    if not (limit.isdecimal() and used.isdecimal()):
        return None
    return max(0, int(limit) - int(used) + int(_entries(group / "memory.stat").get("inactive_file", 0)))


def _entries(source: Path) -> dict[str, str]:
    """Names and numbers, a pair a line."""
    return {words[0]: words[1] for line in _text(source).splitlines() if len(words := line.split()) > 1}


def _text(source: Path) -> str:
    return source.read_text().strip() if source.is_file() else ""
