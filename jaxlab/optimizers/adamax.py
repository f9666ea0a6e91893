"""Adamax: Adam with the infinity norm (Kingma and Ba, 2015)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class MeanAndBound(NamedTuple, Generic[T]):
    """The average of the gradient, and the decaying maximum of its absolute value."""

    m: T
    u: T


def scale_by_adamax(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 0.0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax's direction, algorithm 2 of the paper without its learning rate.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon), \qquad
        d_t = \frac{m_t}{(1 - \beta_1^t)\, u_t}

    The maximum needs no debiasing. Where all gradients were zero, 0 / 0 is 0. The paper has no eps; PyTorch
    and optax add 1e-8 at the place shown, which matters where gradients are that small.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the maximum, in [0, 1).
      eps: added to the absolute gradient, at least 0.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32, 4 in bfloat16, 2.06 in int8).

    Reference: https://arxiv.org/abs/1412.6980, algorithm 2.

    >>> tx = scale_by_adamax()
    >>> tx.update(jnp.array([3.0, -0.5, 0.0]), tx.init(jnp.zeros(3)))[0].round(5).tolist()
    [1.0, -1.0, 0.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "[0, inf)")

    def slots(p: Array) -> MeanAndBound[storage.Slot]:
        return MeanAndBound(m=storage.zeros(p), u=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: MeanAndBound[Array], shared: None, t: Array) -> tuple[Array, MeanAndBound[Array]]:
        m = average(slots.m, leaf.g, b1)
        u = jnp.maximum(b2 * slots.u, jnp.abs(leaf.g) + eps)
        return debias(m, b1, t) / jnp.where(u == 0, 1, u), MeanAndBound(m, u)

    return leafwise(update, slots=slots, store=state_dtype)


def adamax(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 0.0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax: :func:`scale_by_adamax`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the paper's 2e-3.
      b1, b2, eps, state_dtype: as in :func:`scale_by_adamax`.

    >>> tx = adamax(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(6).tolist()
    [-0.5]
    """
    return chain(scale_by_adamax(b1, b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


ADAMAX = OptimizerInfo("adamax", adamax, "Kingma and Ba 2015, arXiv:1412.6980, algorithm 2", spaces.ADAM)
