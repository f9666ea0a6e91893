"""Adafactor: adaptive learning rates with sublinear memory cost (Shazeer and Stern, 2018)."""

import dataclasses
from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.moments import bounded
from jaxlab.core.space import LogUniform
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class FactoredMoments(NamedTuple, Generic[T]):
    """The mean square as the averages of its rows and columns, or whole; what a leaf does without is one zero."""

    row: T
    col: T
    v: T


def scale_by_adafactor(
    b2_power: hyper.Scalar = 0.8,
    eps: hyper.Scalar = 1e-30,
    clip: hyper.Scalar | None = 1.0,
    min_scale: hyper.Scalar | None = 1e-3,
    min_factored: int = 128,
    layer_axes: LayerAxes = 0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adafactor's direction: over the root of a mean square of rank one, clipped, in units of the parameter.

    .. math::
        \beta_{2,t} &= 1 - t^{-c} \\
        R_t &= \beta_{2,t} R_{t-1} + (1 - \beta_{2,t})\, \mathrm{rowmeans}(G_t^2 + \epsilon) \qquad
        C_t = \beta_{2,t} C_{t-1} + (1 - \beta_{2,t})\, \mathrm{colmeans}(G_t^2 + \epsilon) \\
        U_t &= G_t \big/ \sqrt{R_t C_t^\top / \mathrm{mean}(R_t)} \\
        D_t &= \max(s, \mathrm{RMS}(\theta_{t-1}))\; U_t / \max(1, \mathrm{RMS}(U_t) / d)

    The last two axes of a leaf are its matrix; further ones count its matrices, but clipping and the scale are the
    leaf's as a whole, unless ``layer_axes`` says that it stacks layers. Leaves that are no matrix, or a small
    one, keep the whole mean square, algorithm 5 of the paper.

    The paper's algorithm 4, as T5's and optax's; these two factor the two largest axes instead of the last
    two, here and in PyTorch. PyTorch has no eps in the averages; it bounds their product below by its
    ``eps[0] ** 2`` (the same unless gradients are that small) and factors every leaf with two axes.

    Args:
      b2_power: :math:`c`, how fast the average lengthens, at least 0. PyTorch's ``beta2_decay`` is its negative.
      eps: added to the squared gradient, above 0; the paper's :math:`\epsilon_1`.
      clip: :math:`d`, the largest root mean square of :math:`U`, above 0; None clips nothing.
      min_scale: :math:`s`, the least scale of a parameter, above 0, the paper's :math:`\epsilon_2`. None leaves
        the direction without scale, so that learning rates are as Adam's.
      min_factored: factor where both axes have this size, at least 1 (static).
      layer_axes: how many leading axes stack layers, see :func:`~jaxlab.core.leafwise.leafwise` (static).
      state_dtype: how state is kept, see :mod:`jaxlab.core.storage` (static).

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``init``, a leaf with fewer axes
        than ``layer_axes`` says; from ``update``, parameters that are missing, unless ``min_scale`` is None.

    State: :math:`n + m` values for a matrix of :math:`n \times m`; one for each parameter of what is not factored.

    Reference: https://arxiv.org/abs/1804.04235, algorithms 4 and 5.

    >>> tx = scale_by_adafactor(min_scale=None, min_factored=2)
    >>> state = tx.init(jnp.zeros((4, 3)))
    >>> state.slots.row.shape, state.slots.col.shape, state.slots.v.shape
    ((4,), (3,), ())
    >>> tx.update(jnp.full((4, 3), 7.0), state)[0][0].round(4).tolist()
    [1.0, 1.0, 1.0]
    """
    power = hyper.number("b2_power", b2_power, "[0, inf)")
    eps = hyper.number("eps", eps, "(0, inf)")
    clip = None if clip is None else hyper.number("clip", clip, "(0, inf)")
    min_scale = None if min_scale is None else hyper.number("min_scale", min_scale, "(0, inf)")
    hyper.integer("min_factored", min_factored, at_least=1)

    def is_factored(x: Array) -> bool:
        return x.ndim >= 2 and min(x.shape[-2:]) >= min_factored

    def slots(p: Array) -> FactoredMoments[storage.Slot]:
        absent, whole = storage.Slot(jnp.zeros(()), axes=()), storage.zeros(p, signed=False)
        if not is_factored(p):
            return FactoredMoments(absent, absent, whole)

        def without(axis: int) -> storage.Slot:
            kept = tuple(i for i in range(p.ndim) if i != p.ndim + axis)
            return dataclasses.replace(whole, value=jnp.sum(whole.value, axis), axes=kept)

        return FactoredMoments(without(-1), without(-2), absent)

    def update(
        leaf: Leaf, slots: FactoredMoments[Array], shared: None, t: Array
    ) -> tuple[Array, FactoredMoments[Array]]:
        g = bounded(leaf.g)

        def average(previous: Array, new: Array) -> Array:
            return previous + t**-power * (new - previous)

        if is_factored(g):
            row = average(slots.row, jnp.mean(g**2 + eps, -1))
            col = average(slots.col, jnp.mean(g**2 + eps, -2))
            # Factor by factor from the left: where g is zero the product of the others may be beyond float32.
            mean = jnp.mean(row, -1, keepdims=True)
            u = g / jnp.sqrt(row)[..., None] * (jnp.sqrt(mean) / jnp.sqrt(col))[..., None, :]
            slots = FactoredMoments(row, col, slots.v)
        else:
            v = average(slots.v, g**2 + eps)
            u = g / jnp.sqrt(v)
            slots = FactoredMoments(slots.row, slots.col, v)
        if clip is not None:
            u = u / jnp.maximum(1, _rms(u) / clip)
        if min_scale is not None and leaf.p is not None:  # The engine has seen to it that parameters are there.
            u = u * jnp.maximum(min_scale, _rms(leaf.p))
        return u, slots

    return leafwise(update, slots=slots, store=state_dtype, needs_params=min_scale is not None, layer_axes=layer_axes)


def adafactor(
    learning_rate: LearningRate,
    b2_power: hyper.Scalar = 0.8,
    eps: hyper.Scalar = 1e-30,
    clip: hyper.Scalar | None = 1.0,
    min_scale: hyper.Scalar | None = 1e-3,
    weight_decay: hyper.Scalar = 0.0,
    decay_mask: tree.Mask = None,
    relative_step: bool = False,
    min_factored: int = 128,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Adafactor: :func:`scale_by_adafactor` with decoupled decay, times the learning rate.

    .. math::
        \theta_t = \theta_{t-1} - \rho_t (D_t + \lambda \theta_{t-1})

    optax's and T5's decay is not multiplied by the learning rate. There is no first moment, as in the paper's
    recommended form.

    Args:
      learning_rate: :math:`\rho`, a number of at least 0, a schedule, or a loss-driven transform. With
        ``min_scale`` it is relative to the parameter's root mean square: 1e-2 is the paper's.
      b2_power, eps, clip, min_scale, min_factored, layer_axes, state_dtype: as in :func:`scale_by_adafactor`.
      weight_decay: :math:`\lambda`, at least 0.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      relative_step: whether the rate is :math:`\min(\rho, 1/\sqrt t)`, as in the paper and always in PyTorch
        (static). Not with a loss-driven transform.

    Raises:
      ValueError, TypeError: as in :func:`scale_by_adafactor`; ``relative_step`` with a transform.

    >>> tx = adafactor(0.5)
    >>> params = jnp.array([4.0])
    >>> tx.update(jnp.array([3.0]), tx.init(params), params)[0].tolist()
    [-2.0]
    """
    hyper.flag("relative_step", relative_step)
    return chain(
        scale_by_adafactor(b2_power, eps, clip, min_scale, min_factored, layer_axes, state_dtype=state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(_at_most_inverse_root(learning_rate) if relative_step else learning_rate),
    )


def _at_most_inverse_root(learning_rate: LearningRate) -> hyper.Schedule:
    if isinstance(learning_rate, optax.GradientTransformation):
        raise ValueError("relative_step = True: accepted is a learning rate that is a number or a function of the step")
    schedule = hyper.number_or_schedule("learning_rate", learning_rate, "[0, inf)")

    def rate(step: ArrayLike) -> Array:
        t = jnp.asarray(step, hyper.arithmetic_dtype()) + 1
        return jnp.minimum(schedule(step), 1 / jnp.sqrt(t))

    return rate


def _rms(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(x**2))


ADAFACTOR = OptimizerInfo(
    "adafactor",
    adafactor,
    "Shazeer and Stern 2018, arXiv:1804.04235",
    {"learning_rate": LogUniform(1e-3, 0.3), "b2_power": LogUniform(0.5, 1.0)},
    needs_params=True,
)
