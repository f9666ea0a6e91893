"""The loss of a classifier."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxlab.core import hyper
from jaxlab.losses import cross_entropy


def accuracy(
    logits: Float[Array, "n classes"], labels: Int[Array, " n"] | Float[Array, "n classes"]
) -> Float[Array, ""]:
    """The fraction of examples whose largest logit is the label's: of probabilities, the most probable class's.

    >>> logits = jnp.array([[2.0, 1.0], [2.0, 1.0]])
    >>> accuracy(logits, jnp.array([0, 1])).item(), accuracy(logits, jnp.array([[0.6, 0.4], [0.9, 0.1]])).item()
    (0.5, 1.0)
    """
    if jnp.ndim(labels) == jnp.ndim(logits):
        labels = jnp.argmax(labels, axis=-1)
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

    @property
    def sampled(self) -> Callable[..., Float[Array, "..."]]:
        """``(params, batch, key) -> losses`` of labels drawn from the model's own predictions, for Sophia-G.

        Raises:
          AttributeError: the loss is another than the cross entropy.
        """
        return sampled_cross_entropy(self.apply, self.loss)


def sampled_cross_entropy(apply: Callable[..., Array], loss: Callable[..., Array]) -> Callable[..., Array]:
    """``(params, batch, key) -> losses``, one for each label that is drawn from the softmax of ``apply``'s logits.

    Raises:
      AttributeError: the loss is another than the cross entropy, and its predictions are not the softmax.
    """
    if loss is not cross_entropy:
        raise AttributeError(f"loss = {loss!r} is not the cross entropy: labels are drawn for cross_entropy")

    def sampled(params: PyTree, batch: dict[str, Array], key: Key[Array, ""]) -> Float[Array, "..."]:
        model_key, label_key = jax.random.split(key)
        logits = apply(params, batch["x"], model_key)
        return cross_entropy(logits, jax.random.categorical(label_key, logits), reduction="none")

    return sampled
