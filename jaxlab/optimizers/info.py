"""What the lab knows of an optimizer: its factory, its source, what is worth searching, what it costs."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from jaxlab.core.space import SearchSpace

STATIC = frozenset(
    {
        *("nesterov", "centered", "decay_mask", "relative_step", "min_factored", "layer_axes", "state_dtype"),
        *("memory_size", "line_search"),
    }
)
"""Parameters of the factories that are structure, never traced. All others are numbers."""


@dataclasses.dataclass(frozen=True)
class OptimizerInfo:
    """What the lab knows of an optimizer.

    Attributes:
      name: as in ``get(name)``.
      factory: ``factory(learning_rate, ...) -> GradientTransformationExtraArgs``.
      reference: where it was published.
      search_space: hyperparameters worth searching, with the ranges that papers used.
      needs_params: whether ``update`` must be given the parameters.
      needs: extra arguments without which ``update`` refuses, such as ``value_fn``; the training step of
        :func:`~jaxlab.train.make_train_step` passes all that there are.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    reference: str
    search_space: SearchSpace
    needs_params: bool = False
    needs: tuple[str, ...] = ()

    @functools.cached_property
    def hyperparams(self) -> Mapping[str, float | None]:
        """The numbers it takes besides the learning rate, with their defaults (None: off by default)."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in STATIC | {"learning_rate"}}

    @functools.cached_property
    def static(self) -> tuple[str, ...]:
        """The parameters that are structure: one compiled program for each of their values."""
        return tuple(name for name in inspect.signature(self.factory).parameters if name in STATIC)

    @functools.cached_property
    def state_bytes_per_param(self) -> float:
        """Bytes of float32 state for each parameter of a large matrix at the defaults, counted from ``init``."""
        matrix = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
        state = jax.eval_shape(self.factory(1e-3).init, matrix)
        arrays = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in arrays) / math.prod(matrix.shape)
