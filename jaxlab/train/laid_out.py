"""A function of a state, compiled for the devices that the state lies on."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

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
        kind = jax.tree.structure(state)
        if kind not in self._compiled:
            places = jax.tree.map(self._place, state)
            self._compiled[kind] = jax.jit(
                self.function, donate_argnums=0, out_shardings=(places, self.layout.everywhere)
            )
        return self._compiled[kind]

    def _place(self, leaf: Any) -> Any:
        sharding = getattr(leaf, "sharding", None)
        if not isinstance(sharding, jax.sharding.NamedSharding) or sharding.mesh != self.layout.mesh:
            raise ValueError(
                f"the state lies on {sharding}, not on the layout's mesh, {self.layout.axes}: accepted is a state from "
                "init_state(..., layout=layout)"
            )
        return sharding


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
