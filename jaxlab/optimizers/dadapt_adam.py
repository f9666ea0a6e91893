"""Adam with D-Adaptation: learning-rate-free learning (Defazio and Mishchenko, 2023)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, bounded
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.parameter_free import correction_of, decay_of_leaves, growth_of, over, point, rate_at
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Moments(NamedTuple, Generic[T]):
    """Averages of the gradient and its square, and the weighted average of gradients."""

    m: T
    v: T
    s: T


class Distance(NamedTuple, Generic[T]):
    """The estimate d of the distance to the solution.

    Attributes:
      d: the estimate that the last step used.
      progress: how far the gradients have led, the numerator of the next one.
      size: the sum of the sizes of s, in its denominator.
    """

    d: T
    progress: T
    size: T


def scale_by_dadapt_adam(
    learning_rate: LearningRate = 1.0,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    d0: hyper.Scalar = 1e-6,
    growth_rate: hyper.Scalar | None = None,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's direction times an estimate of the distance to the solution, which only grows.

    With :math:`\lambda_t = \alpha_t d_t` and :math:`\beta = \sqrt{\beta_2}`,

    .. math::
        r_t &= \beta r_{t-1} + (1 - \beta)\, \lambda_t \bigl\langle g_t,\; s_{t-1} / (\sqrt{v_{t-1}} + \epsilon)
        \bigr\rangle \qquad s_t = \beta s_{t-1} + (1 - \beta)\, \lambda_t g_t \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, d_t g_t \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        d_{t+1} &= \max\left(d_t,\; \frac{r_t}{(1 - \beta) \lVert s_t \rVert_1}\right) \qquad
        \text{direction} = m_t / (\sqrt{v_t} + \epsilon) + d_t \mu\, \theta_t

    As the official ``dadaptation``, but the learning rate stands outside the mean :math:`m_t`, as in Adam and in
    Prodigy by the same authors: the same while it is constant. :math:`m` and :math:`s` are kept in units of
    ``d0``; that changes no step.

    Args:
      learning_rate: :math:`\alpha_t`, the weights of the gradients in the estimate: the learning rate by which the
        direction is multiplied afterwards.
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      d0: the first estimate, above 0: small, as it only grows.
      growth_rate: the estimate grows at most by this factor a step, such as 1.02; None is without limit.
      weight_decay: :math:`\mu`, at least 0; decoupled, and multiplied by the estimate.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      use_bias_correction: whether :math:`d_t` has Adam's bias correction wherever it weighs (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``update``, without parameters.

    State: three values for each parameter, and three scalars, of which ``d`` is the estimate.

    Reference: https://arxiv.org/abs/2301.07733, algorithm 5.

    >>> tx, x = scale_by_dadapt_adam(b2=0.99, d0=0.5), jnp.array([4.0, -2.0])
    >>> direction, state = tx.update(x, tx.init(x), x)
    >>> jnp.round(direction, 4).tolist(), state.shared.d.item()
    ([0.5, -0.5], 0.5)
    """
    weight = rate_at(learning_rate)
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    d0 = hyper.number("d0", d0, "(0, inf)")
    growth = growth_of(growth_rate)
    correction = correction_of(b1, b2, use_bias_correction)
    root = jnp.sqrt(b2)

    def following(shared: Distance[Array]) -> Array:
        found = d0 * over(shared.progress, (1 - root) * shared.size)
        return jnp.maximum(shared.d, jnp.minimum(found, growth * shared.d))

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(storage.zeros(p), storage.zeros(p, signed=False), storage.zeros(p))

    def gather(
        leaf: Leaf, slots: Moments[Array], shared: Distance[Array], t: Array
    ) -> tuple[Moments[Array], tuple[Array, Array]]:
        g, step = bounded(leaf.g), following(shared) / d0 * correction(t)
        led = step * weight(t) * jnp.sum(g * (slots.s / (jnp.sqrt(slots.v) + eps)))
        m = average(slots.m, step * g, b1)
        v = average(slots.v, g**2, b2)
        s = average(slots.s, step * weight(t) * g, root)
        return Moments(m, v, s), (led, jnp.sum(jnp.abs(s)))

    def combine(shared: Distance[Array], sums: tuple[Array, Array] | None, t: Array) -> Distance[Array]:
        if sums is None:  # a tree without leaves
            return shared
        return Distance(following(shared), average(shared.progress, sums[0], root), sums[1])

    def update(leaf: Leaf, slots: Moments[Array], shared: Distance[Array], t: Array) -> tuple[Array, Moments[Array]]:
        direction = d0 * slots.m / (jnp.sqrt(slots.v) + eps)
        if leaf.beside is not None:
            direction += shared.d * correction(t) * leaf.beside * point(leaf)
        return direction, slots

    return leafwise(
        update,
        slots=slots,
        gather=gather,
        combine=combine,
        beside=decay_of_leaves(weight_decay, decay_mask),
        shared=Distance(d0, 0 * d0, 0 * d0),
        store=state_dtype,
        needs_params=True,
    )


def dadapt_adam(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    d0: hyper.Scalar = 1e-6,
    growth_rate: hyper.Scalar | None = None,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with D-Adaptation, :math:`\theta_{t+1} = \theta_t - \alpha_t\,` :func:`scale_by_dadapt_adam`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform (by which the estimate weighs
        nothing). 1 is the method's own.
      b1, b2, eps, d0, growth_rate, weight_decay, decay_mask, use_bias_correction, state_dtype: as in
        :func:`scale_by_dadapt_adam`.

    >>> tx, x = dadapt_adam(1.0), jnp.array([3.0])
    >>> state = tx.init(x)
    >>> for _ in range(150):  # on the loss x^2 / 2
    ...     u, state = tx.update(x, state, x)
    ...     x = x + u
    >>> (abs(x[0]) < 1).item()
    True
    """
    direction = scale_by_dadapt_adam(
        learning_rate,
        b1,
        b2,
        eps,
        d0,
        growth_rate,
        weight_decay,
        decay_mask,
        use_bias_correction,
        state_dtype=state_dtype,
    )
    return chain(direction, scale_by_learning_rate(learning_rate))


DADAPT_ADAM = OptimizerInfo(
    "dadapt_adam",
    dadapt_adam,
    "Defazio and Mishchenko 2023, arXiv:2301.07733",
    spaces.PARAMETER_FREE,
    needs_params=True,
)
