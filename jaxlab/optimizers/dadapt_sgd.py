"""SGD with D-Adaptation: learning-rate-free learning (Defazio and Mishchenko, 2023)."""

from typing import Any, Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, bounded
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.parameter_free import growth_of, over, rate_at
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Sums(NamedTuple, Generic[T]):
    """The average of the steps, and the weighted sum of gradients."""

    m: T
    s: T


class Distance(NamedTuple, Generic[T]):
    """The estimate d of the distance to the solution.

    Attributes:
      d: the estimate that the last step used.
      progress: how far the gradients have led, in the numerator of the next one.
      size: the norm of s, in its denominator.
      first: the norm of the first gradient.
    """

    d: T
    progress: T
    size: T
    first: T


def scale_by_dadapt_sgd(
    learning_rate: LearningRate = 1.0,
    momentum: hyper.Scalar = 0.0,
    d0: hyper.Scalar = 1e-6,
    growth_rate: hyper.Scalar | None = None,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""The gradient, averaged, times an estimate of the distance over the norm of the first gradient.

    With :math:`\lambda_t = \alpha_t d_t / \lVert g_1 \rVert`,

    .. math::
        r_t &= r_{t-1} + \lambda_t \langle g_t, s_{t-1} \rangle \qquad s_t = s_{t-1} + \lambda_t g_t \qquad
        d_{t+1} = \max\left(d_t,\; 2 r_t / \lVert s_t \rVert\right) \\
        \text{direction} &= m_t = \beta m_{t-1} + (1 - \beta)\, d_t g_t / \lVert g_1 \rVert

    The official ``dadaptation`` writes the momentum as an average of iterates, :math:`\theta_{t+1} = \beta \theta_t +
    (1 - \beta) (\theta_1 - s_t)`, which is this with the learning rate inside the mean: the same while it is constant.
    The first gradient is the first that is not zero.

    Args:
      learning_rate: as in :func:`~jaxlab.optimizers.dadapt_adam.scale_by_dadapt_adam`.
      momentum: :math:`\beta`, in [0, 1).
      d0: the first estimate, above 0: small, as it only grows.
      growth_rate: the estimate grows at most by this factor a step, such as 1.02; None is without limit.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter, and four scalars, of which ``d`` is the estimate.

    Reference: https://arxiv.org/abs/2301.07733, algorithm 4.

    >>> tx, x = scale_by_dadapt_sgd(d0=0.5), jnp.array([3.0, -4.0])
    >>> jnp.round(tx.update(x, tx.init(x))[0] * 10).tolist()
    [3.0, -4.0]
    """
    weight = rate_at(learning_rate)
    momentum = hyper.number("momentum", momentum, "[0, 1)")
    d0 = hyper.number("d0", d0, "(0, inf)")
    growth = growth_of(growth_rate)

    # s is kept in units of d0 / |g_1|, which is not known before the first sums are.
    def following(shared: Distance[Array]) -> Array:
        found = 2 * d0 * over(over(shared.progress, shared.first), shared.size)
        return jnp.maximum(shared.d, jnp.minimum(found, growth * shared.d))

    def slots(p: Array) -> Sums[storage.Slot]:
        return Sums(storage.zeros(p), storage.zeros(p))

    def gather(
        leaf: Leaf, slots: Sums[Array], shared: Distance[Array], t: Array
    ) -> tuple[Sums[Array], tuple[Array, Array, Array]]:
        g = bounded(leaf.g)
        weighted = following(shared) / d0 * weight(t)
        s = slots.s + weighted * g
        return Sums(slots.m, s), (weighted * jnp.sum(g * slots.s), jnp.sum(s**2), jnp.sum(g**2))

    def combine(shared: Distance[Array], sums: Any, t: Array) -> Distance[Array]:
        if sums is None:  # a tree without leaves
            return shared
        led, size, squares = sums
        first = jnp.where(shared.first == 0, jnp.sqrt(squares), shared.first)
        return Distance(following(shared), shared.progress + led, jnp.sqrt(size), first)

    def update(leaf: Leaf, slots: Sums[Array], shared: Distance[Array], t: Array) -> tuple[Array, Sums[Array]]:
        m = average(slots.m, over(shared.d, shared.first) * bounded(leaf.g), momentum)
        return m, Sums(m, slots.s)

    return leafwise(
        update,
        slots=slots,
        gather=gather,
        combine=combine,
        shared=Distance(d0, 0 * d0, 0 * d0, 0 * d0),
        store=state_dtype,
    )


def dadapt_sgd(
    learning_rate: LearningRate,
    momentum: hyper.Scalar = 0.0,
    d0: hyper.Scalar = 1e-6,
    growth_rate: hyper.Scalar | None = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""SGD with D-Adaptation, :math:`\theta_{t+1} = \theta_t - \alpha_t\,` :func:`scale_by_dadapt_sgd`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform (by which the estimate weighs
        nothing). 1 is the method's own.
      momentum, d0, growth_rate, state_dtype: as in :func:`scale_by_dadapt_sgd`.

    >>> tx, x = dadapt_sgd(1.0), jnp.array([3.0])
    >>> state = tx.init(x)
    >>> for _ in range(60):  # on the loss x^2 / 2
    ...     u, state = tx.update(x, state, x)
    ...     x = x + u
    >>> (abs(x[0]) < 1).item()
    True
    """
    direction = scale_by_dadapt_sgd(learning_rate, momentum, d0, growth_rate, state_dtype=state_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))


DADAPT_SGD = OptimizerInfo(
    "dadapt_sgd",
    dadapt_sgd,
    "Defazio and Mishchenko 2023, arXiv:2301.07733",
    spaces.PARAMETER_FREE,
    caveat=(
        "Its authors advise a rate of 1. Its estimate never falls, and by default grows without limit: where "
        "training is unstable, its official code says, a growth_rate such as 1.02 may help."
    ),
)
