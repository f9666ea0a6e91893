"""Root mean square normalisation (Zhang and Sennrich, 2019)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.models.linear import in_dtype_of


def rms_norm(x: Float[Array, "*batch features"], eps: hyper.Scalar = 1e-6) -> Float[Array, "*batch features"]:
    r"""Each vector over its root mean square, :math:`x / \sqrt{\operatorname{mean}(x^2) + \epsilon}`.

    Computed in float32 (float64 under ``jax_enable_x64``), returned in the dtype that came in.

    >>> rms_norm(jnp.array([3.0, -3.0, 3.0])).round(4).tolist()
    [1.0, -1.0, 1.0]
    """
    full = x.astype(hyper.arithmetic_dtype())
    return (full * jax.lax.rsqrt(jnp.mean(jnp.square(full), axis=-1, keepdims=True) + eps)).astype(x.dtype)


class RMSNorm(nnx.Module):
    """:func:`rms_norm` with a gain for each feature, which starts at one.

    Args:
      features: of the last axis.
      eps: added to the mean square.

    Parameters: ``scale`` [features].

    Reference: https://arxiv.org/abs/1910.07467, equation 4.
    """

    def __init__(self, features: int, *, eps: float = 1e-6) -> None:
        hyper.integer("features", features, at_least=1)
        self.scale = nnx.Param(jnp.ones(features, jnp.float32))
        self.eps = eps

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """The normalised vectors."""
        # Normalised, then cast: a residual stream may be wider than the layers that read it, and beyond their range.
        scale = self.scale[...]
        return in_dtype_of(rms_norm(x.astype(hyper.arithmetic_dtype()), self.eps), scale) * scale
