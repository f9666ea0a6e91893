"""Every loss by name."""

import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.hinge import hinge
from jaxlab.losses.log_loss import log_loss
from jaxlab.losses.mse import mse


@dataclasses.dataclass(frozen=True)
class LossInfo:
    """What a task needs to know of a loss.

    Attributes:
      function: ``function(outputs, targets, *, weights=None, reduction="mean")``.
      targets: what it is a loss for: ``"numbers"``, ``"binary"`` labels, or ``"classes"``.
    """

    function: Callable[..., Float[Array, "..."]]
    targets: str


_LOSSES = {
    "mse": LossInfo(mse, "numbers"),
    "cross_entropy": LossInfo(cross_entropy, "classes"),
    "log_loss": LossInfo(log_loss, "binary"),
    "hinge": LossInfo(hinge, "binary"),
}


def names() -> tuple[str, ...]:
    """The names of all losses.

    >>> names()
    ('mse', 'cross_entropy', 'log_loss', 'hinge')
    """
    return tuple(_LOSSES)


def get(name: str) -> LossInfo:
    """What is known of one loss.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("hinge").targets
    'binary'
    >>> get("logloss")
    Traceback (most recent call last):
      ...
    ValueError: loss = 'logloss': unknown, did you mean 'log_loss'? Accepted are: mse, cross_entropy, log_loss, hinge
    """
    return _LOSSES[hyper.one_of("loss", name, _LOSSES)]
