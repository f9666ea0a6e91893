"""The road less scheduled: training without a schedule (Defazio et al., 2024)."""

from typing import Any, Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, storage, tree
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average, debias
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.schedules.learning_rate import scale_by_learning_rate

T = TypeVar("T")


class Weights(NamedTuple):
    """Attributes: the ``b1`` that composed the parameters, the ``largest`` rate, the ``total`` of all weights."""

    b1: Float[Array, ""]
    largest: Float[Array, ""]
    total: Float[Array, ""]


class Fast(NamedTuple, Generic[T]):
    """The sequence that the inner optimizer moves."""

    z: T

    def evaluated(self, p: Any, shared: Weights) -> Any:
        """The average :math:`x = y + (1 - 1 / b_1)(z - y)` that the parameters :math:`y` were composed with."""
        return p + (1 - 1 / shared.b1) * (self.z - p)


def schedule_free(
    inner: optax.GradientTransformation,
    b1: hyper.Scalar = 0.9,
    r: hyper.Scalar = 0.0,
    weight_lr_power: hyper.Scalar = 2.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Averages instead of a schedule: gradients are taken between the average and what an optimizer moves.

    .. math::
        z_{t+1} = z_t + u_t, \quad
        x_{t+1} = (1 - c_t)\, x_t + c_t z_{t+1}, \quad
        y_{t+1} = (1 - \beta_1)\, z_{t+1} + \beta_1 x_{t+1}, \quad
        c_t = w_t / \textstyle\sum_{i \le t} w_i, \quad w_t = t^r \max_{i \le t} \alpha_i^p

    The parameters of the run are :math:`y`, where the gradient and any weight decay are taken. To evaluate is
    :math:`x`, :func:`~jaxlab.modifiers.evaluation_params`. The inner optimizer should have no momentum of its own
    (:math:`\beta_1` is in its place) and a constant rate, after a warm-up at most; :func:`schedule_free_adamw` and
    :func:`schedule_free_sgd` are such. Batch statistics of a model are those of :math:`y`.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside. The rate :math:`\alpha_t` is what its
        state shows; where it keeps none, as optax's own, it counts as constant.
      b1: :math:`\beta_1`, in (0, 1].
      r: :math:`r`, at least 0: above 0 late steps weigh more.
      weight_lr_power: :math:`p`, at least 0: how little the steps of a warm-up weigh.

    Raises:
      ValueError: a number outside its range; from ``update``, parameters that are missing.

    State: the inner one's, one value for each parameter, three scalars and one int32, whatever the parameters'
    dtype. :math:`x` is computed where it is needed; from bfloat16 parameters it has their precision.

    Reference: https://arxiv.org/abs/2405.15682, algorithm 1; the weights and the update of :math:`y` in place are
    those of the official code, https://github.com/facebookresearch/schedule_free.

    >>> from jaxlab.modifiers import evaluation_params
    >>> tx, params = schedule_free(optax.sgd(1.0), b1=0.5), jnp.array([4.0])
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([1.0]), state, params)
    ...     params = params + updates
    >>> params.tolist(), evaluation_params(state, params).tolist()  # z was 3, then 2
    ([2.25], [2.5])
    """
    b1 = hyper.number("b1", b1, "(0, 1]")
    r = hyper.number("r", r, "[0, inf)")
    power = hyper.number("weight_lr_power", weight_lr_power, "[0, inf)")

    def slots(p: Array) -> Fast[storage.Slot]:
        return Fast(storage.Slot(p, low_bit=False))

    def weight(largest: Array, t: Array) -> Array:
        return t**r * largest**power

    def combine(shared: Weights, sums: None, t: Array, rate: Array | None) -> Weights:
        largest = jnp.maximum(shared.largest, 1.0 if rate is None else rate)
        return Weights(shared.b1, largest, shared.total + weight(largest, t))

    def update(leaf: Leaf, slots: Fast[Array], shared: Weights, t: Array) -> tuple[Array, Fast[Array]]:
        assert leaf.p is not None  # The engine has seen to it.
        c = weight(shared.largest, t) / jnp.where(shared.total > 0, shared.total, 1)
        # The way from y to y is summed up from its parts: the difference of two sums would lose them.
        turn = b1 / shared.b1
        to_z = (1 - turn) + turn * c
        return to_z * (slots.z - leaf.p) + (1 - (1 - c) * b1) * leaf.g, Fast(slots.z + leaf.g)

    zero = jnp.zeros((), hyper.arithmetic_dtype())
    change = leafwise(update, slots=slots, combine=combine, shared=Weights(b1, zero, zero), needs_params=True)

    def composed(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, Any]:
        updates, state = change.update(updates, state, params, **extra)
        # What was decomposed with the b1 of the step before is composed with that of this one.
        return updates, state._replace(shared=state.shared._replace(b1=jnp.asarray(b1)))

    return after(inner, optax.GradientTransformationExtraArgs(change.init, composed))


def schedule_free_adamw(
    learning_rate: hyper.Scalar | hyper.Schedule = 0.0025,
    b1: hyper.Scalar = 0.9,
    b2: hyper.Scalar = 0.999,
    eps: hyper.Scalar = 1e-8,
    weight_decay: hyper.Scalar = 0.0,
    warmup_steps: hyper.Scalar = 0.0,
    r: hyper.Scalar = 0.0,
    weight_lr_power: hyper.Scalar = 2.0,
    decay_mask: tree.Mask = None,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW without a schedule: the official ``AdamWScheduleFree``, with its defaults.

    :func:`schedule_free` around Adam without its mean of gradients, and decoupled decay at :math:`y`.

    Args:
      learning_rate: a number of at least 0, or a schedule.
      b1, r, weight_lr_power: as in :func:`schedule_free`.
      b2: decay of the mean square, in [0, 1).
      eps: added outside the root, above 0.
      weight_decay: at least 0, multiplied by the learning rate.
      warmup_steps: :math:`w`, at least 0: the rate rises as :math:`\min(t / w, 1)`, from the first step on.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw`.
      state_dtype: how the mean square is stored.

    State: two values for each parameter, as AdamW.

    >>> tx = schedule_free_adamw(0.5)
    >>> params = jnp.ones(2)
    >>> tx.update(jnp.array([2.0, -3.0]), tx.init(params), params)[0].round(5).tolist()
    [-0.5, 0.5]
    """
    moving = chain(
        _scale_by_mean_square(b2, eps, state_dtype),
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(_warm(learning_rate, warmup_steps)),
    )
    return schedule_free(moving, b1, r, weight_lr_power)


def schedule_free_sgd(
    learning_rate: hyper.Scalar | hyper.Schedule = 1.0,
    b1: hyper.Scalar = 0.9,
    weight_decay: hyper.Scalar = 0.0,
    warmup_steps: hyper.Scalar = 0.0,
    r: hyper.Scalar = 0.0,
    weight_lr_power: hyper.Scalar = 2.0,
    decay_mask: tree.Mask = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent without a schedule: the official ``SGDScheduleFree``, with its defaults.

    Args:
      b1: the official ``momentum``.
      learning_rate, weight_decay, warmup_steps, r, weight_lr_power, decay_mask: as in :func:`schedule_free_adamw`.

    State: one value for each parameter.

    >>> tx = schedule_free_sgd(0.5)
    >>> params = jnp.ones(2)
    >>> tx.update(jnp.array([2.0, -3.0]), tx.init(params), params)[0].tolist()
    [-1.0, 1.5]
    """
    moving = chain(
        decoupled_decay(hyper.number("weight_decay", weight_decay, "[0, inf)"), decay_mask),
        scale_by_learning_rate(_warm(learning_rate, warmup_steps)),
    )
    return schedule_free(moving, b1, r, weight_lr_power)


class _MeanSquare(NamedTuple, Generic[T]):
    v: T


def _scale_by_mean_square(
    b2: hyper.Scalar, eps: hyper.Scalar, state_dtype: storage.StateDtype
) -> optax.GradientTransformation:
    """Adam's direction at ``b1 = 0``, without the slot that would always hold the gradient."""
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")

    def slots(p: Array) -> _MeanSquare[storage.Slot]:
        return _MeanSquare(storage.zeros(p, signed=False))

    def update(leaf: Leaf, slots: _MeanSquare[Array], shared: None, t: Array) -> tuple[Array, _MeanSquare[Array]]:
        v = average(slots.v, leaf.g**2, b2)
        return leaf.g / (jnp.sqrt(debias(v, b2, t)) + eps), _MeanSquare(v)

    return leafwise(update, slots=slots, store=state_dtype)


def _warm(learning_rate: hyper.Scalar | hyper.Schedule, warmup_steps: hyper.Scalar) -> hyper.Schedule:
    """The official warm-up: a part of the rate at the first step already, not nothing."""
    rate = hyper.number_or_schedule("learning_rate", learning_rate, "[0, inf)")
    steps = hyper.number("warmup_steps", warmup_steps, "[0, inf)")
    return lambda step: rate(step) * jnp.minimum((jnp.asarray(step) + 1) / jnp.maximum(steps, 1), 1)


SCHEDULE_FREE = ModifierInfo("schedule_free", schedule_free, "Defazio et al. 2024, arXiv:2405.15682", needs_params=True)
