"""Every loss by name."""

import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.losses.chunked_cross_entropy import chunked_cross_entropy
from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.distillation import distillation
from jaxlab.losses.focal import focal, sigmoid_focal
from jaxlab.losses.hinge import hinge
from jaxlab.losses.huber import huber
from jaxlab.losses.kl import kl
from jaxlab.losses.log_cosh import log_cosh
from jaxlab.losses.log_loss import log_loss
from jaxlab.losses.mae import mae
from jaxlab.losses.mse import mse
from jaxlab.losses.msle import msle
from jaxlab.losses.multiclass_hinge import multiclass_hinge
from jaxlab.losses.squared_hinge import squared_hinge
from jaxlab.losses.z_loss import z_loss

TARGETS = ("numbers", "binary", "classes", "probabilities", "nothing")
"""What a loss may be for: numbers; a yes or no for each output; one class, or the probabilities of all, for each
example; or nothing, where it looks at the outputs alone and is added to another loss."""


@dataclasses.dataclass(frozen=True)
class LossInfo:
    """What a task needs to know of a loss.

    Attributes:
      function: ``function(outputs, targets, *, weights=None, reduction="mean")``; without ``targets`` where they
        are ``"nothing"``; with the arguments that ``needs`` names, by position or keyword, after the targets.
      targets: what it is a loss for, one of :data:`TARGETS`.
      needs: arguments besides outputs and targets without which it cannot be computed.
    """

    function: Callable[..., Float[Array, "..."]]
    targets: str
    needs: tuple[str, ...] = ()


_LOSSES = {
    "mse": LossInfo(mse, "numbers"),
    "mae": LossInfo(mae, "numbers"),
    "huber": LossInfo(huber, "numbers"),
    "log_cosh": LossInfo(log_cosh, "numbers"),
    "msle": LossInfo(msle, "numbers"),
    "log_loss": LossInfo(log_loss, "binary"),
    "sigmoid_focal": LossInfo(sigmoid_focal, "binary"),
    "hinge": LossInfo(hinge, "binary"),
    "squared_hinge": LossInfo(squared_hinge, "binary"),
    "cross_entropy": LossInfo(cross_entropy, "classes"),
    "chunked_cross_entropy": LossInfo(chunked_cross_entropy, "classes", needs=("kernel",)),
    "focal": LossInfo(focal, "classes"),
    "multiclass_hinge": LossInfo(multiclass_hinge, "classes"),
    "distillation": LossInfo(distillation, "classes", needs=("teacher_logits",)),
    "kl": LossInfo(kl, "probabilities"),
    "z_loss": LossInfo(z_loss, "nothing"),
}


def names() -> tuple[str, ...]:
    """The names of all losses.

    >>> names()[:5]
    ('mse', 'mae', 'huber', 'log_cosh', 'msle')
    """
    return tuple(_LOSSES)


def get(name: str) -> LossInfo:
    """What is known of one loss.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("hinge").targets
    'binary'
    >>> get("distillation").needs
    ('teacher_logits',)
    >>> get("logloss")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: loss = 'logloss': unknown, did you mean 'log_loss'? Accepted are: mse, mae, huber, ...
    """
    return _LOSSES[hyper.one_of("loss", name, _LOSSES)]
