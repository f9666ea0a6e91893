"""Hyperparameters are data: checked on the host where they are concrete, traced everywhere else.

A hyperparameter may arrive as a Python or NumPy number (then it is validated here, before anything is
traced) or as a tracer (then it is one leaf of a recipe that runs inside a compiled step, and its value
was validated when the recipe was first built on the host). Either way it leaves as a strongly typed
scalar of the arithmetic's precision, so a float, a NumPy scalar and a weakly typed array never make
three compilations of one program.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PyTree

Scalar = float | ArrayLike
"""A concrete or traced real number."""

Schedule = Callable[[ArrayLike], ArrayLike]
"""A function of the step: ``schedule(step) -> value``, elementwise, traceable in every number."""


class RunError(ValueError):
    """What a run met on its way and cannot go on with, such as a database that stays locked. A line for the user."""


_INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")


def arithmetic_dtype() -> np.dtype:
    """The dtype of all optimizer arithmetic: float32, or float64 under ``jax_enable_x64``."""
    return jax.dtypes.canonicalize_dtype(np.float64)


def number(name: str, value: Scalar, accepted: str = "(-inf, inf)") -> Float[Array, ""]:
    """Validates one hyperparameter and returns it as a scalar of :func:`arithmetic_dtype`.

    Args:
      name: what the user calls it; errors begin with it.
      value: a real number. A tracer is cast and otherwise taken on trust.
      accepted: an interval such as ``"[0, 1)"``; a round bracket excludes its end.

    Raises:
      TypeError: the value is no real number.
      ValueError: the value, as the arithmetic will see it, lies outside the interval.

    >>> float(number("b1", 0.5, "[0, 1)"))
    0.5
    >>> number("b1", 1.5, "[0, 1)")
    Traceback (most recent call last):
      ...
    ValueError: b1 = 1.5: accepted is a number in [0, 1)
    """
    if is_traced(value):
        if jnp.ndim(value):
            raise TypeError(f"{name} has shape {jnp.shape(value)}: accepted is one number in {accepted}")
        return jnp.asarray(value, arithmetic_dtype())
    dtype = getattr(value, "dtype", None) or np.asarray(value).dtype
    real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    if not real or np.ndim(value):
        raise TypeError(f"{name} = {value!r}: accepted is one number in {accepted}")
    with np.errstate(over="ignore"):  # What overflows becomes inf, and is judged as that.
        canonical: Any = np.asarray(value).astype(arithmetic_dtype())[()]
    # XLA flushes subnormal numbers to zero, so that is what they are judged as.
    tiny = abs(canonical) < np.finfo(arithmetic_dtype()).tiny
    if not _inside(0.0 if tiny else float(canonical), accepted):
        raise ValueError(f"{name} = {value!s}: accepted is a number in {accepted}")
    return canonical


def is_traced(value: Any) -> bool:
    """Whether a value is unknown yet, because a program is being traced."""
    return isinstance(value, Tracer)


def _inside(x: float, interval: str) -> bool:
    found = _INTERVAL.fullmatch(interval)
    assert found, interval
    opens, low, high, closes = found[1], float(found[2]), float(found[3]), found[4]
    above = x > low if opens == "(" else x >= low
    below = x < high if closes == ")" else x <= high
    return above and below and not math.isnan(x)


def number_or_schedule(name: str, value: Scalar | Schedule, accepted: str) -> Schedule:
    """A schedule as it is; a number, validated, as the schedule that always returns it."""
    if callable(value):
        return value
    constant = number(name, value, accepted)
    return lambda step: jnp.asarray(constant)


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Validates a static count (steps, members, a batch size): a Python or NumPy integer.

    Raises:
      TypeError: not an integer (a bool is none).
      ValueError: below ``at_least`` or above ``at_most``.
    """
    accepted = f"a whole number of at least {at_least}" + (f" and at most {at_most}" if at_most is not None else "")
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {value!r}: accepted is {accepted}")
    if value < at_least or (at_most is not None and value > at_most):
        raise ValueError(f"{name} = {value}: accepted is {accepted}")
    return int(value)


def one_number(name: str, value: Any) -> Float[Array, ""]:
    """A number that a program computes, such as a loss: of any value, not finite ones alone, but one and real.

    Raises:
      TypeError: several numbers, or none.

    >>> float(one_number("value", float("inf")))
    inf
    """
    dtype = getattr(value, "dtype", None) or np.asarray(value).dtype
    real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    if not real or np.ndim(value) or isinstance(value, list | tuple):
        raise TypeError(f"{name} = {value!r}: accepted is one number")
    return jnp.asarray(value, arithmetic_dtype())


def random_key(name: str, value: Any) -> Array:
    """Validates one key of ``jax.random``, typed or raw.

    Raises:
      TypeError: no key, or several.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    raw = dtype == np.uint32 and shape is not None and len(shape) == 1
    if not typed and not raw:
        raise TypeError(f"{name} = {value!r}: accepted is one key, such as jax.random.key(0)")
    return value


def function(name: str, value: Any) -> Callable[..., Any]:
    """Validates an extra argument that is to be called.

    Raises:
      TypeError: it cannot be.
    """
    if not callable(value):
        raise TypeError(f"{name} = {value!r}: accepted is a function, such as jaxlab.train.make_train_step passes")
    return value


def flag(name: str, value: Any) -> bool:
    """Validates a static choice between yes and no.

    Raises:
      TypeError: anything but a Python or NumPy bool. The text "no" would be a yes.

    >>> flag("nesterov", True)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {value!r}: accepted are True and False")
    return bool(value)


def one_of(name: str, value: Any, accepted: Iterable[str]) -> str:
    """Validates a name against those that exist, and suggests the nearest.

    Raises:
      ValueError: the name is unknown.

    >>> one_of("optimizer", "adma", ["adam", "sgd"])
    Traceback (most recent call last):
      ...
    ValueError: optimizer = 'adma': unknown, did you mean 'adam'? Accepted are: adam, sgd
    """
    names = list(accepted)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"{name} = {value!r}: unknown{hint} Accepted are: {', '.join(names)}")


def canonical(hyperparams: PyTree) -> PyTree[Array]:
    """Every leaf as a fresh, strongly typed device array of :func:`arithmetic_dtype`.

    Leading axes (the members of a population) are kept. The arrays are copies: a compiled step may
    take them as its own and overwrite them.

    Raises:
      TypeError: a leaf is no real number; the leaf is named. Static choices (flags, names, dtypes)
        belong into ``build``, not among the hyperparameters.
    """

    def one(path: tuple[Any, ...], leaf: Any) -> Array:
        dtype = getattr(leaf, "dtype", None) or np.asarray(leaf).dtype
        numeric = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
        if not numeric:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise TypeError(
                f"hyperparameter {name} = {leaf!r}: accepted is a real number; a static choice goes into build"
            )
        return jnp.array(leaf, dtype=arithmetic_dtype(), copy=True)

    return jax.tree_util.tree_map_with_path(one, hyperparams)


def member(hyperparams: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The hyperparameters of one member of a population whose leaves have a leading axis."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], dict(hyperparams))
