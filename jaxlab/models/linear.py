"""A layer computes in the dtype of its own parameters, whatever comes in: the rule that all of jaxlab's models obey."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


def in_dtype_of(x: Array, *params: Array | None) -> Array:
    """A layer's input in the dtype of the layer's parameters, the widest if they differ.

    So one layer whose parameters are float32 among bfloat16 ones computes in float32 and no other does; by JAX's own
    promotion all layers after it would, too.

    >>> in_dtype_of(jnp.ones(2), jnp.ones(2, jnp.bfloat16), None).dtype
    dtype(bfloat16)
    """
    return x.astype(jnp.result_type(*(p for p in params if p is not None)))


class Linear(nnx.Linear):
    """Flax's dense layer, computed in the dtype of its own parameters.

    Args:
      in_features, out_features, options: as in ``flax.nnx.Linear``.

    Parameters: ``kernel`` [in_features, out_features], ``bias`` [out_features].
    """

    def __call__(self, x: Float[Array, "... in"]) -> Float[Array, "... out"]:
        """The features times the kernel, plus the bias."""
        return super().__call__(in_dtype_of(x, self.kernel[...], None if self.bias is None else self.bias[...]))
