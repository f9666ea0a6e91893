"""Every regularizer by name."""

import dataclasses
from collections.abc import Callable

import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.regularizers.decoupled_decay import decoupled_decay
from jaxlab.regularizers.l1 import l1, l1_penalty
from jaxlab.regularizers.l2 import l2, l2_penalty


@dataclasses.dataclass(frozen=True)
class RegularizerInfo:
    """What a recipe needs to know of a regularizer.

    Attributes:
      factory: ``factory(strength, mask=None)`` makes the transform.
      place: where in a chain it goes: ``"before"`` the optimizer, or ``"after"`` its direction (and before
        the learning rate).
      penalty: ``penalty(params, strength, mask=None)``, what it adds to the loss; None where it has no such form.
    """

    factory: Callable[..., optax.GradientTransformationExtraArgs]
    place: str
    penalty: Callable[..., Float[Array, ""]] | None


_REGULARIZERS = {
    "l1": RegularizerInfo(l1, "before", l1_penalty),
    "l2": RegularizerInfo(l2, "before", l2_penalty),
    "decoupled_decay": RegularizerInfo(decoupled_decay, "after", None),
}


def names() -> tuple[str, ...]:
    """The names of all regularizers.

    >>> names()
    ('l1', 'l2', 'decoupled_decay')
    """
    return tuple(_REGULARIZERS)


def get(name: str) -> RegularizerInfo:
    """What is known of one regularizer.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("l1").place
    'before'
    >>> get("decay")
    Traceback (most recent call last):
      ...
    ValueError: regularizer = 'decay': unknown, did you mean 'decoupled_decay'? Accepted are: l1, l2, decoupled_decay
    """
    return _REGULARIZERS[hyper.one_of("regularizer", name, _REGULARIZERS)]
