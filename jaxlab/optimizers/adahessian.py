"""AdaHessian: an adaptive second-order optimizer (Yao, Gholami, Shen, Mustafa, Keutzer and Mahoney, 2021)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.moments import average, bounded, debias
from jaxlab.core.space import LogUniform
from jaxlab.optimizers import curvature
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Moments(NamedTuple, Generic[T]):
    """Averages of the gradient and of the squared curvature."""

    m: T
    v: T


def scale_by_adahessian(
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-4,
    hessian_power: hyper.Scalar = 1.0,
    spatial_average: bool = True,
    refresh: int = 1,
    layer_axes: LayerAxes = 0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaHessian's direction: Adam's with the Hessian's diagonal in place of the gradient's square.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) D_t^2, \quad D_t = |z \odot H z| = |H z| \\
        d_t &= \frac{m_t / (1 - \beta_1^t)}{\bigl(\sqrt{v_t / (1 - \beta_2^n)}\bigr)^k + \epsilon}

    :math:`z` is random signs and n counts the estimates. Of a convolution's kernel (four axes: height, width, input,
    output, as Flax has them) :math:`D_t` is averaged over height and width, as in the official code.
    Before the first estimate nothing moves.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the squared curvature, from estimate to estimate, in [0, 1).
      eps: added to the denominator, above 0.
      hessian_power: :math:`k`, at least 0; 1 is Newton's, 0 is momentum.
      spatial_average: whether kernels are averaged over their places (static).
      refresh: estimate at the first step and every so many after, at least 1 (static).
      layer_axes: how many leading axes stack layers: five axes are then four; see
        :func:`~jaxlab.core.leafwise.leafwise` (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Returns:
      A transform whose ``update`` needs the parameters, ``key`` and ``hvp_fn(params, vector)``, the Hessian times a
      vector; it takes ``step``. State: two values for each parameter, and two counts.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``update``, something that it needs
        is missing.

    Reference: https://arxiv.org/abs/2006.00719, algorithm 1.

    >>> import jax
    >>> tx, x = scale_by_adahessian(), jnp.array([3.0, 1.0])
    >>> hvp_fn = lambda x, vector: jnp.array([1.0, 4.0]) * vector  # of the loss (x_1^2 + 4 x_2^2) / 2
    >>> direction, _ = tx.update(jnp.array([3.0, 4.0]), tx.init(x), x, hvp_fn=hvp_fn, key=jax.random.key(0))
    >>> jnp.round(direction, 2).tolist()
    [3.0, 1.0]
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    hyper.flag("spatial_average", spatial_average)
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    power = hyper.number("hessian_power", hessian_power, "[0, inf)")
    every = hyper.integer("refresh", refresh, at_least=1)

    def slots(p: Array) -> Moments[storage.Slot]:
        return Moments(m=storage.zeros(p), v=storage.zeros(p, signed=False))

    def diagonal(leaf: Leaf) -> Float[Array, "..."]:
        size = jnp.abs(bounded(curvature.of(leaf)))
        return jnp.mean(size, (0, 1), keepdims=True) if spatial_average and size.ndim == 4 else size

    def update(
        leaf: Leaf, slots: Moments[Array], shared: curvature.Estimates, t: Array
    ) -> tuple[Array, Moments[Array]]:
        m = average(slots.m, leaf.g, b1)
        v = jnp.where(shared.fresh(t), average(slots.v, diagonal(leaf) ** 2, b2), slots.v)
        known = shared.count > 0
        curved = debias(v, b2, jnp.maximum(shared.count, 1).astype(t.dtype))
        return jnp.where(known, debias(m, b1, t) / (jnp.sqrt(curved) ** power + eps), 0), Moments(m, v)

    return leafwise(
        update,
        slots=slots,
        beside=curvature.hutchinson(every),
        combine=curvature.counting(every),
        shared=curvature.no_estimates(),
        store=state_dtype,
        needs_params=True,
        layer_axes=layer_axes,
    )


def adahessian(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-4,
    hessian_power: hyper.Scalar = 1.0,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    spatial_average: bool = True,
    refresh: int = 1,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaHessian: :func:`scale_by_adahessian` with decoupled decay, times the learning rate.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform; the authors' default is 0.15.
      b1, b2, eps, hessian_power, spatial_average, refresh, layer_axes, state_dtype: as in
        :func:`scale_by_adahessian`.
      weight_decay: at least 0, multiplied by the learning rate, as in the official code.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.

    >>> import jax
    >>> tx, x = adahessian(0.5), jnp.array([3.0, -1.0])
    >>> known = {"hvp_fn": lambda x, vector: vector, "key": jax.random.key(0)}
    >>> jnp.round(tx.update(x, tx.init(x), x, **known)[0], 2).tolist()
    [-1.5, 0.5]
    """
    return chain(
        scale_by_adahessian(b1, b2, eps, hessian_power, spatial_average, refresh, layer_axes, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(learning_rate),
    )


ADAHESSIAN = OptimizerInfo(
    "adahessian",
    adahessian,
    "Yao et al. 2021, arXiv:2006.00719",
    {"learning_rate": LogUniform(1e-2, 1.0), "hessian_power": LogUniform(0.25, 1.0)},
    needs_params=True,
    needs=("hvp_fn", "key"),
)
