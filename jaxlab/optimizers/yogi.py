"""Yogi: adaptive methods for nonconvex optimization (Zaheer et al., 2018)."""

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
    """The average of the gradient, and an estimate of its square that moves by steps of the square's own size."""

    m: T
    v: T


def scale_by_yogi(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-3,
    initial_accumulator: hyper.Scalar = 1e-6,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Yogi's direction: Adam with a mean square that falls slowly when gradients become small.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = v_{t-1} - (1 - \beta_2)\, \mathrm{sign}(v_{t-1} - g_t^2)\, g_t^2 \\
        d_t &= \frac{m_t}{1 - \beta_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - \beta_2^t}} + \epsilon\right)

    The mean begins at zero, as in the paper. TensorFlow's, PyTorch's and optax's Yogi begin it, too, at the
    accumulator's initial value, and so move parameters whose gradient is zero. The bias corrections are theirs; the
    paper has none.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: one minus the rate at which the square's estimate moves, in [0, 1).
      eps: added outside the root, above 0; the paper's 1e-3.
      initial_accumulator: where the square's estimate begins, at least 0; TensorFlow's 1e-6. The paper advises the
        square of a first gradient.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32).

    Reference: https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization, algorithm 2.

    >>> tx = scale_by_yogi(eps=1e-8, initial_accumulator=0.0)
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [1.0, -1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    start = hyper.number("initial_accumulator", initial_accumulator, "[0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        begin = storage.Slot(jnp.full_like(p, start, hyper.arithmetic_dtype()), signed=False)
        return Moments(m=storage.zeros(p), v=begin)

    def update(leaf: Leaf, slots: Moments[Array], shared: None, t: Array) -> tuple[Array, Moments[Array]]:
        square = leaf.g**2
        m = average(slots.m, leaf.g, b1)
        v = slots.v - (1 - b2) * jnp.sign(slots.v - square) * square
        return debias(m, b1, t) / (jnp.sqrt(debias(v, b2, t)) + eps), Moments(m, v)

    return leafwise(update, slots=slots, store=state_dtype)


def yogi(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-3,
    initial_accumulator: hyper.Scalar = 1e-6,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Yogi: :func:`scale_by_yogi`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the paper's 1e-2.
      b1, b2, eps, initial_accumulator, state_dtype: as in :func:`scale_by_yogi`.

    >>> tx = yogi(0.5, eps=1e-8, initial_accumulator=0.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(4).tolist()
    [-0.5]
    """
    return chain(
        scale_by_yogi(b1, b2, eps, initial_accumulator, state_dtype=state_dtype),
        scale_by_learning_rate(learning_rate),
    )


YOGI = OptimizerInfo("yogi", yogi, "Zaheer et al. 2018, NeurIPS", spaces.ADAM)
