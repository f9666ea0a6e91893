"""Adam: a method for stochastic optimization (Kingma and Ba, 2015)."""

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


class Moments(NamedTuple, Generic[T]):
    """Averages of the gradient and of its square."""

    m: T
    v: T


def scale_by_adam(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's direction, algorithm 1 of the paper without its learning rate.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t &\quad \hat m_t &= m_t / (1 - \beta_1^t) \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 &\quad \hat v_t &= v_t / (1 - \beta_2^t) \\
        d_t &= \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32, 4 in bfloat16, 2.06 in int8).

    Reference: https://arxiv.org/abs/1412.6980, algorithm 1.

    >>> tx = scale_by_adam()
    >>> direction, state = tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))
    >>> direction.round(5).tolist()
    [1.0, -1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: Moments[Array], shared: None, t: Array) -> tuple[Array, Moments[Array]]:
        m = average(slots.m, leaf.g, b1)
        v = average(slots.v, leaf.g**2, b2)
        return debias(m, b1, t) / (jnp.sqrt(debias(v, b2, t)) + eps), Moments(m, v)

    return leafwise(update, slots=slots, store=state_dtype)


def adam(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam, :math:`\theta_t = \theta_{t-1} - \alpha_t d_t` with :func:`scale_by_adam`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`scale_by_adam`.

    >>> tx = adam(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(6).tolist()
    [-0.5]
    """
    return chain(scale_by_adam(b1, b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


ADAM = OptimizerInfo("adam", adam, "Kingma and Ba 2015, arXiv:1412.6980", spaces.ADAM)
