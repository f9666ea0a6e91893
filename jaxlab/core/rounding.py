"""Stochastic rounding: up or down with the probability that makes the result right on average.

Its bits depend on a seed (a leaf's name, the step) and on the element alone: the same on any number of devices,
and after any resumption.
"""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32


def seed_of(name: str, *numbers: int | Array) -> UInt32[Array, ""]:
    """The seed of a leaf's random bits from its name and integers such as the step."""
    seed = np.uint32(zlib.crc32(name.encode()))
    # What is known is mixed here and now: a program then holds one number, and not the way to it.
    with np.errstate(over="ignore"):
        for n in numbers:
            word = np.uint32(n & 0xFFFFFFFF) if isinstance(n, int) else jnp.asarray(n).astype(jnp.uint32)
            seed = _mix(seed ^ _mix(word + np.uint32(0x9E3779B9)))
    return jnp.asarray(seed)


def round_stochastically(x: Float[Array, "..."], seed: UInt32[Array, ""]) -> Float[Array, "..."]:
    """Rounds to bfloat16, up with a probability equal to the fraction cut off: unbiased.

    Adds 16 random bits below bfloat16's last place and truncates. Values that are exact stay; zero
    stays zero; finite values stay finite; inf and NaN pass.

    Args:
      x: any shape.
      seed: a different one for each array and step; equal seeds give equal bits.
    """
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    noise = random_bits(x.shape, seed) >> 16
    rounded = jax.lax.bitcast_convert_type((bits + noise) & jnp.uint32(0xFFFF0000), jnp.float32)
    limit = float(jnp.finfo(jnp.bfloat16).max)
    rounded = jnp.clip(rounded, -limit, limit)
    return jnp.where(jnp.isfinite(x), rounded, x.astype(jnp.float32)).astype(jnp.bfloat16)


def random_bits(shape: tuple[int, ...], seed: UInt32[Array, ""]) -> UInt32[Array, "..."]:
    """32 random bits for each element: a hash of the element's index and the seed.

    A few integer operations that XLA fuses into the update, where a counter-based generator such as
    threefry would cost more than the update itself. Good enough to round with; no source of keys.
    """
    index = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        index += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride & 0xFFFFFFFF)
        stride *= shape[axis]
    return hash_bits(index, seed)


def hash_bits(index: UInt32[Array, "..."], seed: UInt32[Array, ""]) -> UInt32[Array, "..."]:
    """32 pseudo-random bits for each integer, other ones for each seed."""
    return _mix(index ^ _mix(seed))


def _mix(x: Any) -> Any:
    # A bijection of 32 bits in which every input bit flips every output bit with a probability near 1/2.
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)
