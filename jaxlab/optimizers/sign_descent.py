"""Sign descent and Signum: compressed optimisation for non-convex problems (Bernstein et al., 2018)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Mean(NamedTuple, Generic[T]):
    """The average of the gradient."""

    m: T


def scale_by_sign(
    momentum: hyper.Scalar | None = None, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""The sign of the gradient, or of its average: every element moves by the learning rate or not at all.

    .. math::
        d_t = \mathrm{sign}(g_t) \qquad \text{or} \qquad
        d_t = \mathrm{sign}(m_t), \quad m_t = \mu m_{t-1} + (1 - \mu) g_t

    Args:
      momentum: :math:`\mu`, in [0, 1); the paper's Signum takes 0.9. None is none.
      state_dtype: how the average is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a momentum outside [0, 1), or an unknown ``state_dtype``.

    State: none but a counter; one value for each parameter with momentum.

    Reference: https://arxiv.org/abs/1802.04434, algorithms 1 and 2.

    >>> tx = scale_by_sign()
    >>> tx.update(jnp.array([3.0, -0.5, 0.0]), tx.init(jnp.zeros(3)))[0].tolist()
    [1.0, -1.0, 0.0]
    """
    if momentum is None:
        return leafwise(lambda leaf, slots, shared, t: (jnp.sign(leaf.g), slots), store=state_dtype)
    mu = hyper.number("momentum", momentum, "[0, 1)")

    def slots(p: Array) -> Mean[storage.Slot]:
        return Mean(storage.zeros(p))

    def update(leaf: Leaf, slots: Mean[Array], shared: None, t: Array) -> tuple[Array, Mean[Array]]:
        m = average(slots.m, leaf.g, mu)
        return jnp.sign(m), Mean(m)

    return leafwise(update, slots=slots, store=state_dtype)


def sign_descent(
    learning_rate: LearningRate,
    momentum: hyper.Scalar | None = None,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Sign descent, with momentum Signum: :func:`scale_by_sign` with decoupled decay, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum, state_dtype: as in :func:`scale_by_sign`.
      weight_decay: at least 0, multiplied by the learning rate.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = sign_descent(0.5)
    >>> params = jnp.zeros(2)
    >>> tx.update(jnp.array([3.0, -0.1]), tx.init(params), params)[0].tolist()
    [-0.5, 0.5]
    """
    return chain(
        scale_by_sign(momentum, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


SIGN_DESCENT = OptimizerInfo(
    "sign_descent",
    sign_descent,
    "Bernstein et al. 2018, arXiv:1802.04434",
    {"learning_rate": LogUniform(1e-5, 3e-3), "momentum": OneMinusLog(0.5, 0.99)},
    needs_params=True,
    caveat=(
        "The sign is a biased estimate: Karimireddy et al. 2019, arXiv:1901.09847, show that it need not converge "
        "to the optimum and may generalize worse than SGD."
    ),
)
