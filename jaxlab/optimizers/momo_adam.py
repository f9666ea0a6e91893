"""MoMo-Adam: momentum models for adaptive learning rates (Schaipp et al., 2024), in Adam's norm."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.momo_model import follow_model
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")


class Moments(NamedTuple, Generic[T]):
    """Averages of the gradient and of its square."""

    m: T
    v: T


def scale_by_momo_adam(
    learning_rate: LearningRate = 1e-2,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    lb: hyper.Scalar = 0.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_fstar: bool = False,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adam whose step is as long as its model of the loss allows, never longer than the learning rate.

    :func:`~jaxlab.optimizers.momo.scale_by_momo` with bias correction in Adam's norm: with
    :math:`D_t = \sqrt{v_t / (1 - \beta_2^t)} + \epsilon` the step follows :math:`m_t / D_t`, and
    :math:`\lVert m_t \rVert^2` becomes :math:`\langle m_t, m_t / D_t \rangle`.
    Where the model allows the whole learning rate this is Adam.

    Args:
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      learning_rate, b1, lb, weight_decay, decay_mask, use_fstar, state_dtype: as in
        :func:`~jaxlab.optimizers.momo.scale_by_momo`.

    Raises:
      ValueError: as in :func:`~jaxlab.optimizers.momo.scale_by_momo`.

    Returns:
      A transform whose updates are the step itself, as in :func:`~jaxlab.optimizers.momo.scale_by_momo`. State: two
      values for each parameter, and four scalars (``use_fstar``: five).

    Reference: https://arxiv.org/abs/2305.07583, algorithm 2.

    >>> tx, x = scale_by_momo_adam(0.25), jnp.array([3.0, -4.0])
    >>> step, _ = tx.update(2 * x, tx.init(x), x, value=jnp.sum(x**2))
    >>> jnp.round(step, 4)
    Array([ 0.25, -0.25], dtype=float32)
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(storage.zeros(p), storage.zeros(p, signed=False))

    def moved(slots: Moments[Array], g: Array, t: Array) -> Moments[Array]:
        return Moments(average(slots.m, g, b1), average(slots.v, g**2, b2))

    def metric(slots: Moments[Array], t: Array) -> Array:
        return jnp.sqrt(debias(slots.v, b2, t)) + eps

    return follow_model(
        learning_rate,
        b1,
        lb,
        weight_decay,
        decay_mask,
        use_fstar,
        state_dtype,
        from_zero=True,
        slots=slots,
        moved=moved,
        metric=metric,
    )


def momo_adam(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    lb: hyper.Scalar = 0.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_fstar: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""MoMo-Adam, the step of :func:`scale_by_momo_adam`.

    Args:
      learning_rate: a number of at least 0 or a schedule: the longest step. 1e-2 is the authors' default.
      b1, b2, eps, lb, weight_decay, decay_mask, use_fstar, state_dtype: as in :func:`scale_by_momo_adam`.

    >>> tx, x = momo_adam(0.25), jnp.array([3.0, -4.0])
    >>> jnp.round(tx.update(2 * x, tx.init(x), x, value=jnp.sum(x**2))[0], 4)
    Array([-0.25,  0.25], dtype=float32)
    """
    step = scale_by_momo_adam(
        learning_rate, b1, b2, eps, lb, weight_decay, decay_mask, use_fstar, state_dtype=state_dtype
    )
    return chain(step, optax.scale(-1.0))


MOMO_ADAM = OptimizerInfo(
    "momo_adam",
    momo_adam,
    "Schaipp et al. 2024, arXiv:2305.07583",
    {"learning_rate": LogUniform(1e-4, 1e-1)},
    needs_params=True,
    needs=("value",),
)
