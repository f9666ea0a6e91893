r"""Arrays in 8 or 4 bits a value: the first bits of a float, whose exponent counts from that of its block.

A block is a stretch of the last axis, at most 32 values. It has one scale, the least power of two that brings all
its values into the range of the codes, kept as the exponent in one byte. A code is a small float with :math:`m` bits
of mantissa and :math:`L` octaves,

.. math::
    f(c) = 2^{-L}\, 2^{\lfloor c / 2^m \rfloor} \left(1 + (c \bmod 2^m) / 2^m\right)

An unsigned value is :math:`f(c)` times the scale. It is never zero unless its whole block is: a mean of squares that
rounds to zero would divide by epsilon. A signed value has one bit for the sign, and :math:`f(c) - f(0)` times the
scale, so that zero is exact and the values around it are evenly spaced.

All of it is integer arithmetic on the bits of float32, without tables or roots: what is cut off is a linear measure
of where a value lies between two codes, and random bits added to it before the cut round it without bias. The scale
is never less than what its block needs: no value is clipped, other than near the end of float32's own range.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt8, UInt32

from jaxlab.core.rounding import random_bits

LENGTH = 32
"""The most values that share a scale."""

MANTISSA = {(8, True): 4, (8, False): 3, (4, True): 1, (4, False): 0}
"""Bits of mantissa by width and sign: the rest of a code counts octaves."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Blocks:
    """An array in blocks: a pytree node that stands where the array would.

    Attributes:
      codes: in 8 bits of the array's shape; in 4 bits two to a byte, the halves of a block side by side.
      scales: the exponent of each block; 0 where the block is zero, 255 where something in it is not finite.
      bits: 8 or 4.
      signed: whether values have signs.
      length: of the array's last axis.
    """

    codes: UInt8[Array, "... n"]
    scales: UInt8[Array, "... blocks"]
    bits: int = dataclasses.field(metadata={"static": True})
    signed: bool = dataclasses.field(metadata={"static": True})
    length: int = dataclasses.field(metadata={"static": True})


@functools.partial(jax.jit, static_argnames=("bits", "signed"))
def encode(x: Float[Array, "... n"], seed: UInt32[Array, ""], *, bits: int, signed: bool) -> Blocks:
    """Rounds an array to blocks, stochastically.

    Finite values stay finite; a block that holds what is not finite decodes to what is not finite.

    Args:
      x: at least one axis, none of them empty. The signs of what is stored unsigned are dropped.
      seed: a different one for each array and step.
      bits: 8 or 4 (static).
      signed: whether values have signs (static).

    >>> stored = encode(jnp.array([0.0, -1.0, 0.25, 3.0]), jnp.uint32(0), bits=8, signed=True)
    >>> decode(stored)[0], stored.codes.shape, stored.scales.shape
    (Array(0., dtype=float32), (4,), (1,))
    """
    size, cut, smallest, last = _form(bits, signed)
    count, width = _layout(x.shape[-1], bits)
    values = _in_blocks(x.astype(jnp.float32), count, width)
    a = jnp.abs(values)
    # As integers the bits of positive floats have the order of the floats, NaN above all. XLA computes this maximum
    # along with the values; one of floats it hands to a library, for which it writes them to memory first.
    peak = _float(jnp.max(_bits(a), -1, keepdims=True))
    exponent = (_bits(peak / (_value(last, bits, signed))) + np.uint32(0x7FFFFF)) >> 23
    exponent = jnp.where(jnp.isfinite(peak), jnp.minimum(exponent, 253), 255)
    scaled = a * _float((254 - exponent) << 23)
    above = _bits(scaled + _float(smallest)) if signed else jnp.maximum(_bits(scaled), smallest)
    noise = random_bits(values.shape, seed) >> (32 - cut)
    codes = jnp.minimum((above - smallest + noise) >> cut, last)
    if signed:
        codes |= (_bits(values) >> 31) << size
    if bits == 4:
        codes = codes[..., : width // 2] | (codes[..., width // 2 :] << 4)
    flat = codes.astype(jnp.uint8).reshape(*x.shape[:-1], -1)
    flat = flat[..., : x.shape[-1]] if bits == 8 else flat
    return Blocks(flat, exponent[..., 0].astype(jnp.uint8), bits, signed, x.shape[-1])


@jax.jit
def decode(blocks: Blocks) -> Float[Array, "... n"]:
    """The values that codes and scales stand for, in float32."""
    size, _, _, last = _form(blocks.bits, blocks.signed)
    count, width = _layout(blocks.length, blocks.bits)
    codes = _in_blocks(blocks.codes, count, width * blocks.bits // 8).astype(jnp.uint32)
    if blocks.bits == 4:
        # Each byte twice, then shifted: joining two arrays would go through memory.
        halves = codes[..., None, :] >> jnp.array([[0], [4]], jnp.uint32)
        codes = halves.reshape(*codes.shape[:-1], width)
    values = _value(codes & last, blocks.bits, blocks.signed)
    if blocks.signed:
        values = _float(_bits(values) | ((codes >> size) << 31))
    values *= _float(blocks.scales.astype(jnp.uint32) << 23)[..., None]
    return values.reshape(*blocks.codes.shape[:-1], -1)[..., : blocks.length]


def _form(bits: int, signed: bool) -> tuple[int, int, np.uint32, np.uint32]:
    """Bits of a code without its sign, bits of float32 that are cut off, the bits of f(0), the last code."""
    mantissa = MANTISSA[bits, signed]
    size = bits - signed
    octaves = 1 << (size - mantissa)
    return size, 23 - mantissa, np.uint32((127 - octaves) << 23), np.uint32((1 << size) - 1)


def _value(code: UInt32[Array, "..."] | np.uint32, bits: int, signed: bool) -> Float[Array, "..."]:
    _, cut, smallest, _ = _form(bits, signed)
    value = _float((code << np.uint32(cut)) + smallest)
    return value - _float(smallest) if signed else value


def _layout(length: int, bits: int) -> tuple[int, int]:
    """How many blocks an axis has, and of how many values: as equal as can be, even where two share a byte."""
    count = -(-length // LENGTH)
    width = -(-length // count)
    return count, width + (width % 2 if bits == 4 else 0)


def _in_blocks(x: Array, count: int, width: int) -> Array:
    """The last axis cut into blocks, filled up with zeros."""
    missing = count * width - x.shape[-1]
    place = jax.typeof(x).sharding
    if isinstance(place, NamedSharding) and AxisType.Explicit in place.mesh.axis_types:
        spec = (*place.spec, *[None] * (x.ndim - len(place.spec)))
        names = (spec[-1],) if isinstance(spec[-1], str) else spec[-1] or ()
        # A block that lies on two devices is cut only where both have all of the axis.
        if missing or count % math.prod(place.mesh.shape[name] for name in names):
            x = jax.sharding.reshard(x, NamedSharding(place.mesh, PartitionSpec(*spec[:-1], None)))
    if missing:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    return x.reshape(*x.shape[:-1], count, width)


def _bits(x: Float[Array, "..."]) -> UInt32[Array, "..."]:
    return jax.lax.bitcast_convert_type(x, jnp.uint32)


def _float(x: UInt32[Array, "..."] | np.uint32) -> Float[Array, "..."]:
    return jax.lax.bitcast_convert_type(x, jnp.float32)
