"""Loss scale: float16 gradients kept above the smallest number that float16 has."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from jaxlab.core import hyper


class LossScaleState(NamedTuple):
    """What a loss is multiplied with, and for how many steps in a row that went well."""

    scale: Float[Array, ""]
    good_steps: Int32[Array, ""]


@dataclasses.dataclass(frozen=True)
class LossScale:
    r"""How a loss scale changes: doubled after a while without an overflow, halved by one.

    .. math::
        s' = \begin{cases} \max(s\, d, s_{\min}) & \text{after a step that is not finite} \\
        \min(s\, g, s_{\max}) & \text{after } n \text{ finite ones in a row} \\ s & \text{else} \end{cases}

    The step that is not finite, in its gradient or in what came of it, is left out. Powers of two change no bit of a
    gradient but its exponent.
    ``LossScale(128, growth=1, backoff=1)`` is a constant one.

    Attributes:
      initial: :math:`s` before the first step.
      growth: :math:`g`, at least 1.
      backoff: :math:`d`, in (0, 1].
      interval: :math:`n`, steps.
      floor: :math:`s_{\min}`.
      ceiling: :math:`s_{\max}`.

    Raises:
      TypeError: what is no number.
      ValueError: a number out of its range, or an initial scale outside floor and ceiling.

    State: two scalars.

    Reference: Micikevicius et al., Mixed precision training, https://arxiv.org/abs/1710.03740, section 3.2; growth and
    interval as in PyTorch's ``GradScaler`` and APEX.

    >>> scale = LossScale(1024.0)
    >>> state = scale.adjust(scale.init(), jnp.array(False))
    >>> float(state.scale)
    512.0
    """

    initial: float = 2.0**15
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000
    floor: float = 1.0
    ceiling: float = 2.0**24

    def __post_init__(self) -> None:
        ranges = {"growth": "[1, inf)", "backoff": "(0, 1]"}
        for name in ("growth", "backoff", "floor", "initial", "ceiling"):
            value = getattr(self, name)
            hyper.number(f"loss_scale.{name}", value, ranges.get(name, "(0, inf)"))
            object.__setattr__(self, name, float(value))  # Of an array there is no hash.
        hyper.integer("loss_scale.interval", self.interval, at_least=1, at_most=2**31 - 1)
        if not self.floor <= self.initial <= self.ceiling:
            raise ValueError(
                f"loss_scale.initial = {self.initial}: accepted is between floor = {self.floor} and ceiling = "
                f"{self.ceiling}"
            )

    def init(self) -> LossScaleState:
        """The state before the first step."""
        return LossScaleState(jnp.asarray(self.initial, hyper.arithmetic_dtype()), jnp.zeros((), jnp.int32))

    def adjust(self, state: LossScaleState, finite: Bool[Array, ""]) -> LossScaleState:
        """The state after a step that was finite or was not."""
        scale, good = state.scale, state.good_steps + 1
        grows = good >= self.interval
        grown = jnp.where(grows, jnp.minimum(scale * self.growth, self.ceiling), scale)
        less = jnp.maximum(scale * self.backoff, self.floor)
        return LossScaleState(
            scale=jnp.where(finite, grown, less).astype(scale.dtype),
            good_steps=jnp.where(finite & ~grows, good, 0).astype(jnp.int32),
        )
