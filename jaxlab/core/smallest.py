"""Which numbers are the smallest: exactly so many, without sorting.

A sort needs an array whole and in one place. Here the number that divides the smallest from the rest is found by
halving the interval that it lies in, bit by bit, and all that is asked of the arrays is how many of their numbers lie
below: one reading a bit, on any mesh, over any number of leaves, with no memory of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from jaxlab.core import placement


def smallest(
    values: Mapping[str, Float[Array, "..."]],
    stacked: Mapping[str, Sequence[int]],
    share: Float[ArrayLike, ""],
    *,
    together: bool = False,
) -> dict[str, Bool[Array, "..."]]:
    r"""Where the smallest numbers are: :math:`\operatorname{round}(s N)` of N, of equal ones the first.

    Rounded to the nearest, halves to even, in the values' own precision. Signs of zero and of NaN count, as in IEEE's
    total order: a NaN without one is larger than all numbers, as those of ``jnp.abs`` are.

    Args:
      values: by name, float32 or float64, at most 2^32 (2^63) numbers.
      stacked: by name, the axes that stack arrays which are judged each on its own.
      share: :math:`s`, in [0, 1].
      together: all numbers are judged together, of equal ones those of the name that sorts first.

    >>> smallest({"a": jnp.array([3.0, 1.0, 2.0, 1.0])}, {"a": ()}, 0.5)["a"].tolist()
    [False, True, False, True]
    """
    if not values:
        return {}
    names = sorted(values)
    order = {name: _ordered(values[name]) for name in names}
    word = next(iter(order.values())).dtype
    over = {
        name: tuple(axis for axis in range(x.ndim) if together or axis not in stacked[name])
        for name, x in order.items()
    }
    groups = [names] if together else [[name] for name in names]

    def count(where: Mapping[str, Array]) -> dict[str, Array]:
        """How many in each array that is judged, an axis of length 1 for each that is summed."""
        return {name: jnp.sum(x, axis=over[name], keepdims=True, dtype=word) for name, x in where.items()}

    def totals(counts: Mapping[str, Array]) -> list[Array]:
        if together:
            return [sum((jnp.reshape(counts[name], ()) for name in names[1:]), jnp.reshape(counts[names[0]], ()))]
        return [counts[name] for name in names]

    def spread(found: Sequence[Array]) -> dict[str, Array]:
        return {name: own for group, own in zip(groups, found, strict=True) for name in group}

    sizes = [sum(math.prod(values[name].shape[axis] for axis in over[name]) for name in group) for group in groups]
    # From counts, which have the place that counts have where layouts are types.
    none = [0 * total for total in totals(count({name: x > 0 for name, x in order.items()}))]
    wanted = [
        zero + jnp.minimum(jnp.round(share * size).astype(word), word.type(size))
        for zero, size in zip(none, sizes, strict=True)
    ]

    def up_to(bounds: Sequence[Array]) -> list[Array]:
        limits = spread(bounds)
        return totals(count({name: order[name] <= limits[name] for name in names}))

    top = [~zero for zero in none]
    limits = spread(_least(up_to, wanted, none, top, np.iinfo(word).bits))

    # Of those that lie on the bound, the first so many as are missing.
    below = {name: order[name] < limits[name] for name in names}
    equal = {name: order[name] == limits[name] for name in names}
    on, left = count(equal), [want - total for want, total in zip(wanted, totals(count(below)), strict=True)]
    missing = []
    for group, rest in zip(groups, left, strict=True):
        for name in group:
            own = jnp.minimum(jnp.reshape(rest, on[name].shape) if together else rest, on[name])
            missing.append(own)
            rest = rest - jnp.reshape(own, jnp.shape(rest))  # noqa: PLW2901 - what is left for the next
    places = {name: _places(x, over[name]) for name, x in order.items()}

    def first(bounds: Sequence[Array]) -> list[Array]:
        return list(count({n: equal[n] & (places[n] < end) for n, end in zip(names, bounds, strict=True)}).values())

    most = [math.prod(values[name].shape[axis] for axis in over[name]) for name in names]
    start = [0 * own for own in missing]
    stop = [zero + word.type(size) for zero, size in zip(start, most, strict=True)]
    ends = _least(first, missing, start, stop, max(most).bit_length())
    return {n: below[n] | (equal[n] & (places[n] < end)) for n, end in zip(names, ends, strict=True)}


def _ordered(x: Float[Array, "..."]) -> Array:
    """Whole numbers in the order of floats."""
    word = jnp.uint32 if x.dtype.itemsize == 4 else jnp.uint64
    bits, sign = jax.lax.bitcast_convert_type(x, word), jnp.asarray(1 << (8 * x.dtype.itemsize - 1), word)
    return jnp.where(bits < sign, bits | sign, ~bits)


def _places(x: Array, axes: Sequence[int]) -> Array:
    """The number of each element among those that are judged with it, laid out as they are."""
    place = jnp.zeros(x.shape, x.dtype)
    for axis in axes:
        place = place * x.shape[axis] + jax.lax.broadcasted_iota(x.dtype, x.shape, axis)
    return placement.lies_with(x, None, place)


def _least(
    count: Callable[[Sequence[Array]], list[Array]],
    wanted: Sequence[Array],
    low: Sequence[Array],
    high: Sequence[Array],
    bits: int,
) -> list[Array]:
    """The least bounds, from ``low`` to ``high``, at which as many are counted as are wanted."""

    def halve(_: Array, ends: tuple[list[Array], list[Array]]) -> tuple[list[Array], list[Array]]:
        low, high = ends
        middle = [a + (b - a) // 2 for a, b in zip(low, high, strict=True)]
        enough = [found >= want for found, want in zip(count(middle), wanted, strict=True)]
        low = [jnp.where(yes, a, m + 1) for yes, a, m in zip(enough, low, middle, strict=True)]
        return low, [jnp.where(yes, m, b) for yes, m, b in zip(enough, middle, high, strict=True)]

    return jax.lax.fori_loop(0, bits, halve, ([*low], [*high]))[1]
