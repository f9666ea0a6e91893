"""What the lab knows of an optimizer: its factory, its source, what is worth searching, what it costs."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxlab.core.cost import bytes_of
from jaxlab.core.space import SearchSpace
from jaxlab.optimizers.describe import describe

STATIC = frozenset(
    {
        *("nesterov", "centered", "decay_mask", "relative_step", "min_factored", "layer_axes", "state_dtype"),
        *("memory_size", "line_search"),
        *("layouts", "fallback", "coefficients", "steps", "scaling", "compute_dtype"),
        *("use_bias_correction", "safeguard_warmup", "layerwise", "use_fstar"),
        *("estimator", "spatial_average"),
        *("graft", "root", "refresh", "block_size", "max_size", "whiten", "one_sided"),
    }
)
"""Parameters of the factories that are structure, never traced. All others are numbers."""


class StepCost(NamedTuple):
    """What an optimizer's step costs for each parameter of a large matrix, at the defaults.

    Attributes:
      state_bytes: of float32 state.
      flops: floating-point operations; None where the backend does not count.
      least_bytes: parameter, gradient and state read once, update and state written once; None likewise.
      calls: how often a step calls the functions that it needs, such as ``hvp_fn``: their cost comes on top.
    """

    state_bytes: float
    flops: float | None
    least_bytes: float | None
    calls: Mapping[str, int]


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
      caveat: where it does less than others, in the words of those who made or studied it: a sentence for a page on
        which it falls short.
      measured_on: the matrix that its costs are measured on: smaller where no large one is accepted.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    reference: str
    search_space: SearchSpace
    needs_params: bool = False
    needs: tuple[str, ...] = ()
    caveat: str = ""
    measured_on: tuple[int, int] = (1024, 1024)

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
        return bytes_of([leaf for leaf in jax.tree.leaves(state) if leaf.ndim]) / matrix.size

    @functools.cached_property
    def cost(self) -> StepCost:
        """The cost of a step, measured by :func:`~jaxlab.optimizers.describe.describe`; compiles once, then remembers.

        >>> from jaxlab import optimizers
        >>> cost = optimizers.get("momentum").cost
        >>> cost.state_bytes, round(cost.flops), round(cost.least_bytes)
        (4.0, 3, 16)
        """
        found = describe(self.factory(1e-3), jax.ShapeDtypeStruct(self.measured_on, jnp.float32))

        def each(total: float | None) -> float | None:
            return None if total is None else total / found.params

        return StepCost(
            state_bytes=self.state_bytes_per_param,
            flops=each(found.cost.flops),
            least_bytes=each(found.cost.least_bytes),
            calls=found.calls,
        )
