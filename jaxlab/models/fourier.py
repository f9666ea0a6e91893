"""Fourier features (Tancik et al., 2020): coordinates as a network can use them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxlab.core import hyper


def fourier_features(
    x: Float[Array, "batch d"], frequencies: Float[ArrayLike, "d features"]
) -> Float[Array, "batch 2*features"]:
    r"""Sines and cosines of coordinates along many directions, :math:`[\cos 2\pi xB, \sin 2\pi xB]`.

    A perceptron learns slowly what changes fast along its inputs. After these features the detail that it can
    learn is set by the frequencies: random normal ones of deviation :math:`\sigma` cover all directions up to
    about :math:`2\sigma` periods along each coordinate's unit.

    Args:
      x: coordinates.
      frequencies: :math:`B`, periods for each unit of each coordinate; fixed numbers, not trained.

    Returns:
      The features in the dtype of ``x``, computed in float32 (float64 under ``jax_enable_x64``): an angle of many
      turns has no precision to spare.

    Reference: https://arxiv.org/abs/2006.10739, section 4 and figure 1.

    >>> (1 + fourier_features(jnp.array([[0.25]]), jnp.array([[1.0, 2.0]]))).round(5).tolist()
    [[1.0, 0.0, 2.0, 1.0]]
    """
    full, turns = x.astype(hyper.arithmetic_dtype()), jnp.asarray(frequencies, hyper.arithmetic_dtype())
    angles = 2 * jnp.pi * jnp.matmul(full, turns, precision=jax.lax.Precision.HIGHEST)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1).astype(x.dtype)
