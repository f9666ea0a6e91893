"""Ending members of a population early: what is behind at a rung, and what no longer improves.

Both are called as ``stop(step, validation) -> mask`` at every evaluation of
:func:`~jaxlab.sweep.population.run_population`: True ends a member. Members that have ended before show NaN.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from jaxlab.core import hyper
from jaxlab.sweep.order import order


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    r"""Successive halving: at each rung, :math:`1 / \eta` of the points go on.

    With :math:`n` points the rungs lie at :math:`R / \eta^k` of :math:`R` steps, :math:`k = K, \dots, 1`, and after
    the :math:`j`-th of them :math:`\lceil n / \eta^j \rceil` points are left. How many is known before the first step,
    so with :math:`\eta = 2` every size is one that a population halves to anyway.

    A point's seeds live or die together. Points are ranked by :func:`~jaxlab.sweep.order.order`: fewer lost seeds go
    before any mean, ties to the first. A point of which nothing is left never takes another's place.

    It acts at the first evaluation at or after a rung and remembers nothing: what it says depends on the step and on
    who is still there, so an interrupted population goes on as it would have.

    Members stand point by point: ``np.repeat(points, seeds)``. Under a schedule that ends in small learning rates an
    early ranking favours small ones: of half a run, not of the whole; ``rungs`` limits how early it begins.

    Attributes:
      metric: the name in ``validation``.
      higher_is_better: whether more of it is better.
      steps: of a whole run.
      points: how many.
      seeds: members of each point.
      eta: one in so many goes on; at least 2.
      rungs: how many; by default as many as leave one point and begin at step 1 or later.

    Raises:
      TypeError, ValueError: counts below 1, ``eta`` below 2, more rungs than that.

    Reference: Jamieson and Talwalkar 2016, arXiv:1502.07943, algorithm 1.

    >>> halving = SuccessiveHalving("loss", False, steps=80, points=4)
    >>> halving.marks, halving.left
    ((20, 40), (2, 1))
    >>> halving(20, {"loss": np.array([0.3, 0.1, 0.4, 0.2])}).tolist()
    [True, False, True, False]
    """

    metric: str
    higher_is_better: bool
    steps: int
    points: int
    seeds: int = 1
    eta: int = 2
    rungs: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "points", "seeds"):
            hyper.integer(name, getattr(self, name), at_least=1)
        hyper.integer("eta", self.eta, at_least=2)
        # Whole numbers: math.log(8, 2) need not be 3.
        most = 0
        while self.eta**most < self.points and self.eta ** (most + 1) <= self.steps:
            most += 1
        rungs = most if self.rungs is None else hyper.integer("rungs", self.rungs, at_least=0, at_most=most)
        object.__setattr__(self, "rungs", rungs)

    @property
    def marks(self) -> tuple[int, ...]:
        """The steps of the rungs, ascending; evaluate there."""
        return tuple(-(-self.steps // self.eta**k) for k in range(self._rungs, 0, -1))

    @property
    def left(self) -> tuple[int, ...]:
        """Points that are left after each rung; the sizes of the programs are these times ``seeds``."""
        return tuple(-(-self.points // self.eta ** (j + 1)) for j in range(self._rungs))

    @property
    def member_steps(self) -> int:
        """Steps of all members together, if none diverges and every rung is an evaluation."""
        ends = (0, *self.marks, self.steps)
        alive = (self.points, *self.left)
        return self.seeds * sum(count * (ends[i + 1] - ends[i]) for i, count in enumerate(alive))

    def __call__(
        self, step: int, validation: Mapping[str, Float[np.ndarray, " members"]]
    ) -> Bool[np.ndarray, " members"]:
        """Which members end now; those that have ended before are not among them.

        Raises:
          ValueError: another number of members than points times seeds.
        """
        scores = _scores(validation, self.metric, self.points * self.seeds).reshape(self.points, self.seeds)
        passed = sum(mark <= step < self.steps for mark in self.marks)
        if not passed:
            return np.zeros(scores.size, bool)
        there = np.isfinite(scores)
        ranks = order(scores, higher_is_better=self.higher_is_better)
        behind = np.isin(np.arange(self.points), ranks[self.left[passed - 1] :])
        return (behind[:, None] & there).reshape(-1)

    @property
    def _rungs(self) -> int:
        assert self.rungs is not None
        return self.rungs


class Patience:
    """Ends a member whose metric has not improved for some evaluations.

    What it knows of the past is what it was called with. Called at a step that is not above the last one, as when a
    population begins anew, it forgets everything from that step on. A population that goes on from a checkpoint calls
    it with each past evaluation in turn, so it ends the same members in whatever process.

    Args:
      metric: the name in ``validation``.
      higher_is_better: whether more of it is better.
      evaluations: so many in a row without an improvement end a member; at least 1.
      at_least: an improvement is more than this, in the metric's unit; at least 0.

    Raises:
      TypeError, ValueError: a number out of its range.

    >>> patience = Patience("loss", higher_is_better=False, evaluations=2)
    >>> [patience(step, {"loss": np.array([loss])}).item() for step, loss in enumerate([3.0, 2.0, 2.5, 2.0])]
    [False, False, False, True]
    """

    def __init__(self, metric: str, higher_is_better: bool, evaluations: int, at_least: float = 0.0) -> None:
        self.metric, self.higher_is_better = metric, higher_is_better
        self.evaluations = hyper.integer("evaluations", evaluations, at_least=1)
        self.at_least = float(hyper.number("at_least", at_least, "[0, inf)"))
        self._seen: dict[int, np.ndarray] = {}

    def __call__(
        self, step: int, validation: Mapping[str, Float[np.ndarray, " members"]]
    ) -> Bool[np.ndarray, " members"]:
        """Which members end now; those that have ended before are not among them.

        Raises:
          ValueError: another number of members than at the evaluation before.
        """
        self._seen = {past: scores for past, scores in self._seen.items() if past < step}
        before = next(iter(self._seen.values()), None)
        scores = _scores(validation, self.metric, None if before is None else before.size)
        self._seen[step] = scores
        there = np.isfinite(scores)
        best, since = np.full(scores.size, -math.inf), np.zeros(scores.size, int)
        for one in self._seen.values():
            gain = np.where(np.isfinite(one), one if self.higher_is_better else -one, -math.inf)
            improved = gain > best + self.at_least
            best, since = np.where(improved, gain, best), np.where(improved, 0, since + 1)
        return there & (since >= self.evaluations)


def _scores(validation: Mapping[str, Float[np.ndarray, " members"]], metric: str, members: int | None) -> np.ndarray:
    hyper.one_of("metric", metric, validation)
    scores = np.asarray(validation[metric], np.float64)
    if scores.ndim != 1 or (members is not None and scores.size != members):
        accepted = "one axis, of members" if members is None else f"({members},), one for each member"
        raise ValueError(f"validation[{metric!r}] has shape {scores.shape}: accepted is {accepted}")
    return scores
