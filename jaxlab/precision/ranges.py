"""How large the numbers beside each parameter become: which layers a smaller range would not hold."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree

CALLS = (
    "checkpoint",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "jit",
    "pjit",
    "remat",
    "remat2",
)
"""Operations that only evaluate another program."""


class Range(NamedTuple):
    """The numbers beside one parameter, in one evaluation of a loss.

    Attributes:
      input: the largest absolute value that went into an operation with the parameter, its own values included.
      output: the largest that came out of one.
      underflow: the share of the nonzero ones among those that came out that the smaller dtype would take for zero.
    """

    input: float
    output: float
    underflow: float

    @property
    def largest(self) -> float:
        """The largest absolute value of both; NaN where there was one."""
        return float(np.maximum(self.input, self.output))


class Tally(NamedTuple):
    """A :class:`Range` while it is found."""

    input: Float[Array, ""]
    output: Float[Array, ""]
    lost: Float[Array, ""]
    nonzero: Float[Array, ""]


Tallies = dict[str, Tally]


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the program that is evaluated.

    Attributes:
      array: the value itself.
      owners: the parameters of which it is made.
      data: whether the loss's other inputs, too, had a part in it: then it is an activation, and has no owners.
    """

    array: Any = dataclasses.field(compare=False)
    owners: frozenset[str] = frozenset()
    data: bool = False


def ranges(
    loss_fn: Callable[..., Any], params: PyTree[Array], *inputs: PyTree, dtype: str = "float16"
) -> dict[str, Range]:
    """How large the numbers are that each parameter meets when a loss is computed.

    The loss is evaluated once, in full precision, operation by operation. What is computed from parameters alone (a
    cast, a transpose, a slice) counts as these parameters; where it meets data, the result is an activation of the
    layer, and is counted for each of them. Nested programs (``jit``, ``checkpoint``, ``scan``, custom gradients) are
    followed; of a ``cond`` or a ``while_loop`` only the results are seen.

    Args:
      loss_fn: ``(params, *inputs)`` to anything; a loss as a training step takes it.
      params: any pytree of floating arrays.
      inputs: the rest of what the loss takes: a batch, a key.
      dtype: by whose smallest number underflow is judged, ``"bfloat16"`` or ``"float16"``.

    Returns:
      What was found, by the parameter's name: for :meth:`Policy.raised <jaxlab.precision.Policy.raised>`.

    Raises:
      TypeError: a loss that is no function.
      ValueError: another dtype.

    >>> loss = lambda params, x, key: (jnp.sum(jnp.tanh(x @ params["w"]) + params["b"]), {})
    >>> found = ranges(loss, {"w": jnp.full((2, 1), 1e5), "b": jnp.ones(1)}, jnp.ones((3, 2)), jax.random.key(0))
    >>> found["w"].output, found["b"].output
    (200000.0, 2.0)
    """
    hyper.one_of("dtype", dtype, ("bfloat16", "float16"))
    if not callable(loss_fn):
        raise TypeError(f"loss_fn = {loss_fn!r}: accepted is a function (params, *inputs), as a training step takes it")
    # What rounds to zero: at most half of the smallest number.
    vanishing = float(jnp.finfo(dtype).smallest_subnormal) / 2
    names = tree.names(params)
    params, inputs = tree.cast((params, inputs), hyper.arithmetic_dtype())
    closed = jax.make_jaxpr(loss_fn)(params, *inputs)

    def tally(params: PyTree, inputs: PyTree) -> Tallies:
        owned = [Value(leaf, frozenset({name})) for name, leaf in zip(names, jax.tree.leaves(params), strict=True)]
        rest = [Value(leaf, data=True) for leaf in jax.tree.leaves(inputs)]
        first = {name: _tally([value.array], [], vanishing) for name, value in zip(names, owned, strict=True)}
        return _merged(first, _evaluate(closed.jaxpr, closed.consts, [*owned, *rest], vanishing)[1])

    found = jax.device_get(jax.jit(tally)(params, inputs))
    return {
        name: Range(float(of.input), float(of.output), float(of.lost / max(of.nonzero, 1)))
        for name, of in found.items()
    }


def _evaluate(
    jaxpr: Jaxpr, consts: Iterable[Any], inputs: Sequence[Value], vanishing: float
) -> tuple[list[Value], Tallies]:
    """The results of a program and what was counted on the way."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(Value, consts), *inputs], strict=True))
    tallies: Tallies = {}

    def read(variable: Any) -> Value:
        return Value(variable.val) if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        taken = [read(variable) for variable in equation.invars]
        name = equation.primitive.name
        if name in CALLS:
            inner = next(equation.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in equation.params)
            body, closed_over = _opened(inner)
            results, counted = _evaluate(body, closed_over, taken, vanishing)
        elif name == "scan":
            results, counted = _scan(equation, taken, vanishing)
        else:
            alone = [variable for variable in equation.invars if not isinstance(variable, Literal)]
            program = jaxpr.replace(constvars=[], invars=alone, outvars=equation.outvars, eqns=[equation])
            arrays = jaxpr_as_fun(ClosedJaxpr(program, []))(*(values[variable].array for variable in alone))
            results, counted = _operation(taken, arrays, vanishing)
        tallies = _merged(tallies, counted)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars], tallies


def _opened(program: Any) -> tuple[Jaxpr, Sequence[Any]]:
    """A nested program and the constants that are closed over, if it is closed."""
    return getattr(program, "jaxpr", program), getattr(program, "consts", ())


def _operation(taken: Sequence[Value], arrays: Sequence[Any], vanishing: float) -> tuple[list[Value], Tallies]:
    """One operation, from what it took to what it made, counted for the parameters that enter it."""
    owners = frozenset().union(*(value.owners for value in taken))
    data = any(value.data for value in taken)
    results = [Value(array, frozenset() if data else owners, data) for array in arrays]
    # Constants are no activations, such as the -inf of a mask.
    entered = [value.array for value in taken if value.data or value.owners]
    return results, dict.fromkeys(owners, _tally(entered, arrays, vanishing)) if owners else {}


def _scan(equation: JaxprEqn, taken: Sequence[Value], vanishing: float) -> tuple[list[Value], Tallies]:
    """A loop, its body followed."""
    options = equation.params
    body, closed_over = _opened(options["jaxpr"])
    carried_on, rows_from = _whole(equation.outvars, body.outvars), _whole(equation.invars, body.invars)
    fixed, carry, rows = taken[: rows_from - carried_on], taken[rows_from - carried_on : rows_from], taken[rows_from:]
    made: list[Value] = []

    def one(carried: list[Any], row: list[Any]) -> tuple[list[Any], tuple[list[Any], Tallies]]:
        inputs = [*fixed, *map(_like, carried, carry), *map(_like, row, rows)]
        made[:], tallies = _evaluate(body, closed_over, inputs, vanishing)
        arrays = [value.array for value in made]
        return arrays[: len(carry)], (arrays[len(carry) :], tallies)

    def looped() -> Any:
        start, stacked = [value.array for value in carry], [value.array for value in rows]
        return jax.lax.scan(one, start, stacked, length=options["length"], reverse=options["reverse"])

    while True:  # Until what the carry is made of holds before a round as after it.
        jax.eval_shape(looped)
        wider = [_either(before, after) for before, after in zip(carry, made[: len(carry)], strict=True)]
        if wider == carry:
            break
        carry = wider
    last, (outputs, tallies) = looped()
    results = [*map(_like, last, carry), *map(_like, outputs, made[len(carry) :])]
    return results, {name: _over_rounds(of) for name, of in tallies.items()}


def _whole(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """How many values a loop takes, or gives, as they are: what is stacked has an axis less in its body.

    The operation's own counts have other names from one version of JAX to the next.
    """
    return sum(one.aval.ndim == other.aval.ndim for one, other in zip(outside, inside, strict=True))


def _either(before: Value, after: Value) -> Value:
    data = before.data or after.data
    return dataclasses.replace(before, owners=frozenset() if data else before.owners | after.owners, data=data)


def _like(array: Any, kind: Value) -> Value:
    return dataclasses.replace(kind, array=array)


def _tally(entered: Iterable[Any], left: Iterable[Any], vanishing: float) -> Tally:
    zero = jnp.zeros((), hyper.arithmetic_dtype())
    entered, left = ([jnp.abs(jnp.asarray(x, zero.dtype)) for x in some if _is_floating(x)] for some in (entered, left))
    return Tally(
        input=functools.reduce(jnp.maximum, [jnp.max(x, initial=0) for x in entered], zero),
        output=functools.reduce(jnp.maximum, [jnp.max(x, initial=0) for x in left], zero),
        lost=sum([jnp.sum((x > 0) & (x <= vanishing), dtype=zero.dtype) for x in left], zero),
        nonzero=sum([jnp.sum(x != 0, dtype=zero.dtype) for x in left], zero),
    )


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)


def _over_rounds(of: Tally) -> Tally:
    largest = (jnp.max(x, axis=0, initial=0) for x in (of.input, of.output))
    return Tally(*largest, *(jnp.sum(x, axis=0) for x in (of.lost, of.nonzero)))


def _merged(one: Tallies, other: Tallies) -> Tallies:
    def both(a: Tally, b: Tally) -> Tally:
        return Tally(
            jnp.maximum(a.input, b.input), jnp.maximum(a.output, b.output), a.lost + b.lost, a.nonzero + b.nonzero
        )

    return {**one, **{name: both(one[name], found) if name in one else found for name, found in other.items()}}
