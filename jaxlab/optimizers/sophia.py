"""Sophia: a scalable stochastic second-order optimizer (Liu, Li, Hall, Liang and Ma, 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, bounded
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import curvature
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")

ESTIMATORS = {"hutchinson": curvature.hutchinson, "gnb": curvature.gauss_newton_bartlett}


class Moments(NamedTuple, Generic[T]):
    """Averages of the gradient and of the curvature."""

    m: T
    h: T


def scale_by_sophia(
    b1: hyper.Scalar = 0.96,
    b2: hyper.Scalar = 0.99,
    gamma: hyper.Scalar = 0.01,
    eps: hyper.Scalar = 1e-12,
    estimator: str = "hutchinson",
    refresh: int = 10,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Sophia's direction: the mean over the curvature, no element longer than 1.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \qquad
        h_t = \beta_2 h_{t-k} + (1 - \beta_2) \hat h_t \text{ every } k \text{ steps, else } h_{t-1} \\
        d_t &= \mathrm{clip}\!\left(\frac{m_t}{\max(\gamma h_t, \epsilon)},\, -1,\, 1\right)

    ``"hutchinson"`` estimates the Hessian's diagonal by a product with random signs (the paper draws normal numbers:
    the same on average, with more variance). ``"gnb"`` estimates the Gauss-Newton matrix's from labels that the model
    itself draws, and so never finds a negative curvature. Where the curvature is not positive, or not known yet, an
    element moves by the sign of its mean. The paper's algorithm 3; its authors' code corrects the bias of
    :math:`m_t` in Sophia-H, and adds its least number to :math:`\gamma h_t` in Sophia-G.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the curvature, from estimate to estimate, in [0, 1).
      gamma: :math:`\gamma`, above 0: the larger, the more elements are below 1. The paper's are 0.01 for
        ``"hutchinson"`` and 0.05 for ``"gnb"``.
      eps: the least denominator, above 0.
      estimator: ``"hutchinson"`` or ``"gnb"`` (static).
      refresh: :math:`k`, estimate at the first step and every so many after, at least 1 (static). Steps between
        pay nothing for it, nor do they in a population whose members share the clock ``step``.
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Returns:
      A transform whose ``update`` needs the parameters, ``key``, and ``hvp_fn(params, vector)`` or, for ``"gnb"``,
      ``sampled_grad_fn(params, key)``: a training step passes them, the last where ``loss_fn`` has a method
      ``sampled(params, batch, key)``. It takes ``step``. State: two values for each parameter, and two counts.

    Raises:
      ValueError: a number outside its range, an unknown ``estimator`` or ``state_dtype``; from ``update``, something
        that it needs is missing.

    Reference: https://arxiv.org/abs/2305.14342, algorithms 1 to 3.

    >>> import jax
    >>> tx, x = scale_by_sophia(b1=0.0, b2=0.0, gamma=2.0), jnp.array([3.0, 1.0])
    >>> hvp_fn = lambda x, vector: jnp.array([1.0, 4.0]) * vector  # of the loss (x_1^2 + 4 x_2^2) / 2
    >>> direction, _ = tx.update(jnp.array([3.0, 4.0]), tx.init(x), x, hvp_fn=hvp_fn, key=jax.random.key(0))
    >>> direction.tolist()
    [1.0, 0.5]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    gamma = hyper.number("gamma", gamma, "(0, inf)")
    eps = hyper.number("eps", eps, "(0, inf)")
    estimate = ESTIMATORS[hyper.one_of("estimator", estimator, ESTIMATORS)]
    every = hyper.integer("refresh", refresh, at_least=1)

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(storage.zeros(p), storage.zeros(p, signed=estimator != "gnb"))

    def update(
        leaf: Leaf, slots: Moments[Array], shared: curvature.Estimates, t: Array
    ) -> tuple[Array, Moments[Array]]:
        m = average(slots.m, leaf.g, b1)
        h = jnp.where(shared.fresh(t), average(slots.h, bounded(curvature.of(leaf)), b2), slots.h)
        return jnp.clip(m / jnp.maximum(gamma * h, eps), -1, 1), Moments(m, h)

    return leafwise(
        update,
        slots=slots,
        beside=estimate(every),
        combine=curvature.counting(every),
        shared=curvature.no_estimates(),
        store=state_dtype,
        needs_params=True,
    )


def sophia(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.96,
    b2: hyper.Scalar = 0.99,
    gamma: hyper.Scalar = 0.01,
    eps: hyper.Scalar = 1e-12,
    weight_decay: hyper.Scalar = 0.1,
    decay_mask: tree.Mask = None,
    estimator: str = "hutchinson",
    refresh: int = 10,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Sophia: :func:`scale_by_sophia` with decoupled decay, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform: the most that an element moves,
        as Lion's; the paper's are 3 to 5 times smaller than Adam's.
      b1, b2, gamma, eps, estimator, refresh, state_dtype: as in :func:`scale_by_sophia`.
      weight_decay: at least 0, multiplied by the learning rate; the official code's default 0.1.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> import jax
    >>> tx, x = sophia(0.5, weight_decay=0.0), jnp.array([3.0, -1.0])
    >>> known = {"hvp_fn": lambda x, vector: vector, "key": jax.random.key(0)}
    >>> tx.update(x, tx.init(x), x, **known)[0].tolist()
    [-0.5, 0.5]
    """
    return chain(
        scale_by_sophia(b1, b2, gamma, eps, estimator, refresh, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


SOPHIA = OptimizerInfo(
    "sophia",
    sophia,
    "Liu et al. 2024, arXiv:2305.14342",
    {"learning_rate": LogUniform(1e-5, 1e-2), "gamma": LogUniform(1e-3, 1.0), "weight_decay": LogUniform(1e-3, 1.0)},
    needs_params=True,
    needs=("hvp_fn", "key"),
)
