"""Tokens as vectors."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

SMALL = jax.nn.initializers.normal(0.02)
"""So small that a head of such numbers makes all tokens about equally likely."""


class Embed(nnx.Module):
    """A vector for each token; also the head that compares with each of them.

    Parameters: ``embedding`` [vocabulary, width], normal with deviation 0.02.
    """

    def __init__(self, vocabulary: int, width: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Param(SMALL(rngs.params(), (vocabulary, width), jnp.float32))

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length width"]:
        """The vectors of tokens."""
        return self.embedding[...][tokens]
