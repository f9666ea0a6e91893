"""Held-out text for evaluation: every token predicted once, in order, and the bytes that it stands for."""

import math
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from jaxtyping import Float32, Int32

from jaxlab.core import hyper
from jaxlab.text.stream import batch_of
from jaxlab.text.tokens import TokenFile


class Weighed(TypedDict):
    """Tokens, the ones that follow them, and which of these count."""

    x: Int32[np.ndarray, "b context"]
    y: Int32[np.ndarray, "b context"]
    weight: Float32[np.ndarray, "b context"]


class HeldOut:
    r"""The windows of a token file, one after the other, for a loss that is comparable between tokenizers.

    .. math:: \text{bits per byte} = \frac{\text{nats of all predictions}}{\text{bytes of the text} \cdot \ln 2}

    The file is a ring, as in :class:`~jaxlab.text.stream.Stream`: the first token is predicted from the last one, the
    end of a document, so every token is predicted once, separators too, and all bytes are paid for. All batches have
    one shape; what is behind the last token weighs 0.

    Args:
      tokens: the file.
      context: tokens of a window.
      batch_size: windows of a batch.
      batches: by default as many as show all of it; fewer are full ones of windows evenly spread over the file, and
        the bytes they stand for are then an average's, of the whole file.

    Raises:
      TypeError, ValueError: a number that is none or out of range.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from jaxlab.text import Bytes, corpus, write_tokens
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.txt").write_text("to be")
    5
    >>> held_out = HeldOut(write_tokens(folder / "all.tokens", corpus(folder), Bytes()), context=4, batch_size=2)
    >>> [row.tolist() for row in held_out.batch(0)["weight"]], held_out.predictions, held_out.text_bytes
    ([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]], 6, 5.0)
    """

    def __init__(self, tokens: TokenFile, context: int, batch_size: int, batches: int | None = None) -> None:
        self.tokens = tokens
        self.context = hyper.integer("context", context, at_least=1)
        self.batch_size = hyper.integer("batch_size", batch_size, at_least=1)
        count = len(tokens.tokens)
        windows = math.ceil(count / context)
        whole = math.ceil(windows / batch_size)
        self.batches = min(whole, whole if batches is None else hyper.integer("batches", batches, at_least=1))
        shown = self.batches * batch_size
        if self.batches < whole:
            # Of full windows alone, for one that ends early would weigh less.
            self._stride, self.predictions = (count // context - 1, max(1, shown - 1)), shown * context
        else:
            self._stride, self.predictions = (1, 1), count

    @property
    def text_bytes(self) -> float:
        """How many bytes of text all predictions together stand for."""
        return self.tokens.bytes_per_token * self.predictions

    def bits_per_byte(self, nats: float) -> float:
        """Of the sum of all predictions' negative log-likelihoods."""
        return nats / self.text_bytes / math.log(2)

    def batch(self, index: int) -> Weighed:
        """One batch.

        Args:
          index: from 0, below :attr:`batches`.
        """
        hyper.integer("index", index, at_least=0, at_most=self.batches - 1)
        over, under = self._stride
        firsts = (index * self.batch_size + np.arange(self.batch_size)) * over // under * self.context
        found = batch_of(self.tokens.tokens, firsts - 1, self.context)
        inside = firsts[:, None] + np.arange(self.context) < len(self.tokens.tokens)
        return {"x": found["x"], "y": found["y"], "weight": inside.astype(np.float32)}

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Weighed]:
        return map(self.batch, range(self.batches))
