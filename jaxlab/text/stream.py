"""Batches of a token file for training: a function of the content, the seed and the step, read ahead through grain."""

import functools
from typing import TypedDict

import numpy as np
from jaxtyping import Int, Int32

from jaxlab.core import hyper
from jaxlab.core.batches import Batches
from jaxlab.text.tokens import TokenFile

_OFFSET = 1


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


class Stream(Batches[Batch]):
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
        count = len(tokens.tokens)
        if count < hyper.integer("batch_size", batch_size, at_least=1) * context:
            raise ValueError(
                f"{tokens.path} has {count:,} tokens, and a batch of batch_size = {batch_size} times context = "
                f"{context} has {batch_size * context:,}: accepted are more text, a smaller batch or a shorter context"
            )
        self.windows = count // context
        if self.windows >= 2**32:
            raise ValueError(
                f"context = {context}: {tokens.path} has {self.windows:,} windows of it; accepted are fewer than 2**32"
            )
        super().__init__(self.windows, batch_size, seed)
        self._offset = functools.lru_cache(8)(self._offset_of)

    def load(self, numbers: Int[np.ndarray, " b"]) -> Batch:
        """The windows of these numbers, in this order: what ``jaxlab.sharding.feed`` asks each process for."""
        epochs, windows = np.divmod(np.asarray(numbers), self.windows)
        offsets = np.array([self._offset(epoch) for epoch in epochs.tolist()], np.int64)
        return batch_of(self.tokens.tokens, offsets + windows * self.context, self.context)

    def _offset_of(self, epoch: int) -> int:
        return self.hash(_OFFSET, epoch) % len(self.tokens.tokens)
