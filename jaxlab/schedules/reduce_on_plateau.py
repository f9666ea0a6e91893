"""Reduce the learning rate when the loss has stopped falling."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper
from jaxlab.schedules.learning_rate import loss_driven_rate


class Plateau(NamedTuple):
    """What is remembered of the losses.

    Attributes:
      best: the lowest reading so far.
      bad: readings since then, or since the last reduction, that were not lower.
      resting: readings of the cooldown that are left.
      scale: the product of all reductions.
      total: the sum of the losses of the reading under way.
      seen: their number.
    """

    best: Float[Array, ""]
    bad: Int32[Array, ""]
    resting: Int32[Array, ""]
    scale: Float[Array, ""]
    total: Float[Array, ""]
    seen: Int32[Array, ""]


def reduce_on_plateau(
    learning_rate: hyper.Scalar,
    factor: hyper.Scalar = 0.1,
    patience: hyper.Scalar = 10,
    rtol: hyper.Scalar = 1e-4,
    atol: hyper.Scalar = 0.0,
    cooldown: hyper.Scalar = 0,
    floor: hyper.Scalar = 0.0,
    every: hyper.Scalar = 1,
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies the rate by a factor when more than so many readings of the loss brought nothing better.

    A reading is the mean loss of ``every`` steps: one step's loss is noisy, so give it the steps of an epoch.
    It is better than the best before if

    .. math::
        J < J_{best} (1 - r) - a

    Rules and order are those of PyTorch's ``ReduceLROnPlateau``: its relative threshold is ``rtol``, its
    absolute one is ``atol`` with ``rtol=0``, its ``eps`` is 0. The step whose loss completes a reading is the
    first with the new rate.

    Args:
      learning_rate: the rate at the beginning, at least 0.
      factor: what a reduction multiplies the rate by, in [0, 1).
      patience: how many readings without a better one are borne, at least 0.
      rtol: :math:`r`, by which part of the best a reading must be lower, in [0, 1).
      atol: :math:`a`, by how much it must be lower, at least 0.
      cooldown: for how many readings after a reduction none counts as bad, at least 0.
      floor: the lowest rate, at least 0; where it exceeds the learning rate it counts as that.
      every: the steps of one reading, at least 1.

      Of traced counts that are no whole numbers a fraction is cut off.

    Returns:
      A transform whose ``update`` needs ``value=``, the loss: the ``learning_rate`` of any optimizer. A
      reading that is NaN or inf is not better. State: eight scalars.

    Raises:
      ValueError: a number outside its range; from ``update``, without ``value``.

    >>> tx = reduce_on_plateau(1.0, factor=0.5, patience=1)
    >>> state, rates = tx.init(jnp.ones(2)), []
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     updates, state = tx.update(jnp.ones(2), state, value=loss)
    ...     rates.append(float(state.learning_rate))
    >>> rates
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """
    learning_rate = hyper.number("learning_rate", learning_rate, "[0, inf)")
    factor = hyper.number("factor", factor, "[0, 1)")
    patience = hyper.number("patience", patience, "[0, inf)")
    rtol = hyper.number("rtol", rtol, "[0, 1)")
    atol = hyper.number("atol", atol, "[0, inf)")
    cooldown = hyper.number("cooldown", cooldown, "[0, inf)")
    floor = hyper.number("floor", floor, "[0, inf)")
    every = hyper.number("every", every, "[1, inf)")

    def rate(memory: Plateau, value: Array, direction: PyTree, extra: dict[str, Any]) -> tuple[Array, Plateau]:
        total, seen = memory.total + value, memory.seen + 1
        due = seen >= jnp.floor(every)
        read = _read(memory, total / seen)
        after = Plateau(*(jnp.where(due, new, old) for new, old in zip(read, memory, strict=True)))
        after = after._replace(total=jnp.where(due, 0, total), seen=jnp.where(due, 0, seen))
        return jnp.maximum(learning_rate * after.scale, jnp.minimum(floor, learning_rate)), after

    def _read(memory: Plateau, loss: Array) -> Plateau:
        better = loss < memory.best * (1 - rtol) - atol
        resting = memory.resting > 0
        bad = jnp.where(better | resting, 0, memory.bad + 1)
        reduce = bad > jnp.floor(patience)
        return memory._replace(
            best=jnp.where(better, loss, memory.best),
            bad=jnp.where(reduce, 0, bad),
            resting=jnp.where(reduce, jnp.asarray(cooldown, jnp.int32), memory.resting - resting),
            scale=memory.scale * jnp.where(reduce, factor, 1),
        )

    full = hyper.arithmetic_dtype()
    # The largest number and not inf: a state is finite.
    best, scale, total = (jnp.asarray(x, full) for x in (jnp.finfo(full).max, 1, 0))
    none = jnp.zeros((), jnp.int32)
    return loss_driven_rate(rate, Plateau(best, bad=none, resting=none, scale=scale, total=total, seen=none))
