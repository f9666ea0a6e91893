"""Who works on a trial, and whether it still lives: what a claim on a shared study is signed with."""

import os
import socket
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Worker(NamedTuple):
    """One process of one machine.

    Attributes:
      place: within which a process id means one process: the host's name and, where the system tells them, its boot
        and its namespace of process ids. Containers often share a name, and a name outlives a reboot.
      pid: process id.
      started: when the process began, in the system's own ticks, so that a recycled id is not taken for the one who
        had it; empty where the system does not tell.
    """

    place: str
    pid: int
    started: str

    def alive(self) -> bool | None:
        """Whether the process still runs; None where this process cannot know.

        >>> here().alive()
        True
        >>> here()._replace(place="another host").alive() is None
        True
        """
        me = here()
        if self.place != me.place:
            return None
        if self.pid == me.pid:
            return self.started == me.started
        if _PROC.is_dir():
            return bool(self.started) and _started(self.pid) == self.started
        if os.name != "posix":
            return None  # There, signal 0 would end the process that it asks after.
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # Another user's, and so there.
            return True
        return True


def here() -> Worker:
    """This process. Asked at every use: a forked child is another worker."""
    return Worker(place=_place(), pid=os.getpid(), started=_started(os.getpid()))


def _place() -> str:
    boot = _PROC / "sys/kernel/random/boot_id"
    namespace = _PROC / "self/ns/pid"
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()[:8]} {namespace.readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """The start time of a process that is running; empty if there is none, or it only waits to be buried."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, ticks = fields[0], fields[19]  # Fields 3 and 22 of proc(5); the name before them may hold anything.
    return "" if state in "ZX" else ticks
