"""Endless batches of examples that lie somewhere, in an order that nobody stores, read ahead through grain."""

import abc
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Int

from jaxlab.core import hyper

Batch = TypeVar("Batch")

_FOREVER = 2**62
_ORDER = 0


class Batches(abc.ABC, Generic[Batch]):
    """An endless sequence of batches, of which any can be asked for: a function of the seed and the step.

    Each epoch shows every example once, in a shuffled order of its own. A batch may hold the end of one epoch and the
    beginning of the next, so none drops examples.

    The order is grain's global shuffle: computed number by number, never stored. Seeds are hashed first, for epochs of
    neighbouring seeds would otherwise be the same.

    Args:
      count: how many examples there are.
      batch_size: examples of a step, over all processes.
      seed: of the order, at least 0.

    Raises:
      TypeError, ValueError: a number that is none or out of range.
      ImportError: the package ``grain`` is not installed; the message says how.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count = hyper.integer("count", count, at_least=1, at_most=2**32 - 1)
        self.batch_size = hyper.integer("batch_size", batch_size, at_least=1)
        self.seed = hyper.integer("seed", seed, at_least=0)
        self._grain = _import_grain()
        self._order = self._grain.MapDataset.range(count).shuffle(seed=self.hash(_ORDER) % 2**32).repeat()
        self._order[0]  # What grain makes of itself at first use is not for several threads.

    @abc.abstractmethod
    def load(self, numbers: Int[np.ndarray, " b"]) -> Batch:
        """The examples of these numbers, in this order: what ``jaxlab.sharding.feed`` asks each process for.

        Args:
          numbers: as :meth:`numbers` makes them: the epoch times ``count``, plus the example.
        """

    @property
    def steps_per_epoch(self) -> float:
        """How many batches show every example once."""
        return self.count / self.batch_size

    def numbers(self, step: int, rows: Int[np.ndarray, " b"] | None = None) -> Int[np.ndarray, " b"]:
        """The examples of a step, as numbers that :meth:`load` knows: the epoch times ``count``, plus the example.

        Args:
          step: from 0.
          rows: which of the batch's examples; by default all.
        """
        first = hyper.integer("step", step, at_least=0) * self.batch_size
        found = np.arange(self.batch_size) if rows is None else np.asarray(rows)
        if found.min() < 0 or found.max() >= self.batch_size:
            raise ValueError(f"rows = {found}: accepted are numbers from 0 to {self.batch_size - 1}")
        places = [first + row for row in found.tolist()]
        return np.array([place - place % self.count + self._order[place] for place in places], np.int64)

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

    def hash(self, *purpose: int) -> int:
        """A number of 64 bits for one purpose, other for every seed; purpose 0 is the order."""
        return int(np.random.SeedSequence([self.seed, *purpose]).generate_state(1, np.uint64)[0])


def _import_grain() -> Any:
    try:
        # Loaded here, for it takes a second.
        import grain  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("streams of batches need the package grain: pip install 'jaxlab[lab]'") from error
    return grain
