"""ADOPT: modified Adam can converge with any beta2 with the optimal rate (Taniguchi et al., 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Moments(NamedTuple, Generic[T]):
    """The average of normalised gradients, and that of the gradient's square up to the step before."""

    m: T
    v: T


def scale_by_adopt(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.9999,
    eps: hyper.Scalar = 1e-6,
    clip_power: hyper.Scalar | None = 0.25,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""ADOPT's direction: each gradient is divided by the root of a mean square that has not seen it yet.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \mathrm{clip}\!\left(
               \frac{g_t}{\max(\sqrt{v_{t-1}}, \epsilon)}, \pm (t - 1)^c\right), \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \qquad (t \ge 2) \\
        d_t &= m_t, \qquad d_1 = 0, \quad m_1 = 0, \quad v_1 = g_1^2

    The first step only fills the mean square; neither average is debiased. The clipping is that of the paper's second
    version and of the official code, where it is the default.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square, in [0, 1).
      eps: the least root, above 0.
      clip_power: :math:`c`, at least 0: how fast the bound on a normalised gradient widens. None clips nothing,
        the paper's first version.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32).

    Reference: https://arxiv.org/abs/2411.02853, algorithm 2.

    >>> tx = scale_by_adopt(b1=0.5)
    >>> first, state = tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))
    >>> second, state = tx.update(jnp.array([1.5, -2.0]), state)
    >>> first.tolist(), second.tolist()
    ([0.0, 0.0], [0.25, -0.5])
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    power = None if clip_power is None else hyper.number("clip_power", clip_power, "[0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: Moments[Array], shared: None, t: Array) -> tuple[Array, Moments[Array]]:
        normed = leaf.g / jnp.maximum(jnp.sqrt(slots.v), eps)
        if power is not None:
            bound = (t - 1) ** power
            normed = jnp.clip(normed, -bound, bound)
        # The first gradient is but the first mean square: no decay of it, and nothing of it in the mean.
        first = t == 1
        m = average(slots.m, jnp.where(first, 0, normed), jnp.where(first, 1, b1))
        v = average(slots.v, leaf.g**2, jnp.where(first, 0, b2))
        return m, Moments(m, v)

    return leafwise(update, slots=slots, store=state_dtype)


def adopt(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.9999,
    eps: hyper.Scalar = 1e-6,
    clip_power: hyper.Scalar | None = 0.25,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""ADOPT: :func:`scale_by_adopt` with decoupled decay, times the learning rate.

    The decay is the official code's with ``decouple=True``, but for the first step, at which that does not decay.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, clip_power, state_dtype: as in :func:`scale_by_adopt`.
      weight_decay: at least 0, multiplied by the learning rate.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = adopt(0.5)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].tolist()
    [-0.0]
    """
    return chain(
        scale_by_adopt(b1, b2, eps, clip_power, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADOPT = OptimizerInfo(
    "adopt",
    adopt,
    "Taniguchi et al. 2024, arXiv:2411.02853",
    {**spaces.ADAM, "weight_decay": LogUniform(1e-4, 1.0)},
    needs_params=True,
)
