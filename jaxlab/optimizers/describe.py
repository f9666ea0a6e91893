"""Where an optimizer sends each leaf, what it keeps of it, and what its step costs, without running it."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.attribution import bytes_of_leaves, routes_of
from jaxlab.core.cost import ProgramCost, program_cost


class LeafEntry(NamedTuple):
    """One leaf: its name, shape and dtype, the transform it goes to, and the bytes of state that follow it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    route: str
    params: int
    state_bytes: int


@dataclasses.dataclass(frozen=True)
class Description:
    """What :func:`describe` found; ``str()`` of it is a table.

    Attributes:
      leaves: one entry for each leaf, in the order of ``jax.tree.leaves``.
      shared_bytes: state that follows no single leaf: counts, the learning rate, global sums.
      cost: one ``update``, counted by XLA in the program compiled for the default device.
      calls: how often ``update`` calls each function that it was given, such as ``hvp_fn``, a loop's body counted once.
      stand_ins: those of them that were stand-ins, which cost a few operations a parameter instead of the model's.
    """

    leaves: tuple[LeafEntry, ...]
    shared_bytes: int
    cost: ProgramCost
    calls: Mapping[str, int]
    stand_ins: tuple[str, ...]

    @property
    def params(self) -> int:
        """Parameters, of all leaves together."""
        return sum(leaf.params for leaf in self.leaves)

    @property
    def state_bytes(self) -> int:
        """Bytes of the whole state."""
        return self.shared_bytes + sum(leaf.state_bytes for leaf in self.leaves)

    @property
    def routes(self) -> dict[str, str]:
        """The route of each leaf by the leaf's name."""
        return {leaf.name: leaf.route for leaf in self.leaves}

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON has it.

        >>> from jaxlab import optimizers
        >>> describe(optimizers.sgd(0.1), {"w": jnp.zeros(3)}).as_dict()["leaves"]
        [{'name': 'w', 'shape': [3], 'dtype': 'float32', 'route': 'all', 'params': 3, 'state_bytes': 0}]
        """
        return {
            "params": self.params,
            "state_bytes": self.state_bytes,
            "shared_bytes": self.shared_bytes,
            "cost": self.cost._asdict(),
            "calls": dict(self.calls),
            "stand_ins": list(self.stand_ins),
            "leaves": [leaf._asdict() | {"shape": list(leaf.shape)} for leaf in self.leaves],
        }

    def __str__(self) -> str:
        """Leaves of one route, shape and dtype share a row."""
        groups: dict[LeafEntry, list[LeafEntry]] = {}
        for leaf in self.leaves:
            groups.setdefault(leaf._replace(name=""), []).append(leaf)
        rows = [_row(group) for group in groups.values()]
        if self.shared_bytes:
            rows.append(("", "", "", "", f"{self.shared_bytes:,}", "", "of no single leaf"))
        total = (f"{len(self.leaves):,}", "", f"{self.params:,}", f"{self.state_bytes:,}")
        rows.append(("all", *total, _each(self.state_bytes, self.params), ""))
        head = ("route", "leaves", "each", "parameters", "state bytes", "a parameter", "names")
        return "\n".join([_aligned([head, *rows]), "", *self._of_a_step()])

    def _of_a_step(self) -> list[str]:
        cost = self.cost
        figures = (
            (cost.flops, "floating-point operations"),
            (cost.bytes_accessed, "bytes read and written by all operations"),
            (cost.least_bytes, "bytes at the least: arguments read once, results written once"),
            (cost.temp_bytes, "bytes of temporary memory"),
        )
        said = ((value, what) for value, what in figures if value is not None)
        lines = [f"  {value:,.0f} {what} ({_each(value, self.params)} a parameter)" for value, what in said]
        for name, times in self.calls.items():
            alone = ", here by a stand-in: the model's own cost comes on top" if name in self.stand_ins else ""
            lines.append(f"  {times} call{'s' * (times != 1)} of {name}{alone}")
        return ["One update, loop bodies counted once:", *lines] if lines else ["The backend counts no costs."]


def describe(tx: optax.GradientTransformation, params: PyTree, **extra: Any) -> Description:
    """Which transform each leaf goes to, the state it takes, and what a step costs.

    The state is counted from the shapes that ``tx.init`` makes, the step from ``tx.update`` compiled for the default
    device at those shapes: nothing is allocated, nothing runs. Gradients have the parameters' dtypes.

    Args:
      tx: any optax transform.
      params: arrays, or ``jax.ShapeDtypeStruct``s.
      **extra: extra arguments of ``update``, arrays or functions. For what is not given :func:`stand_ins` stand in,
        and arguments of the program for ``value``, ``key`` and ``step``.

    Raises:
      TypeError: a ``tx`` that is no transform; a leaf without shape and dtype.
      ValueError, TypeError: whatever ``tx`` refuses.

    >>> from jaxlab import optimizers
    >>> description = describe(optimizers.adam(1e-3), {"b": jnp.zeros(4), "w": jnp.zeros((4, 8))})
    >>> print(str(description).split("One update")[0].rstrip())
    route  leaves  each          parameters  state bytes  a parameter  names
    all    1       float32[4]             4           32         8.00  b
    all    1       float32[4,8]          32          256         8.00  w
                                                      12               of no single leaf
    all    2                             36          300         8.33
    """
    if not isinstance(tx, optax.GradientTransformation):
        raise TypeError(f"tx = {tx!r}: accepted is an optax transform, with init and update")
    shapes = jax.tree.map(_abstract, params)
    state = jax.eval_shape(tx.init, shapes)
    calls: dict[str, int] = {}
    compiled = _compile(tx, shapes, state, extra, calls)
    own, shared = bytes_of_leaves(state, shapes)
    leaves = jax.tree.leaves(shapes)
    names = tree.names(shapes)
    routes = routes_of(state)
    entries = [
        LeafEntry(name, leaf.shape, leaf.dtype.name, routes.get(name, "all"), leaf.size, kept)
        for name, leaf, kept in zip(names, leaves, own, strict=True)
    ]
    return Description(
        leaves=tuple(entries),
        shared_bytes=shared,
        cost=program_cost(compiled),
        calls=calls,
        stand_ins=tuple(name for name in calls if name not in extra),
    )


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(f"params hold {leaf!r}: accepted are arrays, or jax.ShapeDtypeStruct")
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _compile(
    tx: optax.GradientTransformation, shapes: PyTree, state: PyTree, extra: Mapping[str, Any], calls: dict[str, int]
) -> Any:
    """The update as a training step calls it, the state donated; what it calls is noted."""
    full = hyper.arithmetic_dtype()
    number = jax.ShapeDtypeStruct((), full)
    given = {name: value for name, value in extra.items() if not callable(value)}
    functions = {name: value for name, value in extra.items() if callable(value)}
    data = {
        "value": number,
        "key": jax.eval_shape(lambda: jax.random.key(0)),
        "step": jax.ShapeDtypeStruct((), jnp.int32),
        **given,
    }
    whole = optax.with_extra_args_support(tx)

    def update(grads: PyTree, state: PyTree, params: PyTree, data: dict[str, Any]) -> Any:
        closures = {**stand_ins(grads), **functions}
        noted = {name: _noted(name, function, calls) for name, function in closures.items()}
        return whole.update(grads, state, params, **{"grad": grads, **noted, **data})

    return jax.jit(update, donate_argnums=1).lower(shapes, state, shapes, data).compile()


def _noted(name: str, function: Callable[..., Any], calls: dict[str, int]) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any) -> Any:
        calls[name] = calls.get(name, 0) + 1
        return function(*args)

    return counted


def stand_ins(grads: PyTree) -> dict[str, Callable[..., Any]]:
    """The functions that a training step passes to ``update``, of a loss whose own cost is next to nothing.

    Args:
      grads: the loss is half the squared distance from minus these, so that at zero they are its gradient.

    >>> sorted(stand_ins(jnp.ones(2)))[:3]
    ['grad_fn', 'hvp_fn', 'per_example_grad_fn']
    """

    def off(params: PyTree) -> PyTree:
        return jax.tree.map(jnp.add, tree.cast(params, hyper.arithmetic_dtype()), grads)

    def value_fn(params: PyTree) -> Any:
        return sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(off(params))), jnp.zeros(())) / 2

    return {
        "value_fn": value_fn,
        "grad_fn": lambda params: tree.cast_like(off(params), params),
        "hvp_fn": lambda params, vector: vector,
        "sampled_grad_fn": lambda params, key: tree.cast_like(off(params), params),
        "residual_fn": lambda params: jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(off(params))]),
        "per_example_grad_fn": lambda params: jax.tree.map(
            lambda leaf: leaf[None], tree.cast_like(off(params), params)
        ),
    }


def _row(group: list[LeafEntry]) -> tuple[str, ...]:
    first, count = group[0], len(group)
    params, kept = count * first.params, count * first.state_bytes
    each = f"{first.dtype}[{','.join(map(str, first.shape))}]"
    return first.route, f"{count:,}", each, f"{params:,}", f"{kept:,}", _each(kept, params), _common_name(group)


def _common_name(group: list[LeafEntry]) -> str:
    """The name, with stars for the numbers in which names differ; or the first and how many more there are."""
    patterns = {re.sub(r"\d+", "*", leaf.name) for leaf in group}
    if len(group) == 1:
        return group[0].name
    return patterns.pop() if len(patterns) == 1 else f"{group[0].name} and {len(group) - 1} more"


def _each(amount: float, params: int) -> str:
    return f"{amount / params:.2f}" if params else ""


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Columns of plain text, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if 3 <= i <= 5 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
