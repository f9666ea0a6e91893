"""What the members of a population start from: parameters by their keys, and what a task gives all of them alike."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxlab.core import parts
from jaxlab.sweep import memory
from jaxlab.train.run import run_keys
from jaxlab.train.stopwatch import Stopwatch

KEYS, KEYS_BYTES = 64, 2**26
"""Initial parameters that one call computes: so many, or fewer where they would take more bytes."""


class Begin(NamedTuple):
    """How a member's parameters are made: what its key decides, and what a task gives all members alike.

    Attributes:
      init: ``key -> params``.
      start, frozen: as a :class:`~jaxlab.tasks.Task` has them.
    """

    init: Callable[..., Any]
    start: PyTree
    frozen: PyTree


class Beginning(NamedTuple):
    """All that members start from; leaves with a leading axis of members, on the host (keys are typed)."""

    params: PyTree
    hyperparams: PyTree
    keys: Any

    def of(self, members: np.ndarray) -> "Beginning":
        """Those of some members, in this order."""
        return jax.tree.map(lambda leaf: leaf[members], self)


def outline(begin: Begin, hyperparams: PyTree, keys: Array) -> Beginning:
    """The shapes of what :func:`initial` returns; nothing is compiled."""
    one = jax.ShapeDtypeStruct((), keys.dtype)
    params, _ = jax.eval_shape(_start_of_one(begin.init), one, begin.start, begin.frozen)
    params, key = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*keys.shape, *leaf.shape), leaf.dtype), (params, one))
    return Beginning(params, hyperparams, key)


def initial(begin: Begin, hyperparams: PyTree, keys: Array, clock: Stopwatch) -> Beginning:
    """What all members start from: parameters that are trained and run key, by their keys.

    One distinct key after the other: compiled once, whatever the population's size.
    """
    kind = jax.random.key_impl(keys)
    words, which = np.unique(jax.random.key_data(keys), axis=0, return_inverse=True)
    given = begin.start, begin.frozen
    one = jax.eval_shape(_start_of_one(begin.init), jax.ShapeDtypeStruct((), keys.dtype), *given)
    at_once = max(1, min(KEYS, KEYS_BYTES // max(1, memory.of_arrays(one))))
    start, found = _start_of_some(begin.init, at_once), []
    for first in range(0, len(words), at_once):
        some = words[first : first + at_once]
        chunk = jnp.asarray(np.resize(some, (at_once, *words.shape[1:])))
        found.append(clock.run(start, jax.random.wrap_key_data(chunk, impl=kind), np.int32(len(some)), *given))
    params, run_keys = jax.tree.map(lambda *leaves: np.concatenate(leaves)[which.reshape(-1)], *found)
    return Beginning(params, hyperparams, jax.random.wrap_key_data(jnp.asarray(run_keys), impl=kind))


@functools.lru_cache(maxsize=64)
def _start_of_one(init: Callable[..., Any]) -> Any:
    def begin(key: Array, start: PyTree, frozen: PyTree) -> tuple[PyTree, Array]:
        params_key, run_key = run_keys(key)
        # What has the place of a leaf that init makes is an argument: as a constant it would lie in the program.
        params = parts.overlaid("start", init(params_key), start)
        trained = params if frozen is None else parts.without(params, frozen)
        return trained, jax.random.key_data(run_key)

    return jax.jit(begin)


@functools.lru_cache(maxsize=64)
def _start_of_some(init: Callable[..., Any], size: int) -> Any:
    """``(keys [size], count, start, frozen) -> `` what the first ``count`` of them start from, and zeros."""
    one = _start_of_one(init)

    def begin(keys: Array, count: Array, *given: PyTree) -> tuple[PyTree, Array]:
        def write(index: Array, found: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
            return jax.tree.map(lambda every, new: every.at[index].set(new), found, one(keys[index], *given))

        shapes = jax.eval_shape(one, keys[0], *given)
        return jax.lax.fori_loop(
            0, count, write, jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes)
        )

    return jax.jit(begin)
