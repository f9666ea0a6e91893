"""The loss of a classifier."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxlab.losses import cross_entropy


def accuracy(logits: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The fraction of examples whose largest logit is the label's.

    >>> accuracy(jnp.array([[2.0, 1.0], [2.0, 1.0]]), jnp.array([0, 1])).item()
    0.5
    """
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Cross entropy and ``accuracy`` of ``apply(params, x, key)`` on batches of ``x`` with labels ``y``."""

    apply: Callable[..., Array]

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        logits = self.apply(params, batch["x"], key)
        return cross_entropy(logits, batch["y"]), {"accuracy": accuracy(logits, batch["y"])}
