"""To which leaf the parts of an optimizer's state belong, and which transform it goes to."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jaxtyping import PyTree

from jaxlab.core import tree
from jaxlab.core.blocks import Blocks
from jaxlab.core.cost import bytes_of
from jaxlab.core.matrixwise import MatrixwiseState
from jaxlab.core.partition import PartitionState
from jaxlab.core.stacks import largest_side, stacks_of


def bytes_of_leaves(state: PyTree, shapes: PyTree) -> tuple[list[int], int]:
    """Bytes of the state that follow each leaf, in the order of ``jax.tree.leaves``, and those that follow none.

    A leaf has what lies at its place in every part of the state that is a tree like the parameters, and its share of
    the stacks of :func:`~jaxlab.core.matrixwise.matrixwise`.

    Args:
      state: of any optax transform, concrete or abstract.
      shapes: the parameters that it was made for, likewise.
    """
    treedef = jax.tree.structure(shapes)
    # A single array has the structure of anything: a count is no state of it.
    alone = hasattr(shapes, "shape") and shapes.shape != ()

    def column_of(part: Any) -> list[Any] | None:
        try:
            column = treedef.flatten_up_to(part)
        except ValueError:
            return None
        counts = alone and getattr(column[0], "shape", None) == ()
        return column if all(map(_is_slot, column)) and not counts else None

    def is_known(part: Any) -> bool:
        return _is_stacked(part) or _is_partition(part) or column_of(part) is not None

    own = dict.fromkeys(tree.names(shapes), 0)
    named = dict(zip(own, jax.tree.leaves(shapes), strict=True))
    for part in jax.tree.leaves(state, is_leaf=is_known):
        if _is_stacked(part):
            shares = _bytes_of_stacks(part)
        elif _is_partition(part):
            shares = _bytes_of_partition(part, named)
        else:
            shares = zip(own, map(bytes_of, column_of(part) or [()] * len(own)), strict=True)
        for name, kept in shares:
            own[name] += kept
    return list(own.values()), bytes_of(state) - sum(own.values())


def _is_slot(part: Any) -> bool:
    """Whether a state keeps this of one leaf: an array in whatever form, or nothing, as where another is in charge."""
    return hasattr(part, "shape") or isinstance(part, Blocks) or not jax.tree.leaves(part)


def _is_stacked(part: Any) -> bool:
    return isinstance(part, MatrixwiseState)


def _bytes_of_stacks(state: MatrixwiseState) -> Iterator[tuple[str, int]]:
    """Each leaf's share of each stack."""
    # Whatever is cut has a block of the whole size: the largest there is tells it.
    for stack in stacks_of(state.leaves, largest_side(state.slots)):
        each = bytes_of(state.slots[stack.key]) // max(stack.matrices, 1)
        yield from ((piece.leaf, each * piece.matrices) for piece in stack.pieces)


def _bytes_of_partition(state: PartitionState, named: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Of each leaf in its own part, which knows it by name."""
    for label, inner in state.inner.items():
        shapes = {name: named[name] for name, own in state.routes if own == label}
        yield from zip(tree.names(shapes), bytes_of_leaves(inner, shapes)[0], strict=True)


def routes_of(state: PyTree) -> dict[str, str]:
    """The labels that partitions of the state say, those within one another joined by slashes."""
    routes: dict[str, str] = {}
    for part in jax.tree.leaves(state, is_leaf=_is_partition):
        if _is_partition(part):
            within = {name: route for inner in part.inner.values() for name, route in routes_of(inner).items()}
            routes |= {name: f"{label}/{within[name]}" if name in within else label for name, label in part.routes}
    return routes


def _is_partition(part: Any) -> bool:
    return isinstance(part, PartitionState)
