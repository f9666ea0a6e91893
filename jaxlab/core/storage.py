"""How a slot of optimizer state is kept between steps.

Arithmetic is float32; what is *stored* is decided here and nowhere else. Rounding a slow average to the
nearest bfloat16 stops it: at b2 = 0.999 the change of one step is below half a unit in the last place, so
nothing ever decays. Low-precision slots are therefore rounded stochastically, up or down with the
probability that makes the rounded value right on average, from bits that depend on the step, the leaf's
name and the element alone: the same on any number of devices, and after any resumption.
"""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, UInt32

from jaxlab.core import hyper

STORES = ("float32", "bfloat16")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Slot:
    """One array of state of one leaf, as the optimizer declares it.

    Attributes:
      value: the initial value, of any shape.
      signed: False where the slot is never negative (a mean of squares).
      low_bit: False where the slot must keep full precision whatever ``state_dtype`` says.
      axes: the axes of the parameter that the slot's axes follow, for sharding; None means all, in order.
    """

    value: Array
    signed: bool = dataclasses.field(default=True, metadata={"static": True})
    low_bit: bool = dataclasses.field(default=True, metadata={"static": True})
    axes: tuple[int, ...] | None = dataclasses.field(default=None, metadata={"static": True})


def zeros(p: Array | jax.ShapeDtypeStruct, *, signed: bool = True, low_bit: bool = True) -> Slot:
    """A slot of the parameter's shape that begins at zero."""
    return Slot(jnp.zeros_like(p, hyper.arithmetic_dtype()), signed=signed, low_bit=low_bit)


def check_store(store: str) -> str:
    """Validates the name of a storage format (the ``state_dtype`` of every optimizer)."""
    return hyper.one_of("state_dtype", store, STORES)


def encode(slot: Slot, store: str, name: str, *numbers: int | Array) -> Inexact[Array, "..."]:
    """A slot's value as it is kept: full precision, or bfloat16 by stochastic rounding, seeded by name and numbers."""
    if store == "float32" or not slot.low_bit:
        return jnp.asarray(slot.value, hyper.arithmetic_dtype())
    return round_stochastically(slot.value, seed_of(name, *numbers))


def decode(stored: Inexact[Array, "..."]) -> Float[Array, "..."]:
    """A stored slot as the arithmetic sees it."""
    return jnp.asarray(stored, hyper.arithmetic_dtype())


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
