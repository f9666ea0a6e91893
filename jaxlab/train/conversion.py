"""What is made of a saved state where the wanted one has another policy: other dtypes, parts that come or go."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxlab.core import tree

PARAMS, LOST = "params", "compensation"


def place_of(leaf: Any) -> Any:
    """Where a leaf lies or shall lie; JAX's default device where it does not say."""
    own = getattr(leaf, "sharding", None)
    return jnp.zeros(()).sharding if own is None else own


def as_saved(saved: Mapping[str, Any], pattern: str) -> dict[str, jax.ShapeDtypeStruct]:
    """Those leaves whose names a regular expression is found in, wanted as they were saved; no random keys.

    >>> as_saved({"w": [[2], "float32"], "key": [[], "key<fry>"]}, "")
    {'w': ShapeDtypeStruct(shape=(2,), dtype=float32)}
    """
    arrays = {name: form for name, form in saved.items() if not form[1].startswith("key<")}
    flags = tree.match_rules([(pattern, True), ("", False)], arrays)
    return {
        name: jax.ShapeDtypeStruct(tuple(shape), jax.dtypes.canonicalize_dtype(dtype))
        for (name, (shape, dtype)), flag in zip(arrays.items(), flags, strict=True)
        if flag
    }


def to_read(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """Which arrays are read, in which dtype and to where.

    Args:
      saved: shape and dtype by name, as :class:`~jaxlab.train.form.Form` has them.
      wanted: leaves by name.
    """
    read = {name: _abstract(leaf, leaf.dtype) for name, leaf in wanted.items() if name in saved and leaf.size}
    for own, lost in _kahan(saved, wanted):
        if lost in saved:
            read[lost] = _abstract(wanted[own], wanted[own].dtype)
        else:
            read[own] = _abstract(wanted[own], jax.dtypes.canonicalize_dtype(saved[own][1]))
    return read


def completed(read: Mapping[str, Array], saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Array]:
    """All leaves that are wanted, from those that were read.

    What begins: a loss scale and the decay of an average with the values of ``wanted``, an average at the parameters,
    a compensation at zero. Between compensated parameters and those of higher precision nothing is lost.

    Raises:
      ValueError: a value that begins and of which ``wanted`` has the shape alone; a number that is too large for the
        dtype that is wanted.
    """
    full = dict(read)
    for own, lost in _kahan(saved, wanted):
        if lost in saved:
            full[own] = read[own] + full.pop(lost)
        else:
            full[own] = jax.device_put(read[own].astype(wanted[own].dtype), place_of(wanted[own]))
            rest = (read[own] - full[own].astype(read[own].dtype)).astype(wanted[lost].dtype)
            full[lost] = jax.device_put(rest, place_of(wanted[lost]))
    for name in sorted(wanted.keys() & saved.keys() & full.keys()):
        if str(full[name].dtype) == "float16" != saved[name][1] and not bool(jnp.all(jnp.isfinite(full[name]))):
            raise ValueError(
                f"{name!r} holds what float16 does not, numbers beyond 65504, or such as are not finite: accepted is "
                f"{saved[name][1]}"
            )
    for name in sorted(wanted.keys() - full.keys()):
        full[name] = _begun(name, wanted[name], full)
    return full


def _begun(name: str, leaf: Any, full: Mapping[str, Array]) -> Array:
    average = f"ema/{PARAMS}"
    if not leaf.size or name.partition("/")[0] == LOST:
        value: Any = jnp.zeros(leaf.shape, leaf.dtype)
    elif name.startswith(average):
        # A copy, for a state is given away as a whole.
        value = jnp.array(full[PARAMS + name.removeprefix(average)], leaf.dtype, copy=True)
    elif isinstance(leaf, jax.ShapeDtypeStruct):
        raise ValueError(f"{name!r} is in no checkpoint and like has its shape alone: accepted is a number there")
    else:
        value = jnp.array(leaf, copy=True)
    return jax.device_put(value, place_of(leaf))


def _kahan(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters, and their compensations, that change dtype while the compensation comes or goes."""
    pairs = [(own, LOST + own.removeprefix(PARAMS)) for own in wanted if own.partition("/")[0] == PARAMS]
    return [
        (own, lost)
        for own, lost in pairs
        if own in saved and (lost in saved) != (lost in wanted) and saved[own][1] != str(wanted[own].dtype)
    ]


def _abstract(leaf: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=place_of(leaf))
