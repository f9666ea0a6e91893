"""What a program costs, compiling and running apart."""

import functools
import time
from typing import Any

import jax

SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_default_device")
"""Of JAX, on which it depends what a function compiles to."""


class Stopwatch:
    """Runs jitted functions and keeps apart what was spent in compiling and in running.

    Attributes:
      compiling: seconds of tracing and compiling.
      running: seconds of running.
      compilations: executables compiled. One that exists, of the same function for arguments of the same
        shapes, dtypes and shardings under the same :data:`SETTINGS`, is used again and not counted.

    >>> clock = Stopwatch()
    >>> double = jax.jit(lambda x: 2 * x)
    >>> [float(clock.run(double, x)) for x in (1.0, 2.0, 3.0)], clock.compilations
    ([2.0, 4.0, 6.0], 1)
    """

    def __init__(self) -> None:
        self.compiling = 0.0
        self.running = 0.0
        self.compilations = 0

    def run(self, function: Any, *arguments: Any) -> Any:
        """The function's result, computed."""
        return self.call(self.compile(function, *arguments), *arguments)

    def compile(self, function: Any, *arguments: Any) -> Any:
        """The executable of a jitted function for such arguments: arrays, or ``jax.ShapeDtypeStruct`` of them."""
        leaves, structure = jax.tree.flatten(arguments)
        missed, start = _executable.cache_info().misses, time.perf_counter()
        found = _executable(function, structure, tuple(map(_abstract, leaves)), tuple(map(_setting, SETTINGS)))
        self.compiling += time.perf_counter() - start
        self.compilations += _executable.cache_info().misses - missed
        return found

    def call(self, executable: Any, *arguments: Any) -> Any:
        """An executable's result, computed."""
        start = time.perf_counter()
        result = jax.block_until_ready(executable(*arguments))
        self.running += time.perf_counter() - start
        return result


# Bounded: an executable, and what its function holds, live as long as they are here.
@functools.lru_cache(maxsize=128)
def _executable(
    function: Any, structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...], _settings: tuple[Any, ...]
) -> Any:
    return function.lower(*jax.tree.unflatten(structure, leaves)).compile()


def _setting(name: str) -> Any:
    # As it is here and now: a context may have changed it.
    return getattr(jax.config, name)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    kind = jax.typeof(leaf)
    placed = leaf.sharding if isinstance(leaf, jax.Array) and leaf.committed else None
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=placed, weak_type=kind.weak_type)
