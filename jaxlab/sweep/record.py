"""What a population has shown so far."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxlab.core import hyper
from jaxlab.sweep.crew import Seen
from jaxlab.train.evaluate import diverged


class Record:
    """Results by member and evaluation, NaN where there are none.

    Args:
      members: how many.
      marks: the steps of the evaluations.

    Attributes:
      train_loss: of the steps since the evaluation before.
      validation: by metric.
      skipped: steps so far that were not finite, up to the member's end.
      ended: the step where a member ended; 0 while it lives.
    """

    marks: list[int]
    train_loss: Float[np.ndarray, "members evaluations"]
    validation: dict[str, Float[np.ndarray, "members evaluations"]]
    skipped: Int[np.ndarray, " members"]
    ended: Int[np.ndarray, " members"]

    def __init__(self, members: int, marks: list[int]) -> None:
        self.marks = marks
        self._shape = members, len(marks)
        self.train_loss, self.validation = self._nothing(), {}
        self.skipped, self.ended = np.zeros(members, np.int32), np.zeros(members, np.int32)

    def add(self, column: int, steps: int, seen: list[Seen]) -> Bool[np.ndarray, " members"]:
        """Takes down a stretch of so many steps; returns which members have diverged in it."""
        lost, skipped = np.zeros(len(self.ended), bool), self.skipped.copy()
        for group in seen:
            living = self.ended[group.members] == 0
            who = group.members[living]
            loss, metrics, count = jax.tree.map(lambda value: value[living], group[1:])  # noqa: B023
            skipped[who] = count
            lost[who] = diverged(metrics["loss"], count - self.skipped[who], steps)
            self.train_loss[who, column] = loss
            for name, value in metrics.items():
                table = self.validation.setdefault(name, self._nothing())
                table[who, column] = np.where(lost[who], np.nan, value)
        self.skipped = skipped
        return lost

    def end(self, members: Bool[np.ndarray, " members"], step: int) -> None:
        """These have ended."""
        self.ended = np.where(members, np.int32(step), self.ended)

    def at(self, column: int) -> dict[str, Float[np.ndarray, " members"]]:
        """Every metric at one evaluation."""
        return {name: table[:, column].copy() for name, table in self.validation.items()}

    def arrays(self) -> dict[str, Any]:
        """All of it, to be saved."""
        return {name: getattr(self, name) for name in ("train_loss", "validation", "skipped", "ended")}

    def expect(self, metrics: list[str]) -> None:
        """Makes room for metrics that a saved record has."""
        self.validation = {name: self._nothing() for name in metrics}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Takes over what was saved."""
        for name, value in arrays.items():
            setattr(self, name, value)

    def _nothing(self) -> Float[np.ndarray, "members evaluations"]:
        return np.full(self._shape, np.nan, hyper.arithmetic_dtype())
