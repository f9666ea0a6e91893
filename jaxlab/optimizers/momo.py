"""MoMo: momentum models for adaptive learning rates (Schaipp, Ohana, Eickenberg, Defazio and Gower, 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.momo_model import follow_model, running_average
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")


class Mean(NamedTuple, Generic[T]):
    """The average of the gradient."""

    m: T


def scale_by_momo(
    learning_rate: LearningRate = 1.0,
    b1: hyper.Scalar = 0.9,
    lb: hyper.Scalar = 0.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    use_fstar: bool = False,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Momentum whose step is as long as its model of the loss allows, never longer than the learning rate.

    Averages of losses, gradients and their products with the parameters make a plane below which the loss
    cannot fall; the step leads to where that plane meets the lower bound :math:`f_*`:

    .. math::
        \bar f_t &= \beta \bar f_{t-1} + (1 - \beta) f_t \qquad
        m_t = \beta m_{t-1} + (1 - \beta) g_t \qquad
        \gamma_t = \beta \gamma_{t-1} + (1 - \beta) \langle g_t, \theta_t \rangle \\
        \tau_t &= \min\left(\frac{\alpha_t}{\rho_t},\; \frac{\bigl[\,\bar f_t - \rho_t f_* - \gamma_t
        + \langle m_t, \theta_t \rangle_\lambda \bigr]_+}{\lVert m_t \rVert_\lambda^2} \right) \\
        \theta_{t+1} &= (\theta_t - \tau_t m_t) / (1 + \alpha_t \lambda)

    The products with index :math:`\lambda` are divided, leaf by leaf, by :math:`1 + \alpha_t \lambda`. The averages
    begin at the first step's values and :math:`\rho_t = 1`, or with ``use_bias_correction`` at zero and
    :math:`\rho_t = 1 - \beta^t`. As the official ``momo-opt``, which knows decay of all leaves alone.

    Args:
      learning_rate: :math:`\alpha_t`, a number of at least 0 or a schedule: the longest step.
      b1: :math:`\beta`, in [0, 1).
      lb: :math:`f_*`, a lower bound of the loss, any number; 0 for most losses.
      weight_decay: :math:`\lambda`, at least 0, a proximal step.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      use_bias_correction: see above (static).
      use_fstar: whether to estimate the lower bound as the run goes on, never below ``lb`` (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, an unknown ``state_dtype``, a learning rate that is a loss-driven
        transform: the step is one itself. From ``update``, without parameters or ``value``, the loss.

    Returns:
      A transform whose updates are :math:`\theta_t - \theta_{t+1}`: the step itself, which the model decides, and not
      a direction. Its state tells the effective learning rate :math:`\tau_t`. State: one value for each parameter,
      and four scalars (``use_fstar``: five).

    Reference: https://arxiv.org/abs/2305.07583, algorithm 1.

    >>> tx, x = scale_by_momo(), jnp.array([3.0, -4.0])
    >>> tx.update(2 * x, tx.init(x), x, value=jnp.sum(x**2))[0].tolist()  # half the way, as Polyak's step
    [1.5, -2.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    hyper.flag("use_bias_correction", use_bias_correction)

    def slots(p: Array) -> Mean[storage.Slot]:
        return Mean(storage.zeros(p))

    def moved(slots: Mean[Array], g: Array, t: Array) -> Mean[Array]:
        return Mean(running_average(slots.m, g, b1, t, from_zero=use_bias_correction))

    def metric(slots: Mean[Array], t: Array) -> Array:
        return jnp.ones_like(slots.m)

    return follow_model(
        learning_rate,
        b1,
        lb,
        weight_decay,
        decay_mask,
        use_fstar,
        state_dtype,
        from_zero=use_bias_correction,
        slots=slots,
        moved=moved,
        metric=metric,
    )


def momo(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    lb: hyper.Scalar = 0.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    use_bias_correction: bool = False,
    use_fstar: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""MoMo, the step of :func:`scale_by_momo`.

    Args:
      learning_rate: a number of at least 0 or a schedule: the longest step. 1 is the authors' default.
      b1, lb, weight_decay, decay_mask, use_bias_correction, use_fstar, state_dtype: as in :func:`scale_by_momo`.

    >>> tx, x = momo(0.25), jnp.array([3.0, -4.0])
    >>> tx.update(2 * x, tx.init(x), x, value=jnp.sum(x**2))[0].tolist()
    [-1.5, 2.0]
    """
    step = scale_by_momo(
        learning_rate, b1, lb, weight_decay, decay_mask, use_bias_correction, use_fstar, state_dtype=state_dtype
    )
    return chain(step, optax.scale(-1.0))


MOMO = OptimizerInfo(
    "momo",
    momo,
    "Schaipp et al. 2024, arXiv:2305.07583",
    {"learning_rate": LogUniform(1e-2, 10.0)},
    needs_params=True,
    needs=("value",),
    caveat=(
        "Its authors recommend it where SGD with momentum works well, and aim at good results over a wide range of "
        "rates with little tuning."
    ),
)
