"""How a slot of optimizer state is kept between steps.

Arithmetic is float32; what is *stored* is decided here and nowhere else. Rounding a slow average to the
nearest bfloat16 stops it: at b2 = 0.999 the change of one step is below half a unit in the last place, so
nothing ever decays. Low-precision slots are therefore rounded stochastically, up or down with the
probability that makes the rounded value right on average, from bits that depend on the step, the leaf's
name and the element alone: the same on any number of devices, and after any resumption.

The ``state_dtype`` of every optimizer is one of these formats, or ordered rules
``((regular expression, format), ...)`` over the names of leaves, of which the first that is found decides:

============  ===============  ===============================================================================
format        bytes a value    what is kept
============  ===============  ===============================================================================
``float32``   4                everything (float64 under ``jax_enable_x64``)
``bfloat16``  2                8 bits of precision
``int8``      1 + 1/32         blocks of 32 along the last axis, see :mod:`jaxlab.core.blocks`
``int4``      1/2 + 1/32       the same, two values to a byte
============  ===============  ===============================================================================

Blocks are for arrays of at least 64 values (the whole array, however it lies on devices) with a last axis of at
least 8. What is smaller, and slots that an optimizer declares exact, stay float32. Rules are a static argument:
tuples, where a recipe holds them.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxlab.core import blocks, hyper, tree
from jaxlab.core.blocks import Blocks
from jaxlab.core.rounding import hash_bits, random_bits, round_stochastically, seed_of

__all__ = [
    "FORMATS",
    "Blocks",
    "Slot",
    "StateDtype",
    "Stored",
    "check_store",
    "decode",
    "encode",
    "format_of",
    "hash_bits",
    "random_bits",
    "round_stochastically",
    "seed_of",
    "zeros",
]

FORMATS = ("float32", "bfloat16", "int8", "int4")

StateDtype = str | tree.Rules[str]
"""The ``state_dtype`` of every optimizer: a format, or ordered rules over the names of leaves."""

LEAST_VALUES, LEAST_AXIS = 64, 8
"""What is smaller is not kept in blocks: it saves next to nothing, and scales would cost as much as codes."""

Stored = Array | Blocks
"""A slot as it is kept."""


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


def check_store(store: StateDtype) -> StateDtype:
    """Validates the ``state_dtype`` of an optimizer; rules become tuples.

    Raises:
      ValueError: a format that does not exist, a pattern that is no regular expression, or no rules.
      TypeError: neither a name nor rules.

    >>> check_store([("embed", "float32"), (".*", "int8")])
    (('embed', 'float32'), ('.*', 'int8'))
    """
    if isinstance(store, str):
        return hyper.one_of("state_dtype", store, FORMATS)
    rules = tree.check_rules(
        "state_dtype", store, f"{', '.join(FORMATS)}, and ((regular expression, format), ...) rules"
    )
    if not rules:
        raise ValueError("state_dtype = (): accepted is at least one rule")
    for pattern, name in rules:
        hyper.one_of(f"state_dtype[{pattern!r}]", name, FORMATS)
    return rules


def formats_by_name(store: StateDtype, names: Sequence[str]) -> list[str]:
    """The formats that rules choose for leaves of these names, whatever the slot.

    Raises:
      ValueError: rules of which none is found in a name.

    >>> formats_by_name((("embed", "float32"), ("", "int8")), ["embed", "dense/kernel"])
    ['float32', 'int8']
    """
    return [store] * len(names) if isinstance(store, str) else tree.match_rules(store, names)


def format_of(slot: Slot, store: StateDtype, name: str) -> str:
    """The format in which a slot of the named leaf is kept.

    Raises:
      ValueError: rules of which none is found in the name.
    """
    if not slot.low_bit:
        return "float32"
    (chosen,) = formats_by_name(store, [name])
    shape = jnp.shape(slot.value)
    if chosen in ("int8", "int4") and (slot.value.size < LEAST_VALUES or shape[-1] < LEAST_AXIS):
        return "float32"
    return chosen


def encode(slot: Slot, store: StateDtype, name: str, *numbers: int | Array) -> Stored:
    """A slot's value as it is kept, low precision by stochastic rounding, seeded by name and numbers."""
    chosen = format_of(slot, store, name)
    if chosen == "float32":
        return jnp.asarray(slot.value, hyper.arithmetic_dtype())
    seed = seed_of(name, *numbers)
    if chosen == "bfloat16":
        return round_stochastically(slot.value, seed)
    return blocks.encode(slot.value, seed, bits=int(chosen.removeprefix("int")), signed=slot.signed)


def decode(stored: Stored) -> Float[Array, "..."]:
    """A stored slot as the arithmetic sees it."""
    values = blocks.decode(stored) if isinstance(stored, Blocks) else stored
    return jnp.asarray(values, hyper.arithmetic_dtype())
