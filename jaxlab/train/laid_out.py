"""A function of a state, compiled for the devices that the state lies on."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import PyTree

from jaxlab.core import tree
from jaxlab.sharding.layout import Layout


class LaidOut:
    """A step or a run that is compiled for a layout at its first call.

    The state's layout afterwards is the one that it came with, whatever the compiler would have liked. The mesh is set
    while the function is traced, for what asks for it: :func:`~jaxlab.sharding.constrain`, stacks of matrices.

    Args:
      function: ``(state, inputs) -> (state, metrics)``.
      layout: of the state.
      put: lays the inputs out.
    """

    def __init__(
        self, function: Callable[[Any, Any], tuple[Any, Any]], layout: Layout, put: Callable[[PyTree], PyTree]
    ) -> None:
        self.function, self.layout, self.put = function, layout, put
        self._compiled: dict[Any, Any] = {}

    def __call__(self, state: Any, inputs: PyTree) -> tuple[Any, Any]:
        """The new state and the metrics; the state that was given is used up."""
        with jax.set_mesh(self.layout.mesh):
            return self._for(state)(state, self.put(inputs))

    def lower(self, state: Any, inputs: PyTree) -> jax.stages.Lowered:
        """As ``jax.jit(...).lower``, for states that are real or abstract with their shardings."""
        with jax.set_mesh(self.layout.mesh):
            return self._for(state).lower(state, inputs)

    def _for(self, state: Any) -> Any:
        leaves, treedef = jax.tree.flatten(state)
        if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in leaves):
            raise ValueError("the state was given away to a step before: accepted is the state that the step returned")
        places = tuple(getattr(leaf, "sharding", None) for leaf in leaves)
        if (treedef, places) not in self._compiled:
            specs = [self._spec(name, place) for name, place in zip(tree.names(state), places, strict=True)]
            self._compiled[treedef, places] = jax.jit(
                self._automatic(treedef.unflatten(specs)),
                donate_argnums=0,
                out_shardings=(treedef.unflatten(places), self.layout.everywhere),
            )
        return self._compiled[treedef, places]

    def _automatic(self, specs: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
        """The function, inside of which all mesh axes are automatic.

        Few models and optimizers say what explicit axes want to know: how words are looked up that are spread over
        devices, where the product of two matrices lies that are both cut along the axis that is summed.
        """
        if AxisType.Explicit not in self.layout.mesh.axis_types:
            return self.function
        free: Any = jax.sharding.auto_axes(self.function, out_sharding=(specs, PartitionSpec()))
        return free

    def _spec(self, name: str, place: Any) -> PartitionSpec:
        if not isinstance(place, jax.sharding.NamedSharding):
            raise ValueError(
                f"state {name!r} lies on {place}, not on the layout's mesh, {self.layout.axes}: accepted is a state "
                "from init_state or init_run with this layout"
            )
        if place.mesh != self.layout.mesh:
            raise ValueError(
                f"state {name!r} lies on another mesh, {dict(place.mesh.shape)}, than the layout's, "
                f"{self.layout.axes}, or on other devices or axis types: accepted is a state from init_state or "
                "init_run with this layout"
            )
        return place.spec


def create(make: Callable[..., Any], places_of: Callable[[Any], Any], layout: Layout, *inputs: Any) -> Any:
    """What ``make(*inputs)`` returns, each device making its own part: nothing is ever whole on one of them.

    Args:
      make: a pure function.
      places_of: the shardings of its result, from the result's shapes.
      layout: whose mesh is set meanwhile.
      inputs: of ``make``.
    """
    places = places_of(jax.eval_shape(make, *inputs))
    with jax.set_mesh(layout.mesh):
        return jax.jit(make, out_shardings=places)(*inputs)


def abstract(make: Callable[..., Any], places_of: Callable[[Any], Any], *inputs: Any) -> Any:
    """What :func:`create` would return, as shapes with their shardings."""
    shapes = jax.eval_shape(make, *inputs)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), shapes, places_of(shapes)
    )
