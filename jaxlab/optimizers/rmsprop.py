"""RMSprop (Tieleman and Hinton, 2012), centred (Graves, 2013) and with momentum."""

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
from jaxlab.optimizers.momentum import scale_by_momentum
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class MeanSquare(NamedTuple, Generic[T]):
    """The average of the squared gradient."""

    v: T


class Variance(NamedTuple, Generic[T]):
    """The average of the gradient, and that of its squared distance from it."""

    m: T
    v: T


def scale_by_rms(
    b2: hyper.Scalar = 0.9,
    eps: hyper.Scalar = 1e-8,
    centered: bool = False,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop's direction: the gradient over the root of its mean square, or of its variance.

    .. math::
        s_t = \beta_2 s_{t-1} + (1 - \beta_2) g_t^2, \qquad
        v_t = \begin{cases} s_t & \text{plain} \\ s_t - m_t^2,\; m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t &
        \text{centred} \end{cases}, \qquad
        d_t = g_t / (\sqrt{v_t} + \epsilon)

    The averages begin at zero and are not corrected, as in the lecture and in PyTorch: the first steps are
    :math:`1 / \sqrt{1 - \beta_2}` times larger than later ones, centred once more by
    :math:`1 / \sqrt{\beta_2}`.

    The difference :math:`s_t - m_t^2` cancels, and in float32 it may fall below zero. The variance is kept
    instead, by its own recursion, which is the same number and is never negative:
    :math:`v_t = \beta_2 \bigl(v_{t-1} + (1 - \beta_2) (g_t - m_{t-1})^2\bigr)`.

    Args:
      b2: decay of the averages, in [0, 1). The lecture's 0.9; PyTorch calls it alpha and takes 0.99.
      eps: added outside the root, above 0. Graves adds 1e-4 inside.
      centered: whether the mean is taken off (static).
      state_dtype: how the averages are kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: one value for each parameter; two, centred.

    References: Neural Networks for Machine Learning, lecture 6e,
    https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf, slide 29;
    https://arxiv.org/abs/1308.0850, equations 38 to 45.

    >>> tx = scale_by_rms(b2=0.75)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [2.0]
    """
    b2 = hyper.number("b2", b2, "[0, 1)")
    hyper.flag("centered", centered)
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> MeanSquare[storage.Slot]:
        return MeanSquare(storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: MeanSquare[Array], shared: None, t: Array) -> tuple[Array, MeanSquare[Array]]:
        v = average(slots.v, leaf.g**2, b2)
        return leaf.g / (jnp.sqrt(v) + eps), MeanSquare(v)

    def slots_centered(p: Array) -> Variance[storage.Slot]:
        return Variance(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def update_centered(leaf: Leaf, slots: Variance[Array], shared: None, t: Array) -> tuple[Array, Variance[Array]]:
        m = average(slots.m, leaf.g, b2)
        v = b2 * (slots.v + (1 - b2) * (leaf.g - slots.m) ** 2)
        return leaf.g / (jnp.sqrt(v) + eps), Variance(m, v)

    if centered:
        return leafwise(update_centered, slots=slots_centered, store=state_dtype)
    return leafwise(update, slots=slots, store=state_dtype)


def rmsprop(
    learning_rate: LearningRate,
    b2: hyper.Scalar = 0.9,
    eps: hyper.Scalar = 1e-8,
    momentum: hyper.Scalar | None = None,
    centered: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop: :func:`scale_by_rms`, then momentum where it is asked for, times the learning rate.

    .. math::
        w_t = \mu w_{t-1} + d_t, \qquad \theta_t = \theta_{t-1} - \alpha_t w_t

    The velocity sums directions and the rate is outside of it, as in PyTorch; TensorFlow's and optax's holds the
    rate inside, which differs while the rate changes.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b2, eps, centered, state_dtype: as in :func:`scale_by_rms`.
      momentum: :math:`\mu`, in [0, 1), which costs one more value for each parameter; None is none.

    >>> tx = rmsprop(0.5, b2=0.75)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.0]
    """
    direction = [scale_by_rms(b2, eps, centered, state_dtype=state_dtype)]
    if momentum is not None:
        direction.append(scale_by_momentum(momentum, state_dtype=state_dtype))
    return chain(*direction, scale_by_learning_rate(learning_rate))


RMSPROP = OptimizerInfo(
    "rmsprop",
    rmsprop,
    "Tieleman and Hinton 2012, lecture 6e; Graves 2013, arXiv:1308.0850",
    {"learning_rate": LogUniform(1e-4, 3e-2), "b2": OneMinusLog(0.9, 0.999)},
)
