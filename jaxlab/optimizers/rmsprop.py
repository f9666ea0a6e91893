"""RMSprop (Tieleman and Hinton, 2012)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class MeanSquare(NamedTuple, Generic[T]):
    """The average of the squared gradient."""

    v: T


def scale_by_rms(
    b2: hyper.Scalar = 0.9, eps: hyper.Scalar = 1e-8, *, state_dtype: str = "float32"
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop's direction: the gradient over the root of its mean square.

    .. math::
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \qquad d_t = g_t / (\sqrt{v_t} + \epsilon)

    The average begins at zero and is not corrected, as in the lecture and in PyTorch: the first steps are
    :math:`1 / \sqrt{1 - \beta_2}` times larger than later ones.

    Args:
      b2: decay of the mean square, in [0, 1). The lecture's 0.9; PyTorch calls it alpha and takes 0.99.
      eps: added outside the root, above 0.
      state_dtype: how the mean square is stored, ``"float32"`` or ``"bfloat16"``.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``.

    State: one value for each parameter.

    Reference: Neural Networks for Machine Learning, lecture 6e,
    https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf, slide 29.

    >>> tx = scale_by_rms(b2=0.75)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [2.0]
    """
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> MeanSquare[storage.Slot]:
        return MeanSquare(storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: MeanSquare[Array], shared: None, t: Array) -> tuple[Array, MeanSquare[Array]]:
        v = average(slots.v, leaf.g**2, b2)
        return leaf.g / (jnp.sqrt(v) + eps), MeanSquare(v)

    return leafwise(update, slots=slots, store=state_dtype)


def rmsprop(
    learning_rate: LearningRate,
    b2: hyper.Scalar = 0.9,
    eps: hyper.Scalar = 1e-8,
    state_dtype: str = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop: :func:`scale_by_rms`, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      b2, eps, state_dtype: as in :func:`scale_by_rms`.

    >>> tx = rmsprop(0.5, b2=0.75)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.0]
    """
    return chain(scale_by_rms(b2, eps, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))
