"""The loss of a classifier."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxlab.core import hyper
from jaxlab.losses import cross_entropy


def accuracy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The fraction of examples whose largest logit is the label's.

    >>> accuracy(jnp.array([[2.0, 1.0], [2.0, 1.0]]), jnp.array([0, 1])).item()
    0.5
    """
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Cross entropy and ``accuracy`` of ``apply(params, x, key)`` on batches of ``x`` with labels ``y``.

    Attributes:
      apply: the model.
      loss: what is minimised, ``loss(logits, labels)``; any that ``jaxlab.losses`` has for classes.
      label_smoothing: in [0, 1], for a loss that takes it. Like dropout it is part of the training: an
        evaluation (no key) scores the labels as they are, so that runs with and without can be compared.

    Raises:
      ValueError: a ``label_smoothing`` outside its range.
    """

    apply: Callable[..., Array]
    loss: Callable[..., Array] = cross_entropy
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        hyper.number("label_smoothing", self.label_smoothing, "[0, 1]")

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        logits = self.apply(params, batch["x"], key)
        smoothing = {} if key is None or not self.label_smoothing else {"label_smoothing": self.label_smoothing}
        return self.loss(logits, batch["y"], **smoothing), {"accuracy": accuracy(logits, batch["y"])}
