"""Where activations lie, by the logical names of their axes."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, placement, tree
from jaxlab.sharding.rules import Entry, Rules, devices_of, names_of, specs_of

LOGICAL: Mapping[str, Entry] = {
    "batch": ("fsdp", "data"),
    "sequence": "sequence",
    "features": None,
    "heads": "tensor",
    "hidden": "tensor",
    "vocabulary": "tensor",
}
"""Which mesh axes cut an axis of that name. Those that a mesh has not count as size 1."""


def constrain(x: Array, *names: str | None, logical: Mapping[str, Entry] = LOGICAL) -> Array:
    """The array, laid out over the mesh that is set, one logical name (or None: whole) for each axis.

    The identity where no mesh is set, or one with a single device, and outside of compiled programs; so models call it
    wherever a layout matters, and run as they are on one core. On automatic axes it guides the compiler, on explicit
    ones it moves the array; where a mesh has both, each axis is treated as what it is. An axis of size 1, such as the
    batch of a single example, is whole.

    Args:
      x: of any shape.
      names: keys of ``logical``, or None; fewer than axes: the last are whole.
      logical: mesh axes by logical name.

    Raises:
      ValueError: an unknown name, more names than axes, an axis whose size the mesh axes do not divide, two axes that
        one mesh axis would cut.

    >>> constrain(jnp.ones((8, 3)), "batch", "features").shape
    (8, 3)
    """
    if len(names) > jnp.ndim(x):
        raise ValueError(
            f"constrain: {len(names)} names {names} for shape {jnp.shape(x)}: accepted are at most as many"
        )
    for name in names:
        if name is not None and (not isinstance(name, str) or name not in logical):
            raise ValueError(f"constrain: axis name {name!r} is unknown; accepted are {', '.join(logical)} and None")
    mesh = mesh_over(x)
    if mesh is None:
        return x
    names = tuple(None if size == 1 else name for name, size in zip(names, x.shape, strict=False))
    spec = logical_spec(names, x.shape, dict(mesh.shape), logical, what="constrain: an array")
    for kind in (AxisType.Explicit, AxisType.Auto):
        mine = {name for name, own in zip(mesh.axis_names, mesh.axis_types, strict=True) if own == kind}
        if mine:
            part = NamedSharding(mesh, _along(mine, spec))
            x = (
                jax.sharding.reshard(x, part)
                if kind == AxisType.Explicit
                else jax.lax.with_sharding_constraint(x, part)
            )
    return x


def mesh_over(*arrays: Array) -> Any:
    """The mesh that is set, where it has something to say of these arrays."""
    mesh = jax.sharding.get_abstract_mesh()
    if not any(map(hyper.is_traced, arrays)) or mesh.empty or mesh.size == 1 or AxisType.Manual in mesh.axis_types:
        return None
    return mesh


def _along(kept: set[str], spec: PartitionSpec) -> PartitionSpec:
    """A spec without the mesh axes that are not kept."""
    return PartitionSpec(*[tuple(name for name in names_of(entry) if name in kept) or None for entry in spec])


def logical_spec(
    names: tuple[str | None, ...],
    shape: tuple[int, ...],
    axes: Mapping[str, int],
    logical: Mapping[str, Entry] = LOGICAL,
    what: str = "an array",
) -> PartitionSpec:
    """The spec of an array whose axes have logical names.

    Raises:
      ValueError: an axis whose size the mesh axes do not divide, or two that one mesh axis would cut; the message
        begins with ``what``.

    >>> tuple(logical_spec(("batch", None), (8, 3), {"data": 4}))
    ('data', None)
    """
    entries: list[Entry] = []
    for axis, name in enumerate(names[: len(shape)]):
        mine = tuple(mesh_axis for mesh_axis in names_of(logical[name] if name else None) if mesh_axis in axes)
        if shape[axis] % devices_of(mine, axes):
            raise ValueError(
                f"{what} of shape {shape}: axis {axis} ({name}) is not divided by mesh axis {'*'.join(mine)} of size "
                f"{devices_of(mine, axes)}; accepted are multiples of it"
            )
        if twice := [mesh_axis for mesh_axis in mine for entry in entries if mesh_axis in names_of(entry)]:
            raise ValueError(
                f"{what} of shape {shape}: mesh axis {twice[0]!r} cuts two axes of {names}; accepted is one"
            )
        entries.append(None if not mine else mine[0] if len(mine) == 1 else mine)
    return PartitionSpec(*entries)


def constrain_tree(values: PyTree[Array], shardings: PyTree[Any]) -> PyTree[Array]:
    """Every array of a tree, laid out as its partner says; inside a compiled program or outside."""
    return jax.tree.map(placement.put, values, shardings)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def hold(x: Array, sharding: NamedSharding) -> Array:
    """An array laid out so, while its tangents and cotangents may lie elsewhere: a constraint holds for both."""
    return placement.put(x, sharding)


@hold.defjvp
def _hold_jvp(sharding: NamedSharding, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return hold(primals[0], sharding), tangents[0]


def hold_whole(params: PyTree[Any], rules: Rules) -> PyTree[Any]:
    """Parameters as a model computes with them, inside a compiled program: cut by rules alone, else whole.

    For a model whose parameters are stacked over layers, of one of which it is called in the body of the loop: what
    devices share among them is gathered there, of one layer at a time. Gradients may lie elsewhere. The identity where
    no mesh is set, or one with a single device.

    Args:
      params: with the names that the rules are written for.
      rules: for tensor parallelism, :data:`~jaxlab.sharding.rules.Rules`.
    """
    leaves, treedef = jax.tree.flatten(params)
    mesh = mesh_over(*leaves)
    if mesh is None:
        return params
    shapes = {name: leaf.shape for name, leaf in zip(tree.names(params), leaves, strict=True)}
    specs = specs_of(shapes, rules, dict(mesh.shape))
    return treedef.unflatten(
        [hold(leaf, NamedSharding(mesh, spec)) for leaf, spec in zip(leaves, specs.values(), strict=True)]
    )
