"""The maths of one matrix becomes a transform of trees.

An optimizer is written for one matrix, in full precision. This engine finds the matrices in the leaves (a dense
kernel is one, a convolution's is one in four axes, a scanned block's or an attention's are many in one leaf), stacks
those of equal shape, and works on a stack as one batched program: a hundred layers compile as one and run as one.
State is kept as stacks, and a stack is spread over the mesh, so that each device does its share of the matrices.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree, UInt32

from jaxlab.core import hyper, layouts, placement, stacks, storage, tree
from jaxlab.core.leafwise import Slots, no_slots, rebuild, require_real


class Matrix(NamedTuple):
    """What an optimizer sees of one matrix.

    Attributes:
      g: the incoming update, [rows, columns].
      p: the parameter; None unless the optimizer has said that it needs it.
      seed: random bits of this matrix and step.
      t: the number of this step, from 1, in full precision.
      clock: the same as an integer; in a population the one clock of all members, so that
        ``lax.cond(clock % k == 0, ...)`` stays a conditional.
    """

    g: Float[Array, "rows columns"]
    p: Float[Array, "rows columns"] | None
    seed: UInt32[Array, ""]
    t: Float[Array, ""]
    clock: Int32[Array, ""]

    @property
    def key(self) -> Array:
        """A key of ``jax.random`` for this matrix and step."""
        return jax.random.key(self.seed)


class MatrixwiseState(NamedTuple):
    """The state of a matrixwise transform.

    Attributes:
      count: steps taken.
      leaves: which leaves the stacks are made of, :class:`~jaxlab.core.stacks.Leaves`.
      slots: for each stack, such as ``"64x64"``, the optimizer's NamedTuple with a leading axis of matrices.
    """

    count: Int32[Array, ""]
    leaves: PyTree
    slots: PyTree


def matrixwise(
    update: Callable[[Matrix, Slots], tuple[Array, Slots]],
    *,
    slots: Callable[[jax.ShapeDtypeStruct], Slots] = no_slots,
    store: storage.StateDtype = "float32",
    needs_params: bool = False,
    rules: layouts.Layouts = (),
    block_size: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Builds a ``GradientTransformation`` from the maths of one matrix.

    Every array that ``update`` sees is float32 (float64 under ``jax_enable_x64``).

    Args:
      update: ``(matrix, slots) -> (direction, slots)`` for one matrix; it is vmapped over a stack. The direction has
        the gradient's shape.
      slots: ``shape -> NamedTuple`` of :class:`~jaxlab.core.storage.Slot`, the initial state of one matrix, whose
        shape it is given as a ``ShapeDtypeStruct``.
      store: how slots are kept, :data:`~jaxlab.core.storage.StateDtype`: by rules over the names of leaves, those of
        one shape are a stack for each format.
      needs_params: whether ``update`` reads ``matrix.p``.
      rules: which leaves are matrices, see :data:`~jaxlab.core.layouts.Layouts`. Every leaf must be: partition others
        away.
      block_size: cut matrices into blocks of at most so many rows and columns, each a matrix of its own.

    Returns:
      A transform whose updates have the dtypes of the gradients it is given, and whose state has the dtypes it began
      with, always. A ``None`` gradient gives a ``None`` update and leaves its matrices' state alone. State: the
      slots, and one int32.

    Raises:
      ValueError: an unknown ``store``; from ``init``, a leaf that is no matrix, or of which nobody can tell, or that
        no rule of ``store`` matches; from ``update``, parameters that are needed and not given.
      TypeError: a parameter or gradient that is no real floating array.

    >>> tx = matrixwise(lambda matrix, slots: (matrix.g / jnp.linalg.norm(matrix.g), slots))
    >>> g = {"a": jnp.full((2, 2), 3.0), "b": jnp.full((2, 2), 5.0)}
    >>> {name: float(u[0, 0]) for name, u in tx.update(g, tx.init(g))[0].items()}
    {'a': 0.5, 'b': 0.5}
    """
    store = storage.check_store(store)
    rules = layouts.check_layouts(rules)
    if block_size is not None:
        block_size = hyper.integer("block_size", block_size, at_least=1)

    def declared(stack: stacks.Stack) -> Slots:
        one = slots(jax.ShapeDtypeStruct(stack.shape, hyper.arithmetic_dtype()))
        return rebuild(one, [_stacked(slot, stack.matrices) for slot in one])

    def kept(stack: stacks.Stack, values: Slots, count: Array, mesh: Any) -> Slots:
        own = [dataclasses.replace(slot, value=value) for slot, value in zip(declared(stack), values, strict=True)]
        encoded = [storage.encode(slot, stack.store, stack.key, i, count) for i, slot in enumerate(own)]
        return rebuild(values, jax.tree.map(lambda x: placement.spread(x, mesh), encoded))

    def init(params: PyTree) -> MatrixwiseState:
        count, leaves = jnp.zeros((), jnp.int32), jax.tree.leaves(params)
        for name, leaf in zip(tree.names(params), leaves, strict=True):
            require_real(name, leaf)
        known = stacks.leaves_of(rules, params, store)
        mesh = placement.mesh_of(leaves)
        fresh = {}
        for stack in stacks.stacks_of(known, block_size):
            own = declared(stack)
            fresh[stack.key] = kept(stack, rebuild(own, [slot.value for slot in own]), count, mesh)
        return MatrixwiseState(count, known, jax.tree.map(lambda x: jnp.array(x, copy=True), fresh))

    def step(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, MatrixwiseState]:
        if needs_params and params is None:
            raise ValueError("this optimizer needs the parameters: call tx.update(grads, state, params)")
        count = state.count + 1
        t = count.astype(hyper.arithmetic_dtype())
        clock = count if extra.get("step") is None else jnp.asarray(extra["step"], jnp.int32) + 1
        gradients = tree.named(updates)
        for name, g in gradients.items():
            require_real(name, g)
        mesh = placement.mesh_of(gradients.values())
        cut = stacks.cut(gradients, state.leaves, mesh)
        cut_values = stacks.cut(tree.named(params), state.leaves, mesh) if needs_params else None

        directions: stacks.Parts = {name: {} for name in gradients}
        after = {}
        for stack in stacks.stacks_of(state.leaves, block_size):
            before = state.slots[stack.key]
            decoded = rebuild(before, [storage.decode(slot) for slot in before])
            g = placement.spread(stack.gather(cut), mesh)
            p = None if cut_values is None else placement.spread(stack.gather(cut_values), mesh)
            seeds = storage.random_bits(g.shape[:1], storage.seed_of(stack.key, count, len(before)))

            def one(g: Array, p: Array | None, seed: Array, slots: Slots) -> tuple[Array, Slots]:
                return update(Matrix(g, p, seed, t, clock), slots)

            direction, values = jax.vmap(one)(g, p, placement.spread(seeds, mesh), decoded)
            # Here a device ends the matrices that it began: what follows is cut along their sides, and a compiler that
            # cut so from the start would gather in every iteration.
            direction = placement.spread(direction, mesh)
            if direction.shape != g.shape:
                raise ValueError(f"matrices {stack.key}: direction {direction.shape[1:]} for a gradient {g.shape[1:]}")
            values = rebuild(before, [stack.where_present(cut, *pair) for pair in zip(values, decoded, strict=True)])
            after[stack.key] = kept(stack, values, count, mesh)
            stack.hand_out(placement.whole(direction, mesh), directions, clock)

        def result(path: Any, g: Array) -> Array:
            name = tree.path_name(path)
            return stacks.joined(directions[name], g, state.leaves.layout(name))

        return jax.tree_util.tree_map_with_path(result, updates), MatrixwiseState(count, state.leaves, after)

    return optax.GradientTransformationExtraArgs(init, step)


def _stacked(slot: storage.Slot, number: int) -> storage.Slot:
    axes = None if slot.axes is None else (0, *(axis + 1 for axis in slot.axes))
    return dataclasses.replace(slot, value=jnp.broadcast_to(slot.value, (number, *slot.value.shape)), axes=axes)
