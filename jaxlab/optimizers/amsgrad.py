"""AMSGrad: on the convergence of Adam and beyond (Reddi, Kale and Kumar, 2018)."""

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


class MaxMoments(NamedTuple, Generic[T]):
    """Averages of the gradient and of its square, and the largest that the latter has been."""

    m: T
    v: T
    v_max: T


def scale_by_amsgrad(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AMSGrad's direction: Adam's over the largest mean square so far, so that, debiasing aside, no rate grows again.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t &\quad
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        u_t &= \max(u_{t-1}, v_t) &\quad
        d_t &= \frac{m_t / (1 - \beta_1^t)}{\sqrt{u_t / (1 - \beta_2^t)} + \epsilon}

    PyTorch's order: the maximum is of the raw averages and is debiased by this step's weight. The paper
    debiases neither moment and has no eps; optax takes the maximum of debiased averages, in which a large
    first gradient, debiased by a thousand, is never forgotten.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static). Below float32 a maximum is that of what
        was rounded up, too: of bfloat16 one part in 128 too large, of int8 one in 8, of int4 up to a factor of 2.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: three values for each parameter (12 bytes in float32, 6 in bfloat16, 3.1 in int8).

    Reference: https://openreview.net/forum?id=ryQu7f-RZ, algorithm 2.

    >>> tx = scale_by_amsgrad()
    >>> state = tx.init(jnp.zeros(1))
    >>> for g in (8.0, 0.0, 0.0):
    ...     direction, state = tx.update(jnp.array([g]), state)
    >>> bool(state.slots.v_max[0] > state.slots.v[0])
    True
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> MaxMoments[storage.Slot]:
        return MaxMoments(m=storage.zeros(p), v=storage.zeros(p, signed=False), v_max=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: MaxMoments[Array], shared: None, t: Array) -> tuple[Array, MaxMoments[Array]]:
        m = average(slots.m, leaf.g, b1)
        v = average(slots.v, leaf.g**2, b2)
        v_max = jnp.maximum(slots.v_max, v)
        return debias(m, b1, t) / (jnp.sqrt(debias(v_max, b2, t)) + eps), MaxMoments(m, v, v_max)

    return leafwise(update, slots=slots, store=state_dtype)


def amsgrad(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AMSGrad: :func:`scale_by_amsgrad`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`scale_by_amsgrad`.

    >>> tx = amsgrad(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(6).tolist()
    [-0.5]
    """
    return chain(scale_by_amsgrad(b1, b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


AMSGRAD = OptimizerInfo("amsgrad", amsgrad, "Reddi, Kale and Kumar 2018, openreview.net ryQu7f-RZ", spaces.ADAM)
