"""The maths of one float32 leaf becomes a transform of trees.

An optimizer is written as its paper writes it: for one array, in full precision. This engine maps it over
a tree and over the layers that a leaf stacks, casts at both ends, stores its slots, gives it what is summed
over all leaves, and keeps the state's structure and dtypes fixed whatever the gradients' dtype is.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32, PyTree, UInt32

from jaxlab.core import hyper, placement, storage, tree
from jaxlab.core.extras import asked_for, second_arrays

Slots = Any
"""A NamedTuple of arrays: the state of one leaf."""

LayerAxes = int | tree.Rules[int]
"""How many leading axes of a leaf stack independent layers: one number, or rules over the names of leaves."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What an optimizer sees of one leaf, or of one layer where a leaf stacks several.

    Attributes:
      g: the incoming update (the gradient, for the first of a chain).
      p: the parameter, or None where the caller gave none.
      name: the leaf's path, as in ``encoder/0/kernel``.
      layer: the layer's number, in the order of the stack; 0 where there are no layers.
      step_seed: gives random bits of this leaf and step. Most optimizers never ask, and tracing them costs.
      beside: what ``beside`` computed for this leaf, such as a Hessian's diagonal; None without it.
    """

    g: Float[Array, "..."]
    p: Float[Array, "..."] | None
    name: str
    layer: UInt32[Array, ""]
    step_seed: Callable[[], UInt32[Array, ""]]
    beside: Any = None

    @property
    def seed(self) -> UInt32[Array, ""]:
        """Random bits of this leaf, layer and step."""
        return storage.hash_bits(self.layer, self.step_seed())

    @property
    def key(self) -> Array:
        """A key of ``jax.random`` for this leaf, layer and step."""
        return jax.random.key(self.seed)


class LeafwiseState(NamedTuple):
    """The state of a leafwise transform.

    Attributes:
      count: steps taken.
      slots: the optimizer's NamedTuple, each field a tree like the parameters.
      shared: global scalars, as ``combine`` left them.
    """

    count: Int32[Array, ""]
    slots: Slots
    shared: PyTree


def no_slots(p: Any) -> tuple[()]:
    """For transforms without state."""
    return ()


def leafwise(
    update: Callable[[Leaf, Slots, Any, Array], tuple[Array, Slots]],
    *,
    slots: Callable[[Array], Slots] = no_slots,
    gather: Callable[[Leaf, Slots, Any, Array], tuple[Slots, PyTree]] | None = None,
    combine: Callable[..., Any] | None = None,
    beside: Callable[..., PyTree] | None = None,
    shared: PyTree = (),
    store: storage.StateDtype = "float32",
    needs_params: bool = False,
    layer_axes: LayerAxes = 0,
) -> optax.GradientTransformationExtraArgs:
    """Builds a ``GradientTransformation`` from the maths of one leaf.

    Every array that the functions below see is float32 (float64 under ``jax_enable_x64``); ``t`` is the
    number of this step, from 1, in the same dtype.

    Args:
      update: ``(leaf, slots, shared, t) -> (direction, slots)``. The direction has the gradient's shape.
      slots: ``p -> NamedTuple`` of :class:`~jaxlab.core.storage.Slot`: the initial state of a leaf. A
        field that is the same for all shapes is usually :func:`~jaxlab.core.storage.zeros`.
      gather: ``(leaf, slots, shared, t) -> (slots, sums)``, run over all leaves before the first
        ``update``; the sums of all leaves are added up.
      combine: ``(shared, sums, t, ...) -> shared``, once a step; ``sums`` is None without ``gather``. Further
        parameters that it names are taken from the extra arguments of ``update``.
      beside: ``(grads, params, t, ...) -> tree like the gradients``, once a step before anything else: a second
        array for each leaf, which ``update`` and ``gather`` find at ``leaf.beside`` in full precision. Further
        parameters that it names are taken from the extra arguments of ``update`` (``hvp_fn``, ``key``); one that
        has no default and is not given is an error.
      shared: the initial global scalars.
      store: how slots are kept, :data:`~jaxlab.core.storage.StateDtype`.
      needs_params: whether ``update`` reads ``leaf.p``.
      layer_axes: how many leading axes of a leaf stack independent layers (a scanned block, heads): a number
        for all leaves, or ordered ``(regular expression, number)`` rules over their names. ``slots``,
        ``gather`` and ``update`` see one layer; a stack is treated as its layers would be as leaves of their own.

    Returns:
      A transform whose updates have the dtypes of the gradients it is given, and whose state has the
      dtypes it began with, always. ``params=None`` is legal unless ``needs_params``. A ``None`` gradient
      gives a ``None`` update and leaves its slots alone. Extra arguments that ``combine`` does not name are
      ignored. State: the slots, and one int32.

    Raises:
      ValueError: an unknown ``store``; a negative ``layer_axes``, or, from ``init``, more than a leaf has; from
        ``init``, rules that leave out a leaf; from ``update``, parameters or extra arguments that are needed and
        not given.
      TypeError: a parameter or gradient that is no real floating array.

    >>> tx = leafwise(lambda leaf, slots, shared, t: (leaf.g / t, slots))
    >>> state = tx.init(jnp.ones(2))
    >>> tx.update(jnp.ones(2), state)[0].tolist()
    [1.0, 1.0]
    """
    store = storage.check_store(store)
    rules = _as_rules(layer_axes)

    declared = functools.partial(_declared, slots)
    form_of = _forms(declared)

    def init(params: PyTree) -> LeafwiseState:
        count = jnp.zeros((), jnp.int32)
        leaves, treedef = jax.tree.flatten(params)
        columns = []
        for name, p in zip(tree.names(params), leaves, strict=True):
            require_real(name, p)
            own = declared(_depth(rules, name, p), storage.decode(p))
            kept = [storage.encode(slot, store, name, i, count) for i, slot in enumerate(own)]
            # Copies: a slot that begins as the parameter must not be donated twice.
            pairs = zip(own, map(_fresh, kept), strict=True)
            columns.append(
                [jax.tree.map(functools.partial(placement.lies_with, p, slot.axes), value) for slot, value in pairs]
            )
        form = jax.eval_shape(slots, jax.ShapeDtypeStruct((), hyper.arithmetic_dtype()))
        fields = [treedef.unflatten([column[i] for column in columns]) for i in range(len(form))]
        return LeafwiseState(count, rebuild(form, fields), jax.tree.map(_fresh, shared))

    def step(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, LeafwiseState]:
        if needs_params and params is None:
            raise ValueError("this optimizer needs the parameters: call tx.update(grads, state, params)")
        if not isinstance(state, LeafwiseState):
            raise TypeError(f"state is {type(state).__name__}: accepted is what init of this transform returned")
        count = state.count + 1
        t = count.astype(hyper.arithmetic_dtype())
        gradients, treedef = jax.tree.flatten(updates, is_leaf=tree.is_none)
        names = tree.names(updates, is_leaf=tree.is_none)
        values = [None] * len(gradients) if params is None else treedef.flatten_up_to(params)
        stored = [treedef.flatten_up_to(field) for field in state.slots]
        present = [i for i, g in enumerate(gradients) if g is not None]

        others = second_arrays(beside, updates, params, t, extra)
        full, decoded, depths = {}, {}, {}
        for i in present:
            require_real(names[i], gradients[i])
            p = values[i]
            g, p = full[i] = storage.decode(gradients[i]), None if p is None else storage.decode(p)
            decoded[i] = rebuild(state.slots, [storage.decode(column[i]) for column in stored])
            depths[i] = _depth(rules, names[i], gradients[i])
            _require_fit(names[i], g, p, form_of(depths[i], g.shape), decoded[i])

        def layer_by_layer(function: Callable[..., Any], i: int, shared: PyTree) -> Any:
            step_seed = functools.partial(storage.seed_of, names[i], count, len(state.slots))

            def one(g: Array, p: Array | None, layer: Array, other: Any, slots: Slots) -> Any:
                return function(Leaf(g, p, names[i], layer, step_seed, other), slots, shared, t)

            g, p = full[i]
            layers = np.arange(math.prod(g.shape[: depths[i]]), dtype=np.uint32).reshape(g.shape[: depths[i]])
            layers = placement.lies_with(g, range(depths[i]), layers) if depths[i] else layers
            return _over_layers(one, depths[i])(g, p, layers, others.get(i), decoded[i])

        now, gathered = state.shared, []
        if gather is not None:
            for i in present:
                decoded[i], parts = layer_by_layer(gather, i, now)
                gathered.append(jax.tree.map(lambda x, axes=tuple(range(depths[i])): jnp.sum(x, axes), parts))
        if combine is not None:
            after = combine(now, _over_leaves(gathered), t, **asked_for(combine, extra))
            now = tree.cast_like(after, now)

        directions = list(gradients)
        for i in present:
            direction, after = layer_by_layer(update, i, now)
            if direction.shape != gradients[i].shape:
                raise ValueError(f"leaf {names[i]!r}: direction {direction.shape} for a gradient {gradients[i].shape}")
            directions[i] = direction.astype(gradients[i].dtype)
            own = form_of(depths[i], gradients[i].shape)
            for index, (slot, value) in enumerate(zip(own, after, strict=True)):
                whole = dataclasses.replace(slot, value=value)
                kept = storage.encode(whole, store, names[i], index, count)
                stored[index][i] = _lies_as(stored[index][i], kept)
        fields = [treedef.unflatten(column) for column in stored]
        return treedef.unflatten(directions), LeafwiseState(count, rebuild(state.slots, fields), now)

    return optax.GradientTransformationExtraArgs(init, step)


def _declared(slots: Callable[[Array], Slots], depth: int, p: Any) -> Slots:
    """The slots of a leaf that stacks so many axes of layers."""
    # Compiled where there are layers: zeros that are made one by one know no mesh with explicit axes.
    stacked = jax.jit(_over_layers(slots, depth), keep_unused=True)(p) if depth else slots(p)
    return rebuild(stacked, [_of_stack(slot, depth) for slot in stacked])


def _require_fit(name: str, g: Array, p: Array | None, own: Slots, slots: Slots) -> None:
    """Refuses shapes that differ, which would be broadcast, and the state of others."""
    if p is not None and p.shape != g.shape:
        raise ValueError(f"leaf {name!r}: a gradient {g.shape} for a parameter {p.shape}: accepted are equal shapes")
    if type(own) is not type(slots):
        raise TypeError(
            f"leaf {name!r}: the state holds {type(slots).__name__}: accepted is {type(own).__name__}, what init of "
            "this transform returned"
        )
    wanted, found = [slot.value.shape for slot in own], [value.shape for value in slots]
    if wanted != found:
        raise ValueError(
            f"leaf {name!r}: state of shapes {found} for a gradient {g.shape}: accepted are {wanted}, as init makes "
            "them for such a parameter"
        )


def _forms(declared: Callable[[int, Any], Slots]) -> Callable[[int, tuple[int, ...]], Slots]:
    """How the slots of a leaf of that depth and shape are declared, without values; equal leaves are asked once."""
    full = hyper.arithmetic_dtype
    return functools.cache(
        lambda depth, shape: jax.eval_shape(functools.partial(declared, depth), jax.ShapeDtypeStruct(shape, full()))
    )


def rebuild(like: Slots, fields: list[Any]) -> Slots:
    """The optimizer's NamedTuple with other fields."""
    return type(like)(*fields) if hasattr(like, "_fields") else tuple(fields)


def _as_rules(layer_axes: LayerAxes) -> list[tuple[str, int]]:
    if not isinstance(layer_axes, Sequence):
        return [("", hyper.integer("layer_axes", layer_axes, at_least=0))]
    rules = tree.check_rules("layer_axes", layer_axes, "one number and (regular expression, number) rules")
    return [(pattern, hyper.integer(f"layer_axes[{pattern!r}]", n, at_least=0)) for pattern, n in rules]


def _depth(rules: list[tuple[str, int]], name: str, x: Any) -> int:
    (depth,) = tree.match_rules(rules, [name])
    if depth > jnp.ndim(x):
        raise ValueError(
            f"layer_axes = {depth} for leaf {name!r} of shape {jnp.shape(x)}: accepted is at most its number of axes; "
            'rules such as [("blocks", 1), ("", 0)] tell stacks from other leaves'
        )
    return depth


def _over_leaves(gathered: list[PyTree]) -> PyTree | None:
    """The sums of what all leaves gave."""
    return jax.tree.map(lambda *parts: tree.over_leaves(parts), *gathered) if gathered else None


def _over_layers(function: Callable[..., Any], depth: int) -> Callable[..., Any]:
    for _ in range(depth):
        function = jax.vmap(function)
    return function


def _of_stack(slot: storage.Slot, depth: int) -> storage.Slot:
    """A layer's slot as the stack's: its axes follow those of the layer, behind the layers' own."""
    if slot.axes is None:
        return slot
    return dataclasses.replace(slot, axes=(*range(depth), *(axis + depth for axis in slot.axes)))


def _lies_as(before: storage.Stored, stored: storage.Stored) -> storage.Stored:
    """Blocks put where those before them lie: codes and scales come out of them as it falls."""
    if not isinstance(stored, storage.Blocks):
        return stored
    return jax.tree.map(lambda old, new: placement.lies_with(old, None, new), before, stored)


def _fresh(value: Any) -> Any:
    return jax.tree.map(lambda x: jnp.array(x, copy=True), value)


def require_real(name: str, x: Any) -> None:
    """Refuses what no optimizer here computes with.

    Raises:
      TypeError: no real floating array.
    """
    dtype = getattr(x, "dtype", None) or np.asarray(x).dtype  # A text is no dtype's name.
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"leaf {name!r} has dtype {dtype}: accepted are real floating arrays; "
            "leave integers and complex numbers out with optax.masked"
        )
