"""What a task is."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from jaxlab.core import parts
from jaxlab.optimizers import Recipe

Loss = Callable[..., Any]
"""``(params, batch, key) -> (loss, metrics)``: means over the batch; ``key=None`` is evaluation."""


_ADAMW = Recipe("adamw")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """Data, a model and a loss: something to learn, and how to tell whether it was learnt.

    A pytree whose leaves are the data, so that a task may be an argument of a compiled program; all else is
    static, and tasks whose ``init`` and ``loss`` are the same functions share what was compiled for one.

    Attributes:
      data: the pool, any tree of arrays with a leading axis of examples. A run's seed splits it into
        training and validation.
      test: the same for the test set, which is never trained on.
      start: a tree of parameters by their names, a part of what ``init`` makes: training begins with these in place
        of its own, all runs alike. A warm start; None where there is none.
      frozen: likewise, and they stay as they are: no gradient of theirs is computed, no optimizer or decay sees them,
        and the members of a population share the one copy.
      name: as registered, or as its maker calls it.
      init: ``key -> params``, all of them.
      loss: ``(params, batch, key) -> (loss, metrics)``: scalars, means over the batch's examples. Without a
        key (None) it is an evaluation: no dropout. It sees all parameters. It may have hyperparameters of its own, see
        :mod:`jaxlab.train.given`.
      metric: the metric to report and to choose by; ``"loss"`` is the loss itself.
      higher_is_better: whether more of the metric is better.
      target: the metric on the test set that the default recipe reaches; None where nobody has said.
      unit: of the metric, for axes.
      validation_fraction: of the pool.
      batch_size, steps, recipe, hyperparams: the default recipe. The names of ``hyperparams`` are those that
        ``recipe.build`` takes; a dict is taken, too.
      description: one line: source, sizes, model, split.
    """

    data: PyTree
    test: PyTree
    name: str
    init: Callable[..., Any]
    loss: Loss
    metric: str = "loss"
    higher_is_better: bool = False
    target: float | None = None
    unit: str = ""
    validation_fraction: float = 0.2
    batch_size: int = 32
    steps: int = 1_000
    recipe: Recipe = _ADAMW
    hyperparams: tuple[tuple[str, float], ...] | Mapping[str, float] = (("learning_rate", 1e-3),)
    description: str = ""
    start: PyTree = None
    frozen: PyTree = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparams", tuple(sorted(dict(self.hyperparams).items())))

    def initial(self, key: Key[Array, ""]) -> PyTree[Array]:
        """All parameters that a run begins with: those of ``init``, but for what ``start`` and ``frozen`` have.

        Raises:
          ValueError: one of these has a leaf that ``init`` does not make, or of another shape.
        """
        params = parts.overlaid("start", self.init(key), self.start)
        return parts.overlaid("frozen", params, self.frozen)

    @property
    def which_frozen(self) -> parts.Which | None:
        """Which parameters are frozen, as ``init_state(..., frozen=...)`` takes it."""
        return None if self.frozen is None else parts.rules(self.frozen)

    def default_hyperparams(self, steps: int | None = None) -> dict[str, float]:
        """The default recipe's numbers for a run of so many steps.

        Lengths (``total_steps``, ``warmup_steps``: all that end in ``_steps``) are scaled with the run.

        >>> import jaxlab
        >>> task = jaxlab.tasks.get("digits_mlp")
        >>> task.steps, task.default_hyperparams()["warmup_steps"], task.default_hyperparams(100)["warmup_steps"]
        (1000, 100, 10.0)
        """
        scale = 1 if steps is None else steps / self.steps
        numbers = dict(self.hyperparams)
        return {name: value * scale if name.endswith("_steps") else value for name, value in numbers.items()}


_DATA = ["data", "test", "start", "frozen"]
_STATIC = [field.name for field in dataclasses.fields(Task) if field.name not in _DATA]
jax.tree_util.register_dataclass(Task, data_fields=_DATA, meta_fields=_STATIC)
