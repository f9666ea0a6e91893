"""The loss of a language model."""

import dataclasses
import math

from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.losses import cross_entropy, z_loss
from jaxlab.losses.chunked_cross_entropy import chunked_cross_entropy, chunked_terms
from jaxlab.losses.head import head_logits
from jaxlab.models.linear import in_dtype_of
from jaxlab.models.pure import Params, PureModel
from jaxlab.sharding.constrain import constrain


@dataclasses.dataclass(frozen=True)
class LanguageLoss:
    r"""Cross entropy of the next token, with a penalty on large logits; a ``loss_fn`` of the training step.

    The batch is ``{"x": tokens, "y": those that follow}``, both [batch, length]. The metric ``bits_per_token`` is the
    cross entropy alone, in bits. Logits are float32 whatever the parameters are
    (:func:`~jaxlab.losses.head.head_logits`).

    Attributes:
      model: of a :class:`~jaxlab.models.gpt.GPT`, or what has its method ``features`` and its ``head_kernel``.
      z_loss: strength of :func:`~jaxlab.losses.z_loss`, at least 0.
      chunk_size: make the logits of at most so many tokens at a time
        (:func:`~jaxlab.losses.chunked_cross_entropy`): for vocabularies whose logits of a whole batch would fill the
        memory. None makes all at once, which is faster where they fit.

    Raises:
      ValueError, TypeError: numbers out of range.

    >>> import jax, jax.numpy as jnp
    >>> from jaxlab.models import GPT, pure
    >>> model = pure(lambda rngs: GPT(4, width=8, layers=1, heads=2, tied=True, rngs=rngs))
    >>> params = jax.tree.map(jnp.zeros_like, jax.eval_shape(model.init, jax.random.key(0)))
    >>> tokens = jnp.array([[0, 1, 2, 3, 0]])
    >>> loss_fn = jax.jit(LanguageLoss(model, z_loss=0.0))
    >>> loss, metrics = loss_fn(params, {"x": tokens[:, :-1], "y": tokens[:, 1:]})
    >>> float(metrics["bits_per_token"])
    2.0
    """

    model: PureModel
    z_loss: float = 1e-4
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        hyper.number("z_loss", self.z_loss, "[0, inf)")
        hyper.integer("chunk_size", 1 if self.chunk_size is None else self.chunk_size, at_least=1)

    def __call__(
        self, params: Params, batch: dict[str, Array], key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """``(loss, metrics)``, means over the tokens of the batch."""
        features, kernel = self._read(params, batch["x"], key)
        if self.chunk_size is None:
            logits = _logits(features, kernel)
            entropy = cross_entropy(logits, batch["y"])
            loss = entropy + z_loss(logits, self.z_loss)
        else:
            loss, entropy = chunked_terms(
                features, batch["y"], kernel, z_loss_strength=self.z_loss, chunk_size=self.chunk_size
            )
        return loss, {"bits_per_token": entropy / math.log(2)}

    def nats(self, params: Params, batch: dict[str, Array]) -> Float[Array, "batch length"]:
        """The cross entropy of each token by itself, for evaluation: nothing is dropped.

        Args:
          params: of the model.
          batch: as of a call; its ``"weight"``, if it has one, [batch, length], is what each token counts.
        """
        features, kernel = self._read(params, batch["x"], None)
        labels, weights = batch["y"], batch.get("weight")
        if self.chunk_size is None:
            return cross_entropy(_logits(features, kernel), labels, weights=weights, reduction="none")
        return chunked_cross_entropy(
            features, labels, kernel, chunk_size=self.chunk_size, weights=weights, reduction="none"
        )

    def _read(self, params: Params, tokens: Array, key: Key[Array, ""] | None) -> tuple[Array, Array]:
        """What the head reads, in the head's dtype, and the head."""
        model = self.model.bind(params)
        kernel = model.head_kernel
        return in_dtype_of(model.features(tokens, key), kernel), kernel


def _logits(features: Array, kernel: Array) -> Float[Array, "batch length vocabulary"]:
    return constrain(head_logits(features, kernel), "batch", "sequence", "vocabulary")
