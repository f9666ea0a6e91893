"""RAdam: on the variance of the adaptive learning rate and beyond (Liu et al., 2020)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.optimizers import spaces
from jaxlab.optimizers.adam import Moments
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def average_length(b2: Float[Array, ""], t: Float[Array, ""]) -> Float[Array, ""]:
    r"""How many gradients the debiased mean square holds: the paper's :math:`\rho_t`, within 4e-6 in float32.

    .. math::
        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad \rho_\infty = \frac{2}{1 - \beta_2} - 1

    Early on both terms are near 2,000 and their difference near t: float32 would keep three digits of it. With
    :math:`x = -\log \beta_2` and :math:`h(y) = y \coth y - 1 = y^2/3 - y^4/45 + \dots` the same number is
    :math:`t - \tfrac2x \bigl(h(\tfrac{xt}2) - h(\tfrac x2)\bigr)`, where nothing cancels while :math:`xt` is small.
    """
    x = -jnp.log1p(b2 - 1)

    def h(y: Float[Array, ""]) -> Float[Array, ""]:
        y2 = y**2
        return y2 * (1 / 3 - y2 * (1 / 45 - y2 * (2 / 945 - y2 / 4725)))

    early = t - 2 / x * (h(x * t / 2) - h(x / 2))
    late = (1 + b2) / (1 - b2) - 2 * t / jnp.expm1(x * t)
    return jnp.where(x * t < 0.25, early, late)


def scale_by_radam(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""RAdam's direction: momentum until the mean square is worth something, then Adam, rectified.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \qquad
        \hat m_t = m_t / (1 - \beta_1^t) \\
        d_t &= \begin{cases} \hat m_t & \rho_t \le 5 \\
        r_t\, \hat m_t\, \sqrt{1 - \beta_2^t} / (\sqrt{v_t} + \epsilon) & \rho_t > 5 \end{cases} \qquad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2)\rho_t}}

    with :func:`average_length` :math:`\rho_t`. As in PyTorch: the paper's text rectifies from
    :math:`\rho_t > 4`, where :math:`r_t` is near zero, its authors' code from 5 (at the default b2
    that is step 6, not 5); the paper has no eps, PyTorch adds it to the root that is not debiased yet.
    The first steps are not normalised: they are as long as the gradient.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1). Up to 2/3 nothing is ever rectified: momentum for good.
      eps: added outside the root, above 0.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32, 4 in bfloat16, 2.06 in int8).

    Reference: https://arxiv.org/abs/1908.03265, algorithm 2.

    >>> tx = scale_by_radam()
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(5).tolist()
    [3.0, -0.5]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: Moments[Array], shared: None, t: Array) -> tuple[Array, Moments[Array]]:
        m = average(slots.m, leaf.g, b1)
        v = average(slots.v, leaf.g**2, b2)
        m_hat = debias(m, b1, t)
        most = (1 + b2) / (1 - b2)
        length = average_length(b2, t)
        rectified = length > 5
        # Where nothing is rectified the root below would be of a negative number.
        length, most = (jnp.where(rectified, rho, 5) for rho in (length, most))
        r = jnp.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
        weight = -jnp.expm1(t * jnp.log1p(b2 - 1))
        adaptive = r * m_hat * jnp.sqrt(weight) / (jnp.sqrt(v) + eps)
        return jnp.where(rectified, adaptive, m_hat), Moments(m, v)

    return leafwise(update, slots=slots, store=state_dtype)


def radam(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""RAdam: :func:`scale_by_radam`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`scale_by_radam`.

    >>> tx = radam(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].round(6).tolist()
    [-1.0]
    """
    return chain(scale_by_radam(b1, b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


RADAM = OptimizerInfo("radam", radam, "Liu et al. 2020, arXiv:1908.03265", spaces.ADAM)
