"""Every schedule by name."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping

import optax

from jaxlab.core import hyper
from jaxlab.schedules import clock
from jaxlab.schedules.constant import constant
from jaxlab.schedules.cosine import cosine
from jaxlab.schedules.cosine_restarts import cosine_restarts
from jaxlab.schedules.exponential import exponential, staircase
from jaxlab.schedules.inverse_sqrt import inverse_sqrt
from jaxlab.schedules.inverse_time import inverse_time
from jaxlab.schedules.join import join
from jaxlab.schedules.loss_driven import loss_driven
from jaxlab.schedules.loss_ratio import loss_ratio
from jaxlab.schedules.one_cycle import one_cycle
from jaxlab.schedules.polyak import polyak
from jaxlab.schedules.polynomial import polynomial
from jaxlab.schedules.reduce_on_plateau import reduce_on_plateau
from jaxlab.schedules.step import step_decay
from jaxlab.schedules.warmup import warmup
from jaxlab.schedules.wsd import wsd, wsd_1_sqrt, wsd_cosine

_OF_THE_STEP: dict[str, Callable[..., hyper.Schedule]] = {
    "constant": constant,
    "exponential": exponential,
    "staircase": staircase,
    "step": step_decay,
    "inverse_time": inverse_time,
    "inverse_sqrt": inverse_sqrt,
    "polynomial": polynomial,
    "cosine": cosine,
    "cosine_restarts": cosine_restarts,
    "one_cycle": one_cycle,
    "warmup": warmup,
    "wsd": wsd,
    "wsd_cosine": wsd_cosine,
    "wsd_1_sqrt": wsd_1_sqrt,
    "join": join,
}
_OF_THE_LOSS: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "reduce_on_plateau": reduce_on_plateau,
    "loss_driven": loss_driven,
    "loss_ratio": loss_ratio,
    "polyak": polyak,
}
_FACTORIES = {**_OF_THE_STEP, **_OF_THE_LOSS}


@dataclasses.dataclass(frozen=True)
class ScheduleInfo:
    """What a recipe needs to know of a schedule.

    Attributes:
      name: as registered.
      factory: makes the schedule from its numbers. Its first argument is the learning rate: the peak, for
        ``warmup`` what it rises to, for ``join`` the value of the first piece.
      parameters: the names of the other numbers, all of them traceable. (Arguments by keyword alone are
        structure, and have defaults.)
      required: those of them that have no default.
      takes_loss: whether it follows the loss: a transform that needs ``value=`` and steps down by itself. The
        others are functions of the step. Both are what an optimizer takes as its ``learning_rate``.
    """

    name: str
    factory: Callable[..., hyper.Schedule | optax.GradientTransformationExtraArgs]
    parameters: tuple[str, ...]
    required: tuple[str, ...]
    takes_loss: bool = False

    def build(self, hyperparams: Mapping[str, hyper.Scalar]) -> hyper.Schedule | optax.GradientTransformationExtraArgs:
        """The schedule of a recipe, from the recipe's flat dict of hyperparameters.

        ``learning_rate`` becomes the first argument, ``parameters`` are taken by their names, all else
        belongs to others. Where ``warmup_steps`` is there and the schedule has none of its own, a linear
        warm-up goes first, and ``total_steps`` counts both. (Before a loss-driven one it multiplies.)

        Raises:
          ValueError: a missing or bad hyperparameter, or a warm-up longer than ``total_steps``.

        >>> rate = get("cosine").build({"learning_rate": 0.5, "total_steps": 30, "warmup_steps": 10, "b1": 0.9})
        >>> [round(float(rate(step)), 6) for step in (0, 10, 20, 30)]
        [0.0, 0.5, 0.25, 0.0]
        """
        missing = [name for name in ("learning_rate", *self.required) if name not in hyperparams]
        if missing:
            raise ValueError(
                f"schedule {self.name!r} misses {', '.join(missing)} among the hyperparameters; "
                f"given are: {', '.join(hyperparams) or 'none'}"
            )
        peak = hyper.number("learning_rate", hyperparams["learning_rate"], "[0, inf)")
        own = {name: hyperparams[name] for name in self.parameters if name in hyperparams}
        if "warmup_steps" in self.parameters or "warmup_steps" not in hyperparams:
            return self.factory(peak, **own)
        warmup_steps = hyper.number("warmup_steps", hyperparams["warmup_steps"], "[0, inf)")
        if "total_steps" in own:
            total_steps = hyper.number("total_steps", own["total_steps"], "(0, inf)")
            if clock.are_concrete(total_steps, warmup_steps) and warmup_steps >= total_steps:
                raise ValueError(
                    f"warmup_steps = {warmup_steps:g}: accepted is less than total_steps = {total_steps:g}"
                )
            own["total_steps"] = total_steps - warmup_steps
        return warmup(self.factory(peak, **own), warmup_steps)


def names() -> tuple[str, ...]:
    """The names of all schedules, those that follow the loss last.

    >>> "cosine" in names(), names()[-1]
    (True, 'polyak')
    """
    return tuple(_FACTORIES)


def get(name: str) -> ScheduleInfo:
    """What is known of one schedule.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("exponential").parameters, get("exponential").required
    (('decay_rate', 'transition_steps'), ('decay_rate',))
    >>> get("cosin")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: schedule = 'cosin': unknown, did you mean 'cosine'? Accepted are: constant, exponential, ...
    """
    factory = _FACTORIES[hyper.one_of("schedule", name, _FACTORIES)]
    _, *arguments = inspect.signature(factory).parameters.values()
    arguments = [argument for argument in arguments if argument.kind is not argument.KEYWORD_ONLY]
    return ScheduleInfo(
        name=name,
        factory=factory,
        parameters=tuple(argument.name for argument in arguments),
        required=tuple(argument.name for argument in arguments if argument.default is argument.empty),
        takes_loss=name in _OF_THE_LOSS,
    )
