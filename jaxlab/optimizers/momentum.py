"""Heavy-ball momentum (Polyak, 1964) and Nesterov's accelerated gradient (1983)."""

from typing import Generic, NamedTuple, TypeVar

import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Velocity(NamedTuple, Generic[T]):
    """The discounted sum of gradients."""

    v: T


def scale_by_momentum(
    momentum: hyper.Scalar = 0.9, nesterov: bool = False, *, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of heavy-ball or Nesterov momentum.

    .. math::
        v_t = \mu v_{t-1} + g_t, \qquad
        d_t = \begin{cases} v_t & \text{heavy ball} \\ g_t + \mu v_t & \text{Nesterov} \end{cases}

    A sum, as in PyTorch, not an average: at a constant gradient the direction grows to
    :math:`g / (1 - \mu)`. Polyak keeps the learning rate inside the velocity, which is the same while it is
    constant. Nesterov's is Sutskever's form, written at the point that looks ahead.

    Args:
      momentum: :math:`\mu`, in [0, 1).
      nesterov: which of the two (static).
      state_dtype: how the velocity is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a momentum outside [0, 1), or an unknown ``state_dtype``.

    State: one value for each parameter.

    References: Polyak (1964), https://doi.org/10.1016/0041-5553(64)90137-5; Sutskever et al. (2013),
    https://proceedings.mlr.press/v28/sutskever13.html, equations 3 and 4.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_momentum(0.5, nesterov=True)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [3.0]
    """
    mu = hyper.number("momentum", momentum, "[0, 1)")
    hyper.flag("nesterov", nesterov)

    def slots(p: Array) -> Velocity[storage.Slot]:
        return Velocity(storage.zeros(p))

    def update(leaf: Leaf, slots: Velocity[Array], shared: None, t: Array) -> tuple[Array, Velocity[Array]]:
        v = mu * slots.v + leaf.g
        return (leaf.g + mu * v if nesterov else v), Velocity(v)

    return leafwise(update, slots=slots, store=state_dtype)


def momentum(
    learning_rate: LearningRate, momentum: hyper.Scalar = 0.9, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent with heavy-ball momentum: :func:`scale_by_momentum`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum, state_dtype: as in :func:`scale_by_momentum`.

    >>> import jax.numpy as jnp
    >>> tx = momentum(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.0]
    """
    return chain(scale_by_momentum(momentum, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


def nesterov(
    learning_rate: LearningRate, momentum: hyper.Scalar = 0.9, state_dtype: storage.StateDtype = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent with Nesterov momentum: :func:`scale_by_momentum`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum, state_dtype: as in :func:`scale_by_momentum`.

    >>> import jax.numpy as jnp
    >>> tx = nesterov(0.5, momentum=0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.5]
    """
    return chain(
        scale_by_momentum(momentum, nesterov=True, state_dtype=state_dtype), scale_by_learning_rate(learning_rate)
    )


MOMENTUM = OptimizerInfo("momentum", momentum, "Polyak 1964", spaces.MOMENTUM)


NESTEROV = OptimizerInfo("nesterov", nesterov, "Nesterov 1983; Sutskever et al. 2013", spaces.MOMENTUM)
