"""Adagrad: adaptive subgradient methods (Duchi, Hazan and Singer, 2011)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class SquareSum(NamedTuple, Generic[T]):
    """The sum of all squared gradients."""

    s: T


def scale_by_adagrad(
    eps: hyper.Scalar = 1e-10, initial_accumulator: hyper.Scalar = 0.0, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""Adagrad's direction in its diagonal form.

    .. math::
        s_t = s_{t-1} + g_t^2, \qquad d_t = g_t / (\sqrt{s_t} + \epsilon)

    Args:
      eps: added outside the root, above 0.
      initial_accumulator: :math:`s_0`, at least 0. PyTorch begins at 0 as the paper does, TensorFlow at 0.1.
      state_dtype: how the sum is kept, see :mod:`jaxlab.core.storage` (static). The sum only grows, and each
        increment shrinks beside it: fewer bits are right on average, and noisy.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: one value for each parameter.

    Reference: https://jmlr.org/papers/v12/duchi11a.html, figure 1 with :math:`\delta` = eps.

    >>> tx = scale_by_adagrad()
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [1.0]
    """
    eps = hyper.number("eps", eps, "(0, inf)")
    initial = hyper.number("initial_accumulator", initial_accumulator, "[0, inf)")

    def slots(p: Array) -> SquareSum[storage.Slot]:
        start = jnp.full_like(p, initial, hyper.arithmetic_dtype())
        return SquareSum(storage.Slot(start, signed=False))

    def update(leaf: Leaf, slots: SquareSum[Array], shared: None, t: Array) -> tuple[Array, SquareSum[Array]]:
        s = slots.s + leaf.g**2
        return leaf.g / (jnp.sqrt(s) + eps), SquareSum(s)

    return leafwise(update, slots=slots, store=state_dtype)


def adagrad(
    learning_rate: LearningRate,
    eps: hyper.Scalar = 1e-10,
    initial_accumulator: hyper.Scalar = 0.0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adagrad: :func:`scale_by_adagrad`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      eps, initial_accumulator, state_dtype: as in :func:`scale_by_adagrad`.

    >>> tx = adagrad(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-0.5]
    """
    return chain(
        scale_by_adagrad(eps, initial_accumulator, state_dtype=state_dtype), scale_by_learning_rate(learning_rate)
    )


ADAGRAD = OptimizerInfo(
    "adagrad",
    adagrad,
    "Duchi, Hazan and Singer 2011, jmlr.org/papers/v12/duchi11a.html",
    {"learning_rate": LogUniform(1e-3, 1.0)},
)
