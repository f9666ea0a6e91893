"""AdaBelief: adapting stepsizes by the belief in observed gradients (Zhuang et al., 2020)."""

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


class MeanAndSurprise(NamedTuple, Generic[T]):
    """The average of the gradient, and that of its squared distance from it."""

    m: T
    s: T


def scale_by_adabelief(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-16,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBelief's direction: long steps where the gradient is as expected, short ones where it surprises.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        s_t = \beta_2 s_{t-1} + (1 - \beta_2) (g_t - m_t)^2 + \epsilon \\
        d_t &= \frac{m_t}{1 - \beta_1^t} \Big/ \left(\sqrt{\frac{s_t}{1 - \beta_2^t}} + \epsilon\right)

    The eps inside is part of the average and grows to :math:`\epsilon / (1 - \beta_2)` there, as in the paper and
    in the official code. That code also rectifies as RAdam does unless told otherwise (``rectify=False``); the
    paper's algorithm, which stands here, does not.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean squared distance, in [0, 1).
      eps: added at both places, above 0. The official code's 1e-16; its authors advise 1e-8 where plain gradient
        descent does better than Adam, as for convolutional networks.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: two values for each parameter (8 bytes in float32).

    Reference: https://arxiv.org/abs/2010.07468, algorithm 2.

    >>> tx = scale_by_adabelief(b1=0.5)
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [2.0, -2.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> MeanAndSurprise[storage.Slot]:
        return MeanAndSurprise(m=storage.zeros(p), s=storage.zeros(p, signed=False))

    def update(
        leaf: Leaf, slots: MeanAndSurprise[Array], shared: None, t: Array
    ) -> tuple[Array, MeanAndSurprise[Array]]:
        m = average(slots.m, leaf.g, b1)
        surprise = b1 * (leaf.g - slots.m)  # g - m, which would cancel where m comes near g.
        # In this order: with eps added last, XLA on a CPU computes the sum anew for the direction.
        s = b2 * slots.s + ((1 - b2) * surprise**2 + eps)
        return debias(m, b1, t) / (jnp.sqrt(debias(s, b2, t)) + eps), MeanAndSurprise(m, s)

    return leafwise(update, slots=slots, store=state_dtype)


def adabelief(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-16,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBelief: :func:`scale_by_adabelief` with decoupled decay, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, state_dtype: as in :func:`scale_by_adabelief`.
      weight_decay: at least 0, multiplied by the learning rate; the official code's default 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = adabelief(0.9)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].round(5).tolist()
    [-1.0]
    """
    return chain(
        scale_by_adabelief(b1, b2, eps, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADABELIEF = OptimizerInfo(
    "adabelief",
    adabelief,
    "Zhuang et al. 2020, arXiv:2010.07468",
    {**spaces.ADAM, "weight_decay": LogUniform(1e-4, 1.0)},
    needs_params=True,
)
