"""Constraints: transforms that end every step inside a set."""

from collections.abc import Callable, Mapping
from typing import Any

import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.regularizers.additive import Strength, amounts_like, as_rules, require_params
from jaxlab.regularizers.proximal import land


def project(
    onto: Callable[..., Float[Array, "..."]],
    bounds: Mapping[str, tuple[Strength, str]],
    mask: tree.Mask = None,
    check: Callable[..., None] = lambda params, *amounts: None,
) -> optax.GradientTransformationExtraArgs:
    r"""Projects onto a set after every step, :math:`\theta_t = P(\theta_{t-1} + u_t)`.

    It stands last in a chain, where the update is final. A step that ends inside the set passes to the bit.

    Args:
      onto: :math:`P`, ``(x, *bounds) -> z`` of one leaf in float32 (float64 under ``jax_enable_x64``).
      bounds: name -> (number or rules, accepted interval), in the order that ``onto`` takes them.
      mask: which leaves, see :data:`jaxlab.core.tree.Mask`. The others' updates pass as they are.
      check: ``(params, *amounts)``, called by ``init``: raises for what does not fit the parameters.

    Returns:
      A transform without state, which needs the parameters. Its updates have the dtypes of those it is
      given, and a parameter obeys the constraint to the rounding of its own dtype and of the update's.

    Raises:
      ValueError: a bound outside its interval, a bad mask; from ``update``, parameters that are missing.
      TypeError: a bound that is no number; an update or parameter that is no real floating array.
    """
    rules = [as_rules(value, name, accepted) for name, (value, accepted) in bounds.items()]

    def amounts(params: PyTree) -> list[PyTree[hyper.Scalar]]:
        return [amounts_like(params, one, mask) for one in rules]

    def init(params: PyTree) -> optax.EmptyState:
        check(params, *amounts(params))
        return optax.EmptyState()

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        require_params(params)
        return land(onto, updates, params, *amounts(params)), state

    return optax.GradientTransformationExtraArgs(init, update)
