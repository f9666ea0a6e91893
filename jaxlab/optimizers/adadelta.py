"""Adadelta: an adaptive learning rate method (Zeiler, 2012)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class MeanSquares(NamedTuple, Generic[T]):
    """Averages of the squared gradient and of the squared direction."""

    v: T
    x: T


def scale_by_adadelta(
    b2: hyper.Scalar = 0.9, eps: hyper.Scalar = 1e-6, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""Adadelta's direction: the gradient in units of the parameter.

    .. math::
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        d_t &= \frac{\sqrt{x_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}}\, g_t \\
        x_t &= \beta_2 x_{t-1} + (1 - \beta_2) d_t^2

    Both averages begin at zero and are not corrected. The numerator then begins at :math:`\sqrt\epsilon`, so
    here, unlike elsewhere, eps decides how fast the first thousand steps go.

    Args:
      b2: decay of both averages, in [0, 1). The paper's and PyTorch's rho; the paper's runs take 0.95.
      eps: added inside both roots, above 0.
      state_dtype: how the averages are kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter.

    Reference: https://arxiv.org/abs/1212.5701, algorithm 1.

    >>> tx = scale_by_adadelta(b2=0.25, eps=1.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0].tolist()
    [1.0]
    """
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> MeanSquares[storage.Slot]:
        return MeanSquares(v=storage.zeros(p, signed=False), x=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: MeanSquares[Array], shared: None, t: Array) -> tuple[Array, MeanSquares[Array]]:
        v = average(slots.v, leaf.g**2, b2)
        direction = jnp.sqrt(slots.x + eps) / jnp.sqrt(v + eps) * leaf.g
        return direction, MeanSquares(v, average(slots.x, direction**2, b2))

    return leafwise(update, slots=slots, store=state_dtype)


def adadelta(
    learning_rate: LearningRate = 1.0,
    b2: hyper.Scalar = 0.9,
    eps: hyper.Scalar = 1e-6,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adadelta: :func:`scale_by_adadelta`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform. The paper has none, that is 1.
        It scales the step alone: the average of squared directions does not see it, as in PyTorch.
      b2, eps, state_dtype: as in :func:`scale_by_adadelta`.

    >>> tx = adadelta(b2=0.25, eps=1.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.0]
    """
    return chain(scale_by_adadelta(b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


ADADELTA = OptimizerInfo(
    "adadelta",
    adadelta,
    "Zeiler 2012, arXiv:1212.5701",
    {"learning_rate": LogUniform(1e-2, 10.0), "b2": OneMinusLog(0.9, 0.99), "eps": LogUniform(1e-8, 1e-2)},
)
