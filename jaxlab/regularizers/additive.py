"""The mechanism of every regularizer that adds a function of the parameters to the update."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, PyTree

from jaxlab.core import hyper, tree

Strength = hyper.Scalar | tree.Rules[hyper.Scalar]
"""One number of at least 0, or ordered ``(regular expression, number)`` rules over the names of leaves."""


def add_term(
    term: Callable[[Float[Array, "..."]], Float[Array, "..."]], strength: Strength, mask: tree.Mask = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds a function of the parameters to the update, :math:`u + \lambda f(\theta)`, where the mask says so.

    Args:
      term: :math:`f`, of one leaf, in float32 (float64 under ``jax_enable_x64``).
      strength: :math:`\lambda`, for all leaves or by rules.
      mask: which leaves, see :data:`jaxlab.core.tree.Mask`. The others' updates pass as they are.

    Returns:
      A transform without state, which needs the parameters. Its updates have the dtypes of those it is
      given; ``None`` stays ``None``.

    Raises:
      ValueError: a negative or non-finite strength, a bad regular expression; from ``init`` and ``update``,
        a leaf that rules or mask do not cover; from ``update``, parameters that are missing.
      TypeError: a strength that is no number; an update or parameter that is no real floating array.
    """
    rules = as_rules(strength)
    tree.check_mask(mask)

    def init(params: PyTree) -> optax.EmptyState:
        amounts_like(params, rules, mask)  # what does not fit is said now, not in the first step
        return optax.EmptyState()

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        require_params(params)

        def add(u: ArrayLike | None, p: Any, amount: hyper.Scalar | None) -> ArrayLike | None:
            if u is None or amount is None:
                return u
            require_real(u, p)
            full = hyper.arithmetic_dtype()
            total = jnp.asarray(u, full) + jnp.asarray(amount) * term(jnp.asarray(p, full))
            return total.astype(jnp.result_type(u))

        amounts = amounts_like(params, rules, mask)
        return jax.tree.map(add, updates, params, amounts, is_leaf=tree.is_none), state

    return optax.GradientTransformationExtraArgs(init, update)


def penalty(
    term: Callable[[Float[Array, "..."]], Float[Array, ""]], strength: Strength, mask: tree.Mask, params: PyTree
) -> Float[Array, ""]:
    r"""The sum over the leaves, :math:`\sum_i \lambda_i f(\theta_i)`: what the regularizer adds to the loss.

    Arguments and errors as in :func:`add_term`; ``term`` gives one number for a leaf.
    """
    full = hyper.arithmetic_dtype()
    amounts = amounts_like(params, as_rules(strength), mask)
    for leaf in jax.tree.leaves(params):
        _require_floating("a parameter", leaf)
    parts = jax.tree.map(
        lambda p, amount: 0 if amount is None else amount * term(jnp.asarray(p, full)), params, amounts
    )
    return jnp.asarray(sum(jax.tree.leaves(parts)), full)


def as_rules(strength: Strength, name: str = "strength", accepted: str = "[0, inf)") -> list[tuple[str, hyper.Scalar]]:
    """A strength, validated, as rules: a number is the rule that fits every leaf."""
    if not isinstance(strength, Sequence):
        return [("", hyper.number(name, strength, accepted))]
    rules = tree.check_rules(name, strength, "one number and (regular expression, number) rules")
    return [(pattern, hyper.number(f"{name}[{pattern!r}]", amount, accepted)) for pattern, amount in rules]


def amounts_like(params: PyTree, rules: tree.Rules[hyper.Scalar], mask: tree.Mask) -> PyTree:
    """The strength of each leaf, in a tree like ``params``: a number, or None where the mask leaves it out."""
    chosen = tree.resolve_mask(mask, params)
    named = zip(tree.names(params), chosen, strict=True)
    amounts = iter(tree.match_rules(rules, [name for name, keep in named if keep]))
    return jax.tree.unflatten(jax.tree.structure(params), [next(amounts) if keep else None for keep in chosen])


def require_params(params: PyTree | None) -> None:
    """Refuses an ``update`` without parameters."""
    if params is None:
        raise ValueError("params = None: a regularizer needs the parameters, call tx.update(updates, state, params)")


def require_real(update: Any, parameter: Any) -> None:
    """Refuses integers and complex numbers, and shapes that differ, which would be broadcast."""
    _require_floating("an update", update)
    _require_floating("a parameter", parameter)
    if jnp.shape(update) != jnp.shape(parameter):
        raise ValueError(
            f"an update has shape {jnp.shape(update)}, its parameter {jnp.shape(parameter)}: accepted are equal shapes"
        )


def _require_floating(role: str, leaf: Any) -> None:
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        raise TypeError(f"{role} has dtype {jnp.result_type(leaf)}: accepted are real floating arrays")
