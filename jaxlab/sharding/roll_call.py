"""A roll call: several processes find out whether all of them are there, before any waits for the others for good.

``jax.distributed.initialize`` ends the interpreter where a process is missing, and does not say which. So the
processes meet once before it, at the address where JAX's own coordinator will listen a moment later: process 0
listens, the others say who they are, and all learn either that all are there or who is not.
"""

import contextlib
import json
import os
import socket
import time
from typing import Any

_PAUSE = 0.1
_LINE = 4096


class AbsentError(TimeoutError):
    """A process did not answer; the message names it, the address and the seconds."""


def meet(address: str, processes: int, process_id: int, timeout: float) -> None:
    """Returns when all processes are there.

    Args:
      address: ``host:port`` of process 0, the same on all.
      processes: how many there are.
      process_id: which of them this is.
      timeout: seconds.

    Raises:
      AbsentError: a process did not answer in time; every process that did raises it, in the words of process 0.
      ValueError: processes that do not agree on how many they are, or two of one number.
      OSError: process 0 cannot listen on the port.
    """
    deadline = time.monotonic() + timeout
    if process_id:
        _answer(address, processes, process_id, timeout, deadline)
    else:
        _call(address, processes, timeout, deadline)


def _call(address: str, processes: int, timeout: float, deadline: float) -> None:
    """What process 0 does: waits until all others have answered, and tells them how it went."""
    present: dict[int, socket.socket] = {}
    try:
        with _listening(address) as server:
            while len(present) < processes - 1:
                server.settimeout(_left(deadline))
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    missing = [number for number in range(1, processes) if number not in present]
                    raise AbsentError(_absent(missing, processes, address, timeout)) from None
                for number in [number for number, known in present.items() if _has_left(known)]:
                    present.pop(number).close()  # it may come again
                said = _receive(connection, min(_left(deadline), 5.0))
                if not all(isinstance(said.get(name), int) for name in ("process", "processes")):
                    connection.close()  # somebody else, who tries which ports are open
                    continue
                present[_known(said, processes, present, connection)] = connection
        _tell(present, {"all": "here"})
    except (AbsentError, ValueError) as error:
        _tell(present, {"error": str(error), "kind": type(error).__name__})
        raise


def _known(said: dict[str, Any], processes: int, present: dict[int, socket.socket], connection: socket.socket) -> int:
    """The number of a process that answered, if it is one of ours."""
    number, count = said["process"], said["processes"]
    problem = None
    if count != processes:
        problem = f"processes = {count} for process {number} and {processes} for process 0: accepted is one number"
    elif number in present:
        problem = f"process_id = {number}: two processes say so; accepted is a number of its own for each"
    if problem:
        present[-1] = connection  # to be told, too
        raise ValueError(problem)
    return number


def _answer(address: str, processes: int, process_id: int, timeout: float, deadline: float) -> None:
    """What every other process does: says that it is there, and waits for the result."""
    while True:
        told = _ask(address, {"process": process_id, "processes": processes}, timeout, deadline)
        if told == {"all": "here"}:
            return
        if "error" in told:
            raise (AbsentError if told.get("kind") == "AbsentError" else ValueError)(told["error"])
        if time.monotonic() + _PAUSE >= deadline:
            raise AbsentError(_absent([0], processes, address, timeout))
        time.sleep(_PAUSE)


def _ask(address: str, words: dict[str, int], timeout: float, deadline: float) -> dict[str, Any]:
    """What process 0 says; nothing where it is not up yet, or not even known by name, or was too busy to listen."""
    host, port = address.rsplit(":", 1)
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_left(deadline))
    except OSError:
        return {}
    with connection:
        _send(connection, words)
        # Process 0 may have begun later than this one, and then knows later who is missing.
        return _receive(connection, timeout + 5.0)


def _listening(address: str) -> socket.socket:
    """Where JAX's coordinator will listen, or an error that says why not."""
    place = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", "[::]:" + address.rsplit(":", 1)[1])
    host, port = place.rsplit(":", 1)
    host = host.strip("[]")
    everywhere = host in ("", "::", "0.0.0.0")
    try:
        if everywhere and socket.has_dualstack_ipv6():
            return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host and not everywhere else socket.AF_INET
        return socket.create_server(("" if everywhere else host, int(port)), family=family)
    except OSError as error:
        raise OSError(error.errno, f"address = {address!r}: process 0 cannot listen on {place}: {error}") from error


def _tell(present: dict[int, socket.socket], message: dict[str, str]) -> None:
    for connection in present.values():
        _send(connection, message)
    for connection in present.values():
        # Whoever closes first keeps the port busy for a while: let that be the others.
        _receive(connection, 5.0)
        connection.close()


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # It has gone; JAX's own connection will tell.
        connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket, seconds: float) -> dict[str, Any]:
    """One line; nothing where none comes in time, or none of ours."""
    connection.settimeout(seconds)
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < _LINE:
            part = connection.recv(_LINE)
            if not part:
                break
            line += part
        found = json.loads(line)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _has_left(connection: socket.socket) -> bool:
    connection.settimeout(0.0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.01)


def _absent(missing: list[int], processes: int, address: str, timeout: float) -> str:
    names = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
    who = f"process {names}" if len(missing) == 1 else f"{len(missing)} processes, {names},"
    return f"{who} of {processes} did not answer at {address} within {timeout:g} seconds: was it started there?"
