"""A recipe: which optimizer under which schedule, its structure apart from its numbers."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import optax

from jaxlab.core import hyper
from jaxlab.optimizers import registry
from jaxlab.schedules import registry as schedules


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The static half of a recipe; ``build`` makes the transform from the other half, the numbers.

    Two recipes that are equal share every compiled program, whatever their numbers.

    Attributes:
      optimizer: a registered optimizer.
      schedule: a registered schedule of the learning rate.
      static: structural arguments of the optimizer, as ``(("state_dtype", "bfloat16"), ...)``; a dict is
        taken, too.

    Raises:
      ValueError: an unknown name; the message suggests the nearest.

    >>> import jax.numpy as jnp
    >>> recipe = Recipe("adam", "cosine")
    >>> tx = recipe.build({"learning_rate": 0.1, "total_steps": 100, "b1": 0.5})
    >>> Recipe("adamw").hyperparams({"learning_rate": 0.1})["weight_decay"]
    0.01
    """

    optimizer: str = "adamw"
    schedule: str = "constant"
    static: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        registry.get(self.optimizer)
        schedules.get(self.schedule)
        pairs = list(self.static.items()) if isinstance(self.static, Mapping) else self.static
        named = isinstance(pairs, tuple | list) and all(
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
        )
        if not named:
            raise TypeError(f"static = {self.static!r}: accepted are a dict and pairs of names and values")
        object.__setattr__(self, "static", tuple(sorted(dict(pairs).items())))
        try:
            hash(self.static)
        except TypeError:
            raise TypeError(
                f"static = {self.static!r}: accepted are values that can be hashed, tuples for lists"
            ) from None
        for name, _ in self.static:
            hyper.one_of(f"static argument of {self.optimizer}", name, self.info.static)

    @property
    def info(self) -> registry.OptimizerInfo:
        """What is known of the optimizer."""
        return registry.get(self.optimizer)

    def hyperparams(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given numbers beside the optimizer's defaults, checked.

        Raises:
          ValueError: a name that neither the optimizer nor the schedule takes; a missing or bad number.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"hyperparams = {given!r}: accepted is a dict of numbers by name")
        defaults = self.info.hyperparams
        numbers = {name: value for name, value in defaults.items() if value is not None} | dict(given)
        self.build(numbers)
        return numbers

    @property
    def build(self) -> Callable[[Mapping[str, Any]], optax.GradientTransformationExtraArgs]:
        """``hyperparams -> GradientTransformation``, traceable in every number; equal recipes have the same.

        Its argument holds ``learning_rate`` (the schedule's peak), the schedule's numbers (``warmup_steps`` may go
        before any schedule), and the optimizer's where they are not its defaults. A ``fallback_learning_rate`` is the
        peak of a second schedule of the same shape.
        """
        return _builder(self)


# Compiled programs are found again by the identity of their functions.
@functools.cache
def _builder(recipe: Recipe) -> Callable[[Mapping[str, Any]], optax.GradientTransformationExtraArgs]:
    info, schedule = recipe.info, schedules.get(recipe.schedule)
    known = ("learning_rate", "warmup_steps", *schedule.parameters, *info.hyperparams)

    def build(hyperparams: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
        for name in hyperparams:
            hyper.one_of(f"hyperparameter of {recipe.optimizer} with schedule {recipe.schedule}", name, known)
        numbers = {name: hyperparams[name] for name in info.hyperparams if name in hyperparams}
        if "fallback_learning_rate" in info.hyperparams:
            # Of the same shape as the other, to a height of its own.
            peak = numbers.get("fallback_learning_rate", info.hyperparams["fallback_learning_rate"])
            numbers["fallback_learning_rate"] = schedule.build({**hyperparams, "learning_rate": peak})
        return info.factory(schedule.build(hyperparams), **numbers, **dict(recipe.static))

    # Who keeps results by the name of a function (checkpoints of populations) tells recipes apart.
    build.__qualname__ = repr(recipe)
    return build
