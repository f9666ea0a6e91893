"""The mechanism of averages that only watch: of the parameters, beside an optimizer that knows nothing of them."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import optax
from jaxtyping import Array, Float

from jaxlab.core import storage
from jaxlab.core.leafwise import Leaf, leafwise
from jaxlab.core.moments import average
from jaxlab.modifiers.wrapping import after

T = TypeVar("T")


class Mean(NamedTuple, Generic[T]):
    """The average of the parameters."""

    mean: T

    def evaluated(self, p: Float[Array, "..."], shared: Any) -> Any:
        """The average itself."""
        return self.mean


def averaged(
    inner: optax.GradientTransformation,
    weight: Callable[[Float[Array, ""]], Float[Array, ""]],
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""An optimizer beside which the parameters are averaged, :math:`a_t = (1 - w_t)\, a_{t-1} + w_t \theta_t`.

    The average begins at the parameters; those of step :math:`t` are :math:`\theta_{t-1} + u_t` in full precision,
    before they are rounded to their own dtype. The updates pass as they are.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside.
      weight: :math:`w_t` of the step, from 1, in [0, 1].
      state_dtype: how the average is stored.
    """

    def slots(p: Array) -> Mean[storage.Slot]:
        return Mean(storage.Slot(p))

    def update(leaf: Leaf, slots: Mean[Array], shared: None, t: Array) -> tuple[Array, Mean[Array]]:
        assert leaf.p is not None  # The engine has seen to it.
        return leaf.g, Mean(average(slots.mean, leaf.p + leaf.g, 1 - weight(t)))

    return after(inner, leafwise(update, slots=slots, store=state_dtype, needs_params=True))
