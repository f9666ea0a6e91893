"""What a program and its arrays cost, as XLA counts it: one place reads the compiler's figures."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


class ProgramCost(NamedTuple):
    """One call of a compiled program; None where the backend does not count.

    Attributes:
      flops: floating-point operations, a loop's body counted once, transcendental functions and calls of libraries
        (a factorisation, say) not at all.
      bytes_accessed: what all operations read and write: more than ``least_bytes`` where one reads another's result
        from memory, a loop's body counted once.
      least_bytes: the arguments read once and the results written once, the floor of any such program.
      temp_bytes: memory besides arguments and results.
    """

    flops: float | None
    bytes_accessed: float | None
    least_bytes: int | None
    temp_bytes: int | None


def bytes_of(tree: PyTree) -> int:
    """The bytes of all arrays of a tree, concrete or abstract; four-bit integers count half a byte.

    >>> bytes_of({"a": jnp.zeros((2, 3)), "b": jax.ShapeDtypeStruct((5,), jnp.bfloat16)})
    34
    """
    return sum(math.ceil(math.prod(leaf.shape) * _bits(leaf.dtype) / 8) for leaf in jax.tree.leaves(tree))


def bytes_per_device(tree: PyTree) -> int:
    """The bytes that each device holds of all arrays of a tree, concrete or abstract, by their shardings.

    An array without a sharding counts whole; where devices hold shares of different sizes, the largest counts.

    >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    >>> place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    >>> bytes_per_device({"a": jax.ShapeDtypeStruct((2, 3), jnp.float32, sharding=place)})
    24
    """

    def shard(leaf: Any) -> jax.ShapeDtypeStruct:
        sharding = getattr(leaf, "sharding", None)
        shape = leaf.shape if sharding is None else sharding.shard_shape(leaf.shape)
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    return bytes_of(jax.tree.map(shard, tree))


def _bits(dtype: Any) -> int:
    return jnp.iinfo(dtype).bits if jnp.issubdtype(dtype, jnp.integer) else 8 * dtype.itemsize


def flops_of(program: Any) -> float | None:
    """The floating-point operations of a lowered or compiled program, or None where nobody counts.

    >>> flops_of(jax.jit(lambda x: x + 1).lower(jnp.zeros(8)).compile())
    8.0
    """
    return _counted(program, "flops")


def program_cost(compiled: Any) -> ProgramCost:
    """All figures of a compiled program.

    >>> cost = program_cost(jax.jit(lambda x: x + 1).lower(jnp.zeros(8)).compile())
    >>> cost.flops, cost.least_bytes
    (8.0, 64)
    """
    memory = compiled.memory_analysis()
    return ProgramCost(
        flops=_counted(compiled, "flops"),
        bytes_accessed=_counted(compiled, "bytes accessed"),
        least_bytes=None if memory is None else memory.argument_size_in_bytes + memory.output_size_in_bytes,
        temp_bytes=None if memory is None else memory.temp_size_in_bytes,
    )


def _counted(program: Any, what: str) -> float | None:
    found = (program.cost_analysis() or {}).get(what)
    return None if found is None else float(found)
