"""Several transforms side by side, each for its own leaves."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import tree

Labels = tree.Rules[str] | Callable[[str, Any], str]
"""Which transform a leaf goes to: ordered rules over names, or a function of a leaf's name and the leaf."""


class Routes(tuple[tuple[str, str], ...]):
    """``(name of a leaf, label)`` pairs: a part of a state's structure, not of its arrays."""

    __slots__ = ()


jax.tree_util.register_static(Routes)


class PartitionState(NamedTuple):
    """The state of a partition.

    Attributes:
      routes: which leaf goes where, :class:`Routes`.
      inner: the state of each label's transform, which knows its own leaves alone.
    """

    routes: PyTree
    inner: PyTree


def partition(
    transforms: Mapping[str, optax.GradientTransformation | None], labels: Labels
) -> optax.GradientTransformationExtraArgs:
    """Each leaf to the transform of its label.

    A transform sees its own leaves as a dict by name: names stay what they are, rules over names mean the same
    inside, whatever containers the tree is made of. Of the extra arguments, trees and functions of the parameters
    are cut to its leaves, too: for its ``value_fn`` the other leaves stand still.

    Args:
      transforms: by label. None freezes: the update is zero, and there is no state.
      labels: for each leaf one of these: ``(regular expression, label)`` rules, or ``(name, leaf) -> label``.

    Returns:
      A transform. State: that of the parts.

    Raises:
      ValueError: no transforms; from ``init``, a leaf whose label is none of the transforms', or that no rule matches,
        or two leaves of one name.
      TypeError: a part that is no transform.

    >>> tx = partition({"fast": optax.sgd(1.0), "frozen": None}, [("bias", "frozen"), ("", "fast")])
    >>> params = {"bias": jnp.ones(2), "kernel": jnp.ones(2)}
    >>> updates, state = tx.update(params, tx.init(params), params)
    >>> updates["bias"].tolist(), updates["kernel"].tolist(), state.routes
    ([0.0, 0.0], [-1.0, -1.0], (('bias', 'frozen'), ('kernel', 'fast')))
    """
    if not transforms:
        raise ValueError("transforms = {}: accepted is at least one label with its transform, or None to freeze")
    for label, transform in transforms.items():
        if transform is not None and not isinstance(transform, optax.GradientTransformation):
            raise TypeError(f"transforms[{label!r}] = {transform!r}: accepted are a transform, and None to freeze")
    parts = {name: optax.with_extra_args_support(tx) for name, tx in transforms.items() if tx is not None}

    def init(params: PyTree) -> PartitionState:
        routes = _routes(labels, params, tuple(transforms))
        own = {label: _only(params, dict(routes), label) for label in parts}
        return PartitionState(routes, {label: tx.init(own[label]) for label, tx in parts.items()})

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, PartitionState]:
        routes, results, inner = dict(state.routes), {}, {}
        for label, tx in parts.items():
            own = None if params is None else _only(params, routes, label)
            seen = _seen_by(label, routes, params, extra)
            part, inner[label] = tx.update(_only(updates, routes, label), state.inner[label], own, **seen)
            results.update(cast("dict[str, Any]", part))

        def result(path: Any, g: Any) -> Any:
            name = tree.path_name(path)
            return results[name] if routes[name] in parts else jnp.zeros_like(g)

        return jax.tree_util.tree_map_with_path(result, updates), PartitionState(state.routes, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _routes(labels: Labels, params: PyTree, known: Sequence[str]) -> Routes:
    names, leaves = tree.names(params), jax.tree.leaves(params)
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"params have several leaves of the names {twice}: accepted is a name for each leaf")
    if callable(labels):
        chosen = [labels(name, leaf) for name, leaf in zip(names, leaves, strict=True)]
    else:
        chosen = tree.match_rules(labels, names)
    for name, label in zip(names, chosen, strict=True):
        if label not in known:
            raise ValueError(f"leaf {name!r} has the label {label!r}: accepted are {', '.join(map(repr, known))}")
    return Routes(zip(names, chosen, strict=True))


def _only(values: PyTree, routes: Mapping[str, str], label: str) -> dict[str, Any]:
    """The leaves of one label by name; None where one is absent."""
    named = zip(tree.names(values, is_leaf=tree.is_none), jax.tree.leaves(values, is_leaf=tree.is_none), strict=True)
    return {name: leaf for name, leaf in named if routes.get(name) == label}


def _seen_by(label: str, routes: Mapping[str, str], params: PyTree | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The extra arguments as functions of the label's own leaves."""
    only = functools.partial(_only, routes=routes, label=label)

    def filled(own: Mapping[str, Any], others: PyTree) -> PyTree:
        return jax.tree_util.tree_map_with_path(lambda path, leaf: own.get(tree.path_name(path), leaf), others)

    def of_own(function: Callable[..., Any], result: Callable[[Any], Any]) -> Callable[..., Any]:
        return lambda own, *rest: result(function(filled(own, params), *rest))

    seen = dict(extra)
    if "grad" in extra:
        seen["grad"] = only(extra["grad"])
    if params is None:
        return seen
    for name in ("value_fn", "residual_fn"):
        if name in extra:
            seen[name] = of_own(extra[name], lambda value: value)
    for name in ("grad_fn", "sampled_grad_fn"):
        if name in extra:
            seen[name] = of_own(extra[name], only)
    if "per_example_grad_fn" in extra:

        def per_example_grad_fn(own: Mapping[str, Any], each: Any = None, microbatch: int | None = None) -> PyTree:
            function, point = extra["per_example_grad_fn"], filled(own, params)
            if each is None:
                return only(function(point))
            return function(point, each=lambda gradient: each(only(gradient)), microbatch=microbatch)

        seen["per_example_grad_fn"] = per_example_grad_fn
    if "hvp_fn" in extra:

        def hvp_fn(own: Mapping[str, Any], vector: Mapping[str, Any]) -> PyTree:
            still = jax.tree.map(jnp.zeros_like, params)
            return only(extra["hvp_fn"](filled(own, params), filled(vector, still)))

        seen["hvp_fn"] = hvp_fn
    return seen
