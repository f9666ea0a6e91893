"""How arrays of state lie on a mesh: as the leaf whose axes they follow; of a stack of matrices each device a share."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxlab.core import hyper


def mesh_of(arrays: Iterable[Any]) -> Any:
    """The mesh that arrays lie on, concrete or abstract; None where there is none with more than one device."""
    for x in arrays:
        sharding = _sharding_of(x)
        if isinstance(sharding, NamedSharding) and _free(sharding.mesh):
            return sharding.mesh
    return None


def _free(mesh: Any) -> bool:
    # Inside shard_map each device is alone: there is nothing to spread.
    return mesh.size > 1 and AxisType.Manual not in mesh.axis_types


def whole(x: Array, mesh: Any) -> Array:
    """An array of which every device has all: what is cut and joined has no layout of its own on explicit axes."""
    if mesh is None or AxisType.Explicit not in mesh.axis_types:
        return x
    return put(x, NamedSharding(mesh, PartitionSpec()))


def as_before(x: Array, before: Array) -> Array:
    """A result laid out as what it belongs to, where layouts are types; a compiler finds it out by itself."""
    sharding = _sharding_of(before)
    if isinstance(sharding, NamedSharding) and AxisType.Explicit in sharding.mesh.axis_types:
        return put(x, sharding)
    return x


def zeros(like: jax.ShapeDtypeStruct) -> Array:
    """Zeros of a shape, in full precision, laid out as it is where layouts are types."""
    values = jnp.zeros(like.shape, hyper.arithmetic_dtype())
    typed = isinstance(like.sharding, NamedSharding) and AxisType.Explicit in like.sharding.mesh.axis_types
    return jax.sharding.reshard(values, like.sharding) if typed else values


def spread(stack: Array, mesh: Any) -> Array:
    """A stack whose first axis is spread over as many devices as divide it; every device has all of the others.

    Axes of the mesh are taken from the first on, those that still divide what is left of the stack.
    """
    if mesh is None or not stack.ndim:
        return stack
    return put(stack, NamedSharding(mesh, PartitionSpec(share(stack.shape[0], mesh) or None)))


def share(matrices: int, mesh: Any) -> tuple[str, ...]:
    """The mesh axes over which a stack of so many matrices is spread evenly.

    >>> mesh = jax.sharding.AbstractMesh((4, 2), ("data", "model"))
    >>> share(24, mesh), share(12, mesh), share(6, mesh), share(7, mesh)
    (('data', 'model'), ('data',), ('model',), ())
    """
    taken: list[str] = []
    for name in mesh.axis_names:
        devices = math.prod(mesh.shape[axis] for axis in (*taken, name))
        if matrices % devices == 0 and mesh.shape[name] > 1:
            taken.append(name)
    return tuple(taken)


def lies_with(x: Any, axes: Sequence[int] | None, value: Array) -> Array:
    """A value whose axes follow those of ``x``, put where these lie; a compiler places what it can itself."""
    traced, sharding = hyper.is_traced(x), _sharding_of(x)
    axes = range(jnp.ndim(x)) if axes is None else axes
    if not isinstance(sharding, NamedSharding) or sharding.mesh.empty or not value.ndim or len(axes) != value.ndim:
        return value
    if traced and AxisType.Explicit not in sharding.mesh.axis_types:
        return value
    spec = (*sharding.spec, *[None] * jnp.ndim(x))
    # The scales of blocks may be too few to be shared out: then every device has all of them.
    even = [
        spec[axis] if size % _shares(sharding.mesh, spec[axis]) == 0 else None
        for axis, size in zip(axes, value.shape, strict=True)
    ]
    own = NamedSharding(sharding.mesh, PartitionSpec(*even), memory_kind=sharding.memory_kind)
    return jax.sharding.reshard(value, own) if traced else jax.device_put(value, own)


def _shares(mesh: Any, axes: Any) -> int:
    """Over how many devices an axis is spread."""
    names = (axes,) if isinstance(axes, str) else axes or ()
    return math.prod(mesh.shape[name] for name in names)


def _sharding_of(x: Any) -> Any:
    return jax.typeof(x).sharding if hyper.is_traced(x) else getattr(x, "sharding", None)


def put(x: Array, sharding: NamedSharding) -> Array:
    """An array laid out so, inside a compiled program or outside, on automatic and explicit axes alike."""
    if not hyper.is_traced(x):
        return jax.device_put(x, sharding)
    # Within jax.sharding.auto_axes the axes of an explicit mesh are automatic.
    here = jax.sharding.get_abstract_mesh()
    if here.axis_names == sharding.mesh.axis_names:
        sharding = NamedSharding(here, sharding.spec)
    if AxisType.Explicit in sharding.mesh.axis_types:
        return jax.sharding.reshard(x, sharding)
    return jax.lax.with_sharding_constraint(x, sharding)
