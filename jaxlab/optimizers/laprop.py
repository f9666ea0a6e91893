"""LaProp: separating momentum and adaptivity in Adam (Ziyin, Wang and Ueda, 2020)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Moments(NamedTuple, Generic[T]):
    """The average of normalised gradients, and that of the gradient's square."""

    m: T
    v: T


def scale_by_laprop(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-15,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""LaProp's direction: Adam with the momentum after the division, so that any b1 goes with any b2.

    .. math::
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \Big/
               \left(\sqrt{\frac{v_t}{1 - \beta_2^t}} + \epsilon\right), \qquad
        d_t = \frac{m_t}{1 - \beta_1^t}

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0; the official code's 1e-15.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32).

    Reference: https://arxiv.org/abs/2002.04839, algorithm 1.

    >>> tx = scale_by_laprop()
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [1.0, -1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: Moments[Array], shared: None, t: Array) -> tuple[Array, Moments[Array]]:
        v = average(slots.v, leaf.g**2, b2)
        m = average(slots.m, leaf.g / (jnp.sqrt(debias(v, b2, t)) + eps), b1)
        return debias(m, b1, t), Moments(m, v)

    return leafwise(update, slots=slots, store=state_dtype)


def laprop(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-15,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""LaProp: :func:`scale_by_laprop` with decoupled decay, times the learning rate.

    The rate is outside the average, as in the paper. The official code keeps it inside and divides by its average,
    which is the same while it is constant. That code's decay is not multiplied by the learning rate, and acts after
    the step: its :math:`w` is a decay of :math:`w / \alpha` here, but for :math:`w \alpha d_t`.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the paper's 4e-4.
      b1, b2, eps, state_dtype: as in :func:`scale_by_laprop`.
      weight_decay: at least 0, multiplied by the learning rate.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = laprop(0.5)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].round(4).tolist()
    [-0.5]
    """
    return chain(
        scale_by_laprop(b1, b2, eps, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


LAPROP = OptimizerInfo(
    "laprop",
    laprop,
    "Ziyin, Wang and Ueda 2020, arXiv:2002.04839",
    {**spaces.ADAM, "weight_decay": LogUniform(1e-4, 1.0)},
    needs_params=True,
)
