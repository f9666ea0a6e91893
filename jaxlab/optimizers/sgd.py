"""Gradient descent, full-batch and stochastic."""

import optax

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.momentum import scale_by_momentum
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def gradient_descent(learning_rate: LearningRate) -> optax.GradientTransformationExtraArgs:
    r"""Plain gradient descent, :math:`\theta_t = \theta_{t-1} - \alpha_t g_t`.

    What the batch holds makes it full-batch, mini-batch or stochastic; the update is the same.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.

    Raises:
      ValueError: a negative or non-finite learning rate.

    State: none for a parameter.

    Reference: Cauchy (1847), Compte Rendu a l'Academie des Sciences 25, 536-538.

    >>> import jax.numpy as jnp
    >>> tx = gradient_descent(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.ones(1)))[0].tolist()
    [-1.0]
    """
    return chain(scale_by_learning_rate(learning_rate))


def sgd(
    learning_rate: LearningRate,
    momentum: hyper.Scalar | None = None,
    nesterov: bool = False,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Stochastic gradient descent, with momentum if one is given.

    .. math::
        v_t = \mu v_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \alpha_t v_t

    as in PyTorch: the learning rate stays outside the velocity.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform.
      momentum: None (no velocity is kept) or a number in [0, 1).
      nesterov: look ahead, :math:`g_t + \mu v_t` in place of :math:`v_t`; needs a momentum.
      state_dtype: how the velocity is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range; ``nesterov`` without ``momentum``; an unknown ``state_dtype``.

    State: none, or one value for each parameter with momentum.

    Reference: Robbins and Monro (1951), https://doi.org/10.1214/aoms/1177729586.

    >>> import jax.numpy as jnp
    >>> tx = sgd(0.5, momentum=0.5)
    >>> state = tx.init(jnp.ones(1))
    >>> _, state = tx.update(jnp.array([2.0]), state)
    >>> tx.update(jnp.array([2.0]), state)[0].tolist()
    [-1.5]
    """
    if momentum is None:
        if hyper.flag("nesterov", nesterov):
            raise ValueError("nesterov = True: accepted only with a momentum, a number in [0, 1)")
        storage.check_store(state_dtype)
        return gradient_descent(learning_rate)
    return chain(scale_by_momentum(momentum, nesterov, state_dtype=state_dtype), scale_by_learning_rate(learning_rate))


GRADIENT_DESCENT = OptimizerInfo("gradient_descent", gradient_descent, "Cauchy 1847", spaces.SGD)


SGD = OptimizerInfo("sgd", sgd, "Robbins and Monro 1951", spaces.SGD)
