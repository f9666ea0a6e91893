"""All parameters as one vector, for methods that form a matrix of them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree

MAX_PARAMETERS = 4096
"""The largest number of parameters whose dense matrices are formed: 64 MiB each in float32."""

DENSE = ("newton", "gauss_newton")
"""The optimizers that form them."""


@dataclasses.dataclass(frozen=True)
class Dense:
    """The leaves that have a gradient, flattened in full precision, and the way back.

    Attributes:
      updates: the gradients; None where there is none.
      params: the parameters, a tree of the same form.

    Raises:
      ValueError: more than :data:`MAX_PARAMETERS` parameters.

    >>> params = {"w": jnp.ones((1, 2), jnp.bfloat16), "b": jnp.zeros(())}
    >>> dense = Dense(params, params)
    >>> dense.vector(params).tolist()
    [0.0, 1.0, 1.0]
    >>> dense.parameters(jnp.arange(3.0))["w"]
    Array([[1, 2]], dtype=bfloat16)
    """

    updates: PyTree[Array]
    params: PyTree[Array]

    def __post_init__(self) -> None:
        if self.size > MAX_PARAMETERS:
            raise ValueError(
                f"the tree has {self.size} parameters: accepted are at most {MAX_PARAMETERS} (a dense matrix "
                f"of {self.size} x {self.size} would be formed); lbfgs takes any number"
            )

    @property
    def size(self) -> int:
        """The number of parameters that have a gradient."""
        return sum(g.size for g in self._leaves(self.updates) if g is not None)

    def vector(self, values: PyTree[Array]) -> Float[Array, " n"]:
        """A tree like the parameters, as one vector: without what has no gradient, on every device whole."""
        full = hyper.arithmetic_dtype()
        pairs = zip(self._leaves(self.updates), self._leaves(values), strict=True)
        parts = [jnp.ravel(_replicated(jnp.asarray(value, full))) for g, value in pairs if g is not None]
        return jnp.concatenate([jnp.zeros(0, full), *parts])

    def parameters(self, vector: Float[Array, " n"]) -> PyTree[Array]:
        """A point, typed like the parameters; what has no gradient keeps its value."""
        return self._tree(vector, like=self.params, absent=lambda p: p)

    def tangent(self, vector: Float[Array, " n"]) -> PyTree[Array]:
        """A direction, typed like the parameters; zero where there is no gradient."""
        return self._tree(vector, like=self.params, absent=lambda p: jax.tree.map(jnp.zeros_like, p))

    def update(self, vector: Float[Array, " n"]) -> PyTree[Array]:
        """An update, typed like the gradients; None where there is none."""
        return self._tree(vector, like=self.updates, absent=lambda g: g)

    def _tree(self, vector: Array, *, like: PyTree, absent: Any) -> PyTree:
        leaves, start = [], 0
        for g, partner in zip(self._leaves(self.updates), self._leaves(like), strict=True):
            if g is None:
                leaves.append(absent(partner))
                continue
            part = vector[start : start + g.size].reshape(g.shape).astype(partner.dtype)
            leaves.append(_placed_like(part, partner))
            start += g.size
        return jax.tree.structure(self.updates, is_leaf=tree.is_none).unflatten(leaves)

    def _leaves(self, values: PyTree) -> list[Any]:
        return jax.tree.structure(self.updates, is_leaf=tree.is_none).flatten_up_to(values)


def _replicated(x: Array) -> Array:
    """On explicit mesh axes a reshape must not mix what lies on different devices; elsewhere XLA moves it."""
    place = jax.typeof(x).sharding
    return jax.sharding.reshard(x, NamedSharding(place.mesh, P())) if _is_explicit(place) else x


def _placed_like(x: Array, like: Array) -> Array:
    place = jax.typeof(like).sharding
    return jax.sharding.reshard(x, place) if _is_explicit(place) else x


def _is_explicit(place: NamedSharding) -> bool:
    return AxisType.Explicit in place.mesh.axis_types
