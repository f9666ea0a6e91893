"""What modifiers are made of: a change before an optimizer, a change after it, a choice between two results."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.chain import chain
from jaxlab.core.partition import PartitionState
from jaxlab.regularizers.additive import Strength, amounts_like, as_rules
from jaxlab.schedules.learning_rate import effective_learning_rate

RateOf = Callable[[str], Array | None]
"""The learning rate of a leaf by its name, see :func:`rates`."""


class ThenState(NamedTuple):
    """Attributes: ``inner``, the optimizer's state; ``change``, that of what changes its steps."""

    inner: optax.OptState
    change: optax.OptState


class UnfreezingState(NamedTuple):
    """The state of :func:`~jaxlab.modifiers.gradual_unfreezing`.

    Attributes:
      count: steps taken.
      begun: which groups the next step trains.
      inner: the groups' state.
    """

    count: Int32[Array, ""]
    begun: dict[str, Bool[Array, ""]]
    inner: PartitionState


def full_precision(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """An optimizer that sees parameters and gradients in float32 (float64 under ``jax_enable_x64``).

    Every modifier puts it around what it is given: an optax optimizer of bfloat16 parameters would otherwise
    keep a bfloat16 state, whose types the first float32 gradient changes.

    Raises:
      TypeError: what is no transform.
    """
    if not isinstance(inner, optax.GradientTransformation):
        raise TypeError(f"inner = {inner!r}: accepted is an optimizer, as in cautious(jaxlab.optimizers.adam(1e-3))")
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> optax.OptState:
        return inner.init(tree.cast(params, hyper.arithmetic_dtype()))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.OptState]:
        full = hyper.arithmetic_dtype()
        return inner.update(tree.cast(updates, full), state, tree.cast(params, full), **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def before(
    change: optax.GradientTransformation, inner: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """An optimizer whose gradients are changed first. The dtypes of its updates are those of the gradients."""
    return chain(change, full_precision(inner))


def after(
    inner: optax.GradientTransformation, change: optax.GradientTransformationExtraArgs, *, needs_rate: str = ""
) -> optax.GradientTransformationExtraArgs:
    """An optimizer whose finished steps are changed. The dtypes of its updates are those of the gradients.

    Args:
      inner: any optax optimizer; its updates are steps, already negative.
      change: a transform of these steps. Its extra arguments are those of ``update`` and ``raw``, the gradient
        that ``inner`` was given, ``rate``, the learning rate in its state (None if it keeps none), and ``rate_of``,
        that of a leaf by its name, see :func:`rates`.
      needs_rate: why the learning rate is needed, in a few words, where it is.

    Raises:
      ValueError: from ``init``, an ``inner`` that keeps no learning rate where one is needed.
      TypeError: an ``inner`` that is no transform.
    """
    inner = full_precision(inner)

    def init(params: PyTree) -> ThenState:
        state = inner.init(params)
        if needs_rate and effective_learning_rate(state) is None:
            raise ValueError(
                f"inner keeps no learning rate in its state, and {needs_rate}: accepted are jaxlab's optimizers, or "
                "a chain that ends in jaxlab.schedules.scale_by_learning_rate(learning_rate)"
            )
        return ThenState(state, change.init(params))

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, ThenState]:
        full = tree.cast(updates, hyper.arithmetic_dtype())
        steps, inner_state = inner.update(full, state.inner, params, **extra)
        known = {"raw": full, "rate": effective_learning_rate(inner_state), "rate_of": rates(inner_state)}
        changed, change_state = change.update(steps, state.change, params, **(extra | known))
        return tree.cast_like(changed, updates), ThenState(inner_state, change_state)

    return optax.GradientTransformationExtraArgs(init, update)


def raw_gradient(steps: PyTree, params: PyTree | None, t: Array, raw: PyTree) -> PyTree:
    """For :func:`~jaxlab.core.leafwise.leafwise`: the gradient that the inner optimizer was given, beside its step."""
    return raw


def rate_everywhere(steps: PyTree, params: PyTree | None, t: Array, rate_of: RateOf) -> PyTree:
    """For :func:`~jaxlab.core.leafwise.leafwise`: the learning rate beside every element of a step, 0 where frozen."""

    def one(path: Any, step: Array) -> Array:
        rate = rate_of(tree.path_name(path))
        return jnp.full_like(step, 0 if rate is None else rate)

    return jax.tree_util.tree_map_with_path(one, steps)


def decay_beside(weight_decay: Strength, decay_mask: tree.Mask) -> Callable[..., PyTree]:
    r"""For :func:`~jaxlab.core.leafwise.leafwise`: :math:`\alpha_t \lambda` beside a leaf.

    None where the mask spares it, and where it is frozen.
    """
    rules = as_rules(weight_decay, "weight_decay")
    tree.check_mask(decay_mask)

    def beside(steps: PyTree, params: PyTree, t: Array, rate_of: RateOf) -> PyTree:
        def one(path: Any, amount: Array) -> Array | None:
            rate = rate_of(tree.path_name(path))
            return None if rate is None else rate * amount

        return jax.tree_util.tree_map_with_path(one, amounts_like(params, rules, decay_mask))

    return beside


def rates(opt_state: PyTree) -> RateOf:
    """The learning rate of a leaf by its name: that of its group, where there are groups; None where it is frozen."""
    common = effective_learning_rate(opt_state)
    own: dict[str, Array | None] = dict.fromkeys(frozen(opt_state))
    for node in _partitions(opt_state):
        within = {label: rates(inner) for label, inner in node.inner.items()}
        found = {name: within[label](name) for name, label in node.routes if label in within}
        # Groups of directions, whose one rate stands behind them, keep none.
        own |= {name: rate for name, rate in found.items() if rate is not None}
    return lambda name: own.get(name, common)


def trained(updates: PyTree, opt_state: PyTree) -> list[Array]:
    """The leaves of ``updates`` that an optimizer of this state trains: all but those which a group of it freezes.

    Those that still wait for :func:`~jaxlab.modifiers.gradual_unfreezing` are zero.
    """
    still, begun = frozen(opt_state), _begun(opt_state)
    named = zip(tree.names(updates), jax.tree.leaves(updates), strict=True)
    return [jnp.where(begun[name], leaf, 0) if name in begun else leaf for name, leaf in named if name not in still]


def _begun(opt_state: PyTree) -> dict[str, Array]:
    """Whether the next step trains a leaf, by name, where the state says so."""
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, UnfreezingState))
    own = [node for node in nodes if isinstance(node, UnfreezingState)]
    return {name: node.begun[label] for node in own for name, label in node.inner.routes}


def frozen(opt_state: PyTree) -> set[str]:
    """The names of the leaves that a group of this state freezes."""
    found = set()
    for node in _partitions(opt_state):
        found |= {name for name, label in node.routes if label not in node.inner} | frozen(node.inner)
    return found


def _partitions(opt_state: PyTree) -> list[PartitionState]:
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, PartitionState))
    return [node for node in nodes if isinstance(node, PartitionState)]


def choose(good: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    """``new`` where it is good, else ``old``, leaf by leaf, in the types of ``old``."""

    def one(a: Array, b: Array) -> Array:
        chosen = jnp.where(good, a, b)
        # Random keys, which optax's noise keeps, have a type that nothing is cast to.
        return chosen if chosen.dtype == b.dtype else chosen.astype(b.dtype)

    return jax.tree.map(one, new, old)
