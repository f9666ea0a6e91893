"""What the lab knows of a modifier: its factory, its source, what it needs."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping

import optax

STATIC = frozenset(
    {
        *("inner", "magnitude", "depths", "transforms", "labels", "axis", "mask", "decay_mask", "layer_axes"),
        *("roles", "kind", "debias", "microbatch", "state_dtype", "scope", "layouts"),
    }
)
"""Parameters of the factories that are structure, never traced. All others are numbers."""


@dataclasses.dataclass(frozen=True)
class ModifierInfo:
    """What the lab knows of a modifier.

    Attributes:
      name: as in ``get(name)``.
      factory: ``factory(inner, ...) -> GradientTransformationExtraArgs`` around any optax optimizer.
      reference: where it was published.
      needs_params: whether ``update`` must be given the parameters, whatever it wraps.
      needs: extra arguments without which ``update`` refuses, such as ``value``; the training step of
        :func:`~jaxlab.train.make_train_step` passes all that there are.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    reference: str
    needs_params: bool = False
    needs: tuple[str, ...] = ()

    @functools.cached_property
    def hyperparams(self) -> Mapping[str, float | None]:
        """The numbers it takes, which may be traced, with their defaults; None for what must be given or is off."""
        parameters = inspect.signature(self.factory).parameters.values()
        numbers = [p for p in parameters if p.name not in STATIC]
        return {p.name: None if p.default is p.empty else p.default for p in numbers}

    @functools.cached_property
    def static(self) -> tuple[str, ...]:
        """The parameters besides ``inner`` that are structure: one compiled program for each of their values."""
        return tuple(name for name in inspect.signature(self.factory).parameters if name in STATIC - {"inner"})
