"""Signals that ask a run to stop: it finishes its step, saves, and ends by itself."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

import jax
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What a scheduler sends before it takes the machine away, and what Ctrl-C does."""

NOTICE = b"\nstopping after this step; a second signal stops at once\n"


class Stopping:
    """Notices :data:`SIGNALS` inside a ``with`` block, instead of ending the process; a second one ends it at once.

    Where several processes compute together they must stop after the same step. There JAX's own service hears SIGTERM,
    tells all processes and agrees with them on a step; Ctrl-C ends a process as ever.

    Handlers are a matter of a program's main thread; in another thread nothing is noticed. Those that were there
    before are there again after the block.

    Attributes:
      received: the first signal, or None.

    >>> with Stopping() as stopping:
    ...     stopping.after(1), stopping.received
    (False, None)
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # None: it was set by other than Python, which cannot set it again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def after(self, step: int) -> bool:
        """Whether to stop after this step. Every process asks, once for each step."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            self.received = signal.SIGTERM
        return self.received is not None

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        os.write(2, NOTICE)  # Not by print, which may be in the middle of a line.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
