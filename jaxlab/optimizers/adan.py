"""Adan: adaptive Nesterov momentum algorithm (Xie et al., 2022)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class ThreeMoments(NamedTuple, Generic[T]):
    """Averages of the gradient, of its change and of a square, and the gradient of the step before."""

    m: T
    change: T
    v: T
    before: T


def scale_by_adan(
    b1: hyper.Scalar = 0.98,
    b2: hyper.Scalar = 0.92,
    b3: hyper.Scalar = 0.99,
    eps: hyper.Scalar = 1e-8,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adan's direction: Nesterov's momentum in Adam, from the change of the gradient.

    .. math::
        \Delta_t &= g_t - g_{t-1}, \qquad \Delta_1 = 0 \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        u_t = \beta_2 u_{t-1} + (1 - \beta_2) \Delta_t \\
        v_t &= \beta_3 v_{t-1} + (1 - \beta_3) (g_t + \beta_2 \Delta_t)^2 \\
        d_t &= \left(\frac{m_t}{1 - \beta_1^t} + \beta_2 \frac{u_t}{1 - \beta_2^t}\right) \Big/
               \left(\sqrt{\frac{v_t}{1 - \beta_3^t}} + \epsilon\right)

    The betas are decays, as everywhere here and in the official code (https://github.com/sail-sg/Adan): the paper's
    beta is one minus that, its 0.02, 0.08 and 0.01 are these defaults. Where the paper weights a change by one minus
    its beta that is :math:`\beta_2`; optax weights it by :math:`1 - \beta_2`, a twelfth of that.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean change, and the change's weight, in [0, 1).
      b3: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: four values for each parameter (16 bytes in float32).

    Reference: https://arxiv.org/abs/2208.06677, algorithm 1.

    >>> tx = scale_by_adan()
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [1.0, -1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    b3 = hyper.number("b3", b3, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> ThreeMoments[storage.Slot]:
        zero = storage.zeros(p)
        return ThreeMoments(m=zero, change=zero, v=storage.zeros(p, signed=False), before=zero)

    def update(leaf: Leaf, slots: ThreeMoments[Array], shared: None, t: Array) -> tuple[Array, ThreeMoments[Array]]:
        change = jnp.where(t == 1, 0, leaf.g - slots.before)
        m = average(slots.m, leaf.g, b1)
        u = average(slots.change, change, b2)
        v = average(slots.v, (leaf.g + b2 * change) ** 2, b3)
        d = (debias(m, b1, t) + b2 * debias(u, b2, t)) / (jnp.sqrt(debias(v, b3, t)) + eps)
        return d, ThreeMoments(m, u, v, leaf.g)

    return leafwise(update, slots=slots, store=state_dtype)


def adan(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.98,
    b2: hyper.Scalar = 0.92,
    b3: hyper.Scalar = 0.99,
    eps: hyper.Scalar = 1e-8,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adan: :func:`scale_by_adan` with decoupled decay, times the learning rate.

    This is the official code with ``no_prox=True``, and the decay of all optimizers here. Its default is the
    paper's proximal decay :math:`\theta_t = (\theta_{t-1} - \alpha_t d_t) / (1 + \alpha_t \lambda)`:
    ``proximal_elastic_net(adan(rate), decay, l1_ratio=0.0)`` of :mod:`jaxlab.regularizers`.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the official code advises 5 to
        10 times AdamW's.
      b1, b2, b3, eps, state_dtype: as in :func:`scale_by_adan`.
      weight_decay: at least 0, multiplied by the learning rate; the official code advises 0.02.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = adan(0.5)
    >>> params = jnp.ones(1)
    >>> tx.update(jnp.array([2.0]), tx.init(params), params)[0].round(4).tolist()
    [-0.5]
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADAN = OptimizerInfo(
    "adan",
    adan,
    "Xie et al. 2022, arXiv:2208.06677",
    {
        "learning_rate": LogUniform(3e-4, 3e-2),
        "b1": OneMinusLog(0.9, 0.99),
        "b2": OneMinusLog(0.7, 0.98),
        "b3": OneMinusLog(0.9, 0.999),
        "weight_decay": LogUniform(1e-3, 1.0),
    },
    needs_params=True,
    caveat=(
        "Its official code says that for better performance beta3 and then beta1 are to be tuned, and decays "
        "weights by 0.02; tuned by one knob it has the default betas and no decay."
    ),
)
