"""Matrices of equal shape, cut out of the leaves of a tree and put back."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, placement, storage, tree
from jaxlab.core.layouts import Layouts, axes_of, layout_of_matrix

MANY = 8
"""Pieces of a stack from which on it pays that they share one kernel."""

Parts = dict[str, dict[tuple[int, int], Array]]
"""For each leaf its blocks, [matrices, rows, columns], by their first row and column."""


class Source(NamedTuple):
    """A leaf that matrices are cut out of, and the format in which their state is kept."""

    name: str
    shape: tuple[int, ...]
    layout: str
    store: str


class Leaves(tuple[Source, ...]):
    """All leaves that have state: a part of its structure, not of its arrays."""

    __slots__ = ()

    def layout(self, name: str) -> str:
        """The layout of the leaf of that name.

        Raises:
          ValueError: there is none; the tree is not the one that the state was made for.
        """
        for known in self:
            if known.name == name:
                return known.layout
        raise ValueError(f"leaf {name!r} has no state: accepted are {[known.name for known in self]}")


jax.tree_util.register_static(Leaves)


def leaves_of(rules: Layouts, params: PyTree, store: storage.StateDtype = "float32") -> Leaves:
    """What is known of the leaves of a tree of matrices.

    Raises:
      ValueError: a leaf that is no matrix, or of which nobody can tell, or that no rule of ``store`` matches.
    """
    names = tree.names(params)
    named = zip(names, jax.tree.leaves(params), storage.formats_by_name(store, names), strict=True)
    return Leaves(
        Source(name, jnp.shape(leaf), layout_of_matrix(rules, name, leaf), kept) for name, leaf, kept in named
    )


@dataclasses.dataclass(frozen=True)
class Piece:
    """The same block of all matrices of a leaf."""

    leaf: str
    matrices: int
    rows: slice
    columns: slice


@dataclasses.dataclass(frozen=True)
class Stack:
    """All matrices of one shape whose state is kept in one format.

    Attributes:
      key: its name in a state, such as ``"64x32"``; ``"64x32-int8"`` where leaves have several formats.
      shape: of one matrix.
      store: the format.
      pieces: what it is made of.
    """

    key: str
    shape: tuple[int, int]
    store: str
    pieces: list[Piece]

    @property
    def matrices(self) -> int:
        """How many."""
        return sum(piece.matrices for piece in self.pieces)

    def gather(self, cut: Mapping[str, Array]) -> Float[Array, "matrices rows columns"]:
        """The stack; zeros in place of what is not there."""

        def part(piece: Piece) -> Array:
            if piece.leaf not in cut:
                return jnp.zeros((piece.matrices, *self.shape), hyper.arithmetic_dtype())
            whole = cut[piece.leaf]
            return whole if whole.shape[1:] == self.shape else whole[:, piece.rows, piece.columns]

        return jnp.concatenate([part(piece) for piece in self.pieces])

    def hand_out(self, stack: Float[Array, "matrices rows columns"], parts: Parts, clock: Int32[Array, ""]) -> None:
        """Adds every leaf's blocks to its parts; the clock is above 0."""
        begins = itertools.accumulate((piece.matrices for piece in self.pieces[:-1]), initial=0)
        for piece, begin in zip(self.pieces, _places([*begins], clock), strict=True):
            if piece.leaf in parts:
                part = jax.lax.dynamic_slice_in_dim(stack, begin, piece.matrices)
                parts[piece.leaf][piece.rows.start, piece.columns.start] = part

    def where_present(self, cut: Mapping[str, Array], after: Array, before: Array) -> Array:
        """What a matrix without a gradient had before."""
        present = np.concatenate([np.full(piece.matrices, piece.leaf in cut) for piece in self.pieces])
        return after if present.all() else jnp.where(present.reshape(-1, *[1] * (after.ndim - 1)), after, before)


def stacks_of(leaves: Leaves, block_size: int | None) -> list[Stack]:
    """A stack for each shape and format, the blocks of large matrices apart."""
    stacks: dict[tuple[tuple[int, int], str], list[Piece]] = {}
    for name, shape, layout, store in leaves:
        matrices, rows, columns = (math.prod(shape[axis] for axis in axes) for axes in axes_of(layout))
        for r, c in itertools.product(_blocks(rows, block_size), _blocks(columns, block_size)):
            own = (r.stop - r.start, c.stop - c.start), store
            stacks.setdefault(own, []).append(Piece(name, matrices, r, c))
    several = len({leaf.store for leaf in leaves}) > 1
    return [
        Stack("x".join(map(str, shape)) + f"-{store}" * several, shape, store, pieces)
        for (shape, store), pieces in stacks.items()
    ]


def largest_side(keys: Iterable[str]) -> int:
    """Of all matrices in stacks of these names.

    >>> largest_side(["64x32", "16x128-int8"])
    128
    """
    return max((int(side) for key in keys for side in key.partition("-")[0].split("x")), default=1)


def cut(values: Mapping[str, Array], leaves: Leaves, mesh: Any) -> dict[str, Float[Array, "matrices rows columns"]]:
    """Every leaf as its matrices, in full precision."""
    return {name: _matrices(x, leaves.layout(name), mesh) for name, x in values.items()}


def joined(parts: Mapping[tuple[int, int], Array], g: Array, layout: str) -> Array:
    """A leaf's direction from its blocks, in the gradient's shape, dtype and place."""
    rows, columns = (sorted({begin[axis] for begin in parts}) for axis in (0, 1))
    matrices = jnp.concatenate([jnp.concatenate([parts[r, c] for c in columns], axis=2) for r in rows], axis=1)
    order = list(itertools.chain(*axes_of(layout)))
    x = matrices.reshape([g.shape[axis] for axis in order])
    return placement.as_before(jnp.transpose(x, np.argsort(order).tolist()).astype(g.dtype), g)


def _matrices(x: Any, layout: str, mesh: Any) -> Array:
    x = placement.whole(storage.decode(x), mesh)
    axes = axes_of(layout)
    sizes = [math.prod(x.shape[axis] for axis in part) for part in axes]
    return jnp.transpose(x, list(itertools.chain(*axes))).reshape(sizes)


def _places(begins: list[int], clock: Int32[Array, ""]) -> Sequence[int | Array]:
    """Where a stack's pieces begin; on a CPU not known before the program runs, where there are many.

    There XLA compiles a slice at a known place as a kernel of its own, 15 ms each: for 100 leaves that was most of
    the whole compilation. One kernel serves all slices whose place is an argument. Elsewhere slices are cheap.
    """
    if len(begins) < MANY or not hyper.is_traced(clock) or jax.default_backend() != "cpu":
        return begins
    return jax.lax.cond(clock > 0, lambda: [*map(jnp.uint32, begins)], lambda: [jnp.uint32(0)] * len(begins))


def _blocks(size: int, block_size: int | None) -> list[slice]:
    step = block_size or max(size, 1)
    return [slice(begin, min(begin + step, size)) for begin in range(0, max(size, 1), step)]
