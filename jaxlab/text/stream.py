"""Batches of a token file for training: a function of the content, the seed and the step, read ahead through grain."""

import functools
from collections.abc import Generator
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Int, Int32

from jaxlab.core import hyper
from jaxlab.text.tokens import TokenFile

_FOREVER = 2**62
_ORDER, _OFFSET = 0, 1


class Batch(TypedDict):
    """Tokens and the ones that follow them."""

    x: Int32[np.ndarray, "b context"]
    y: Int32[np.ndarray, "b context"]


def window(tokens: np.ndarray, start: int, length: int) -> np.ndarray:
    """Tokens from ``start`` on, where the first ones follow the last.

    >>> window(np.arange(5), 3, 4).tolist()
    [3, 4, 0, 1]
    """
    start %= len(tokens)
    inside = tokens[start : start + length]
    if len(inside) == length:
        return inside
    begin = tokens[: min(start, length - len(inside))]
    return np.resize(np.concatenate([inside, begin]), length)  # Repeated, where the file is shorter than that.


def batch_of(tokens: np.ndarray, starts: Int[np.ndarray, " b"], context: int) -> Batch:
    """The windows that begin at these places, and the same one token later."""
    x, y = (np.empty((len(starts), context), np.int32) for _ in range(2))
    starts = starts % len(tokens)
    inside = starts + context < len(tokens)
    if inside.any():
        found = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[starts[inside]]
        x[inside], y[inside] = found[:, :-1], found[:, 1:]
    for row in np.flatnonzero(~inside):
        found = window(tokens, int(starts[row]), context + 1)
        x[row], y[row] = found[:-1], found[1:]
    return {"x": x, "y": y}


class Stream:
    """An endless sequence of batches from a token file, of which any can be asked for.

    The file is a ring: its first document follows its last, as any document follows another. Each epoch cuts the ring
    into windows of ``context`` tokens from a place of its own, so that a token is predicted from other contexts in
    other epochs, the rest that is shorter than a window is never the same, and it is shown in a shuffled order of its
    own. Within an epoch every token but those of the rest is once in ``x`` and once in ``y``. A batch may hold the end
    of one epoch and the beginning of the next, so none drops examples.

    The order is grain's global shuffle: computed number by number, never stored. Seeds are hashed first, for epochs of
    neighbouring seeds would otherwise be the same.

    Args:
      tokens: the file.
      context: tokens of an example.
      batch_size: examples of a step, over all processes.
      seed: of the order, at least 0.

    Raises:
      TypeError, ValueError: a number that is none or out of range; fewer tokens than one batch.
      ImportError: the package ``grain`` is not installed; the message says how.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from jaxlab.text import Bytes, corpus, write_tokens
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.txt").write_text("to be or not to be")
    18
    >>> tokens = write_tokens(folder / "all.tokens", corpus(folder), Bytes())
    >>> stream = Stream(tokens, context=5, batch_size=2, seed=0)
    >>> [Bytes().decode(row) for row in stream.batch(7)["x"]]
    ['not t', 'to be']
    >>> ahead = stream.from_step(7)
    >>> bool((next(ahead)["y"] == stream.batch(7)["y"]).all())
    True
    """

    def __init__(self, tokens: TokenFile, context: int, batch_size: int, seed: int = 0) -> None:
        self.tokens = tokens
        self.context = hyper.integer("context", context, at_least=1)
        self.batch_size = hyper.integer("batch_size", batch_size, at_least=1)
        self.seed = hyper.integer("seed", seed, at_least=0)
        count = len(tokens.tokens)
        if count < batch_size * context:
            raise ValueError(
                f"{tokens.path} has {count:,} tokens, and a batch of batch_size = {batch_size} times context = "
                f"{context} has {batch_size * context:,}: accepted are more text, a smaller batch or a shorter context"
            )
        self.windows = count // context
        if self.windows >= 2**32:
            raise ValueError(
                f"context = {context}: {tokens.path} has {self.windows:,} windows of it; accepted are fewer than 2**32"
            )
        self._grain = _import_grain()
        self._order = self._grain.MapDataset.range(self.windows).shuffle(seed=self._hash(_ORDER) % 2**32).repeat()
        self._order[0]  # What grain makes of itself at first use is not for several threads.
        self._offset = functools.lru_cache(8)(self._offset_of)

    @property
    def steps_per_epoch(self) -> float:
        """How many batches show every window once."""
        return self.windows / self.batch_size

    def numbers(self, step: int, rows: Int[np.ndarray, " b"] | None = None) -> Int[np.ndarray, " b"]:
        """The examples of a step, as numbers that :meth:`load` knows: the epoch times :attr:`windows`, plus the window.

        Args:
          step: from 0.
          rows: which of the batch's examples; by default all.
        """
        first = hyper.integer("step", step, at_least=0) * self.batch_size
        found = np.arange(self.batch_size) if rows is None else np.asarray(rows)
        if found.min() < 0 or found.max() >= self.batch_size:
            raise ValueError(f"rows = {found}: accepted are numbers from 0 to {self.batch_size - 1}")
        places = [first + row for row in found.tolist()]
        return np.array([place - place % self.windows + self._order[place] for place in places], np.int64)

    def load(self, numbers: Int[np.ndarray, " b"]) -> Batch:
        """The examples of these numbers, in this order: what ``jaxlab.sharding.feed`` asks each process for."""
        epochs, windows = np.divmod(np.asarray(numbers), self.windows)
        offsets = np.array([self._offset(epoch) for epoch in epochs.tolist()], np.int64)
        return batch_of(self.tokens.tokens, offsets + windows * self.context, self.context)

    def batch(self, step: int, rows: Int[np.ndarray, " b"] | None = None) -> Batch:
        """The batch of a step: the same for ever, whatever was asked for before.

        Args:
          step: from 0.
          rows: which of its examples; by default all.
        """
        return self.load(self.numbers(step, rows))

    def from_step(
        self, step: int, rows: Int[np.ndarray, " b"] | None = None, *, ahead: int = 4, threads: int = 2
    ) -> Generator[Batch]:
        """All batches from a step on, read ahead by threads: ``batch(step)``, ``batch(step + 1)``, and so on.

        A run that resumes needs the step alone. The threads end with the iterator, or with its ``close``.

        Args:
          step: from 0.
          rows: which examples of each batch this process reads, such as ``jaxlab.sharding.rows(batch_size, layout)``;
            by default all. Which examples a step has depends on neither the processes nor the threads.
          ahead: how many batches are ready.
          threads: how many read.
        """
        hyper.integer("step", step, at_least=0)
        hyper.integer("ahead", ahead, at_least=1)
        hyper.integer("threads", threads, at_least=1)
        options = self._grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        batches = self._grain.MapDataset.range(step, _FOREVER).map(lambda at: self.batch(int(at), rows))
        return (batch for batch in batches.to_iter_dataset(options))

    def _hash(self, *purpose: int) -> int:
        return int(np.random.SeedSequence([self.seed, *purpose]).generate_state(1, np.uint64)[0])

    def _offset_of(self, epoch: int) -> int:
        return self._hash(_OFFSET, epoch) % len(self.tokens.tokens)


def _import_grain() -> Any:
    try:
        # Loaded here, for it takes a second.
        import grain  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("streams of tokens need the package grain: pip install 'jaxlab[lab]'") from error
    return grain
