"""The loss of what predicts the next token."""

import dataclasses
import math
from collections.abc import Callable

from jaxtyping import Array, Float, Key, PyTree

from jaxlab.losses import cross_entropy
from jaxlab.tasks.classification import sampled_cross_entropy


@dataclasses.dataclass(frozen=True)
class NextToken:
    """Cross entropy of ``apply(params, x, key)`` on batches of tokens ``x`` with those that follow, ``y``.

    The metric ``bits_per_token`` is the cross entropy in bits, whatever is minimised.

    Attributes:
      apply: the model: logits with one more axis than ``x``.
      loss: what is minimised, ``loss(logits, labels)``; any that ``jaxlab.losses`` has for classes.
    """

    apply: Callable[..., Array]
    loss: Callable[..., Array] = cross_entropy

    def __call__(
        self, params: PyTree, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``."""
        logits = self.apply(params, batch["x"], key)
        return self.loss(logits, batch["y"]), {"bits_per_token": cross_entropy(logits, batch["y"]) / math.log(2)}

    @property
    def sampled(self) -> Callable[..., Float[Array, "..."]]:
        """``(params, batch, key) -> losses`` of tokens drawn from the model's own predictions, for Sophia-G.

        Raises:
          AttributeError: the loss is another than the cross entropy.
        """
        return sampled_cross_entropy(self.apply, self.loss)
