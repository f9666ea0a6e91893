"""Prodigy: an expeditiously adaptive parameter-free learner (Mishchenko and Defazio, 2024)."""

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
    """Averages of the gradient and its square, the weighted sum of gradients, and the initial point."""

    m: T
    v: T
    s: T
    start: T


class Distance(NamedTuple, Generic[T]):
    """The estimate d of the distance to the solution.

    Attributes:
      d: the estimate that the last step used.
      largest: the largest that was found before it.
      progress: how far the gradients have led, the numerator of the next one.
      size: the sum of the sizes of s, its denominator.
    """

    d: T
    largest: T
    progress: T
    size: T


def scale_by_prodigy(
    learning_rate: LearningRate = 1.0,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    b3: hyper.Scalar | None = None,
    eps: hyper.Scalar = 1e-8,
    d0: hyper.Scalar = 1e-6,
    d_coef: hyper.Scalar = 1.0,
    growth_rate: hyper.Scalar | None = None,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    safeguard_warmup: bool = False,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's direction times an estimate of the distance to the solution, which only grows.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, d_t g_t \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, d_t^2 g_t^2 \\
        r_t &= \beta_3 r_{t-1} + \alpha_t d_t^2 \langle g_t, \theta_0 - \theta_t \rangle \qquad
        s_t = \beta_3 s_{t-1} + \alpha_t d_t^2 g_t \\
        d_{t+1} &= \max(d_t,\; c\, r_t / \lVert s_t \rVert_1) \\
        \text{direction} &= d_t \left( \frac{m_t}{\sqrt{v_t} + d_{t+1} \epsilon} + \lambda \theta_t \right)

    As the official ``prodigyopt``, which differs from the paper's algorithm 4 in what follows a step's estimate (the
    old one scales the step, the new one eps) and in the decay, which the estimate multiplies. All averages are kept
    in units of ``d0``, so that small numbers stay above float32's least; that changes no step.

    Args:
      learning_rate: :math:`\alpha_t`, the weights of the gradients in the estimate: the learning rate by which the
        direction is multiplied afterwards. Only their relative size counts.
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      b3: decay of the estimate's sums, in [0, 1); None is :math:`\sqrt{\beta_2}`.
      eps: added outside the root, above 0.
      d0: the first estimate, above 0: small, as it only grows.
      d_coef: :math:`c`, above 0, the way to tune the method.
      growth_rate: the estimate grows at most by this factor a step, such as 1.02; None is without limit.
      weight_decay: :math:`\lambda`, at least 0; decoupled.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      use_bias_correction: whether the step has Adam's bias correction (static).
      safeguard_warmup: whether the weights of :math:`s_t` leave out :math:`\alpha_t`, so that small rates of
        a warm-up do not raise the estimate (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static); the initial point stays whole.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``update``, without parameters.

    State: four values for each parameter, and four scalars, of which ``d`` is the estimate.

    Reference: https://arxiv.org/abs/2306.06101, algorithm 4.

    >>> tx, x = scale_by_prodigy(b2=0.99, d0=0.5), jnp.array([4.0, -2.0])
    >>> direction, state = tx.update(x, tx.init(x), x)
    >>> jnp.round(direction, 4).tolist(), state.shared.d.item()
    ([0.5, -0.5], 0.5)
    """
    weight = rate_at(learning_rate)
    b1 = hyper.number("b1", b1, "[0, 1)")
    hyper.flag("safeguard_warmup", safeguard_warmup)
    b2 = hyper.number("b2", b2, "[0, 1)")
    b3 = jnp.sqrt(b2) if b3 is None else hyper.number("b3", b3, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    d0 = hyper.number("d0", d0, "(0, inf)")
    d_coef = hyper.number("d_coef", d_coef, "(0, inf)")
    growth = growth_of(growth_rate)
    correction = correction_of(b1, b2, use_bias_correction)

    def following(shared: Distance[Array]) -> tuple[Array, Array]:
        """The next estimate, and the largest that was found."""
        largest = jnp.maximum(shared.largest, d_coef * over(shared.progress, shared.size))
        # The first estimate may be far too small: it is left at once.
        begun = jnp.where(shared.d == d0, jnp.maximum(shared.d, largest), shared.d)
        return jnp.minimum(largest, growth * begun), largest

    def slots(p: Array) -> Moments[storage.Slot]:
        start = storage.Slot(p, low_bit=False)
        return Moments(storage.zeros(p), storage.zeros(p, signed=False), storage.zeros(p), start)

    def gather(
        leaf: Leaf, slots: Moments[Array], shared: Distance[Array], t: Array
    ) -> tuple[Moments[Array], tuple[Array, Array]]:
        g, d = bounded(leaf.g), following(shared)[0] / d0
        weighted = d**2 * weight(t) * correction(t)
        m = average(slots.m, d * g, b1)
        v = average(slots.v, (d * g) ** 2, b2)
        s = b3 * slots.s + (d**2 if safeguard_warmup else weighted) * g
        led = weighted * jnp.sum(g * (slots.start - point(leaf)))
        return Moments(m, v, s, slots.start), (led, jnp.sum(jnp.abs(s)))

    def combine(shared: Distance[Array], sums: tuple[Array, Array] | None, t: Array) -> Distance[Array]:
        if sums is None:  # a tree without leaves
            return shared
        d, largest = following(shared)
        return Distance(d, largest, b3 * shared.progress + sums[0], sums[1])

    def update(leaf: Leaf, slots: Moments[Array], shared: Distance[Array], t: Array) -> tuple[Array, Moments[Array]]:
        direction = slots.m / (jnp.sqrt(slots.v) + following(shared)[0] / d0 * eps)
        if leaf.beside is not None:
            direction += leaf.beside * point(leaf)
        return shared.d * correction(t) * direction, slots

    return leafwise(
        update,
        slots=slots,
        gather=gather,
        combine=combine,
        beside=decay_of_leaves(weight_decay, decay_mask),
        shared=Distance(d0, d0, 0 * d0, 0 * d0),
        store=state_dtype,
        needs_params=True,
    )


def prodigy(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    b3: hyper.Scalar | None = None,
    eps: hyper.Scalar = 1e-8,
    d0: hyper.Scalar = 1e-6,
    d_coef: hyper.Scalar = 1.0,
    growth_rate: hyper.Scalar | None = None,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    safeguard_warmup: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Prodigy, :math:`\theta_{t+1} = \theta_t - \alpha_t\,` :func:`scale_by_prodigy`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform (by which the estimate weighs
        nothing). 1 is the method's own; a cosine schedule from 1 to 0 is what its authors advise.
      b1, b2, b3, eps, d0, d_coef, growth_rate, weight_decay, decay_mask, use_bias_correction, safeguard_warmup,
        state_dtype: as in :func:`scale_by_prodigy`.

    >>> tx, x = prodigy(1.0), jnp.array([3.0])
    >>> state = tx.init(x)
    >>> for _ in range(100):  # on the loss x^2 / 2
    ...     u, state = tx.update(x, state, x)
    ...     x = x + u
    >>> (abs(x[0]) < 1).item()
    True
    """
    direction = scale_by_prodigy(
        learning_rate,
        b1,
        b2,
        b3,
        eps,
        d0,
        d_coef,
        growth_rate,
        weight_decay,
        decay_mask,
        use_bias_correction,
        safeguard_warmup,
        state_dtype=state_dtype,
    )
    return chain(direction, scale_by_learning_rate(learning_rate))


PRODIGY = OptimizerInfo(
    "prodigy",
    prodigy,
    "Mishchenko and Defazio 2024, arXiv:2306.06101",
    spaces.PARAMETER_FREE,
    needs_params=True,
)
