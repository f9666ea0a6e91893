"""Lion: symbolic discovery of optimization algorithms (Chen et al., 2023)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Mean(NamedTuple, Generic[T]):
    """The average of the gradient."""

    m: T


def scale_by_lion(
    b1: hyper.Scalar = 0.9, b2: hyper.Scalar = 0.99, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""Lion's direction: the sign of an average, so every element moves by the learning rate or not at all.

    .. math::
        d_t = \mathrm{sign}(\beta_1 m_{t-1} + (1 - \beta_1) g_t), \qquad
        m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Args:
      b1: weight of the average in the direction, in [0, 1).
      b2: decay of the average, in [0, 1).
      state_dtype: how the average is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: one value for each parameter.

    Reference: https://arxiv.org/abs/2302.06675, algorithm 2.

    >>> tx = scale_by_lion()
    >>> tx.update(jnp.array([3.0, -0.5, 0.0]), tx.init(jnp.zeros(3)))[0].tolist()
    [1.0, -1.0, 0.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")

    def slots(p: Array) -> Mean[storage.Slot]:
        return Mean(storage.zeros(p))

    def update(leaf: Leaf, slots: Mean[Array], shared: None, t: Array) -> tuple[Array, Mean[Array]]:
        return jnp.sign(average(slots.m, leaf.g, b1)), Mean(average(slots.m, leaf.g, b2))

    return leafwise(update, slots=slots, store=state_dtype)


def lion(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.99,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Lion: :func:`scale_by_lion` with decoupled decay, times the learning rate.

    The paper advises a learning rate 3 to 10 times smaller than AdamW's, and a decay as much larger.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, state_dtype: as in :func:`scale_by_lion`.
      weight_decay: at least 0, multiplied by the learning rate; the official code's default 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> tx = lion(0.5)
    >>> params = jnp.zeros(2)
    >>> tx.update(jnp.array([3.0, -0.1]), tx.init(params), params)[0].tolist()
    [-0.5, 0.5]
    """
    return chain(
        scale_by_lion(b1, b2, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


LION = OptimizerInfo(
    "lion",
    lion,
    "Chen et al. 2023, arXiv:2302.06675",
    {"learning_rate": LogUniform(1e-5, 3e-3), "weight_decay": LogUniform(5e-2, 10.0)},
    needs_params=True,
    caveat=(
        "Its authors' ablation finds that it prefers larger batches than AdamW: best at 4,096 where AdamW is best "
        "at 256, but still robust at 64."
    ),
)
