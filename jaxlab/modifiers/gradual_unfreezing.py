"""Gradual unfreezing: the highest layers train first (Howard and Ruder, 2018)."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.partition import PartitionState, partition
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.layer_wise_decay import check_depths, distances_from_top
from jaxlab.modifiers.wrapping import UnfreezingState, choose, full_precision
from jaxlab.schedules.learning_rate import LearningRateState


def gradual_unfreezing(
    inner: optax.GradientTransformation, depths: tree.Rules[int | None], every: hyper.Scalar
) -> optax.GradientTransformationExtraArgs:
    r"""Trains the highest layers first, and those of the next depth so many steps later, for fine-tuning.

    .. math::
        u'_t = \begin{cases} u_t & t \ge (L - l)\, k \\ 0 & \text{before} \end{cases}

    for a leaf at depth :math:`l`, the greatest depth :math:`L`, and steps :math:`t` from 0. A leaf that waits gets no
    update, no decay, and leaves nothing in the state: at its turn it has moments, and a count that debiases them, of a
    first step. Schedules and loss-driven rates go on for all, and show a rate of 0 for who waits. Norms of
    :func:`~jaxlab.modifiers.clip_by_global_norm` outside leave those out. (The paper, which unfreezes one layer an
    epoch, begins its slanted schedule anew each time.)

    Each depth is given to ``inner`` by itself: what looks at all leaves together, such as a common norm, goes outside.
    Gradients of all leaves are computed from the start; leaves that never train are better frozen.

    Args:
      inner: any optax optimizer. The greatest depth is that of the leaves it is given: with
        :func:`~jaxlab.modifiers.groups` this goes outside.
      depths: ordered ``(regular expression, depth)`` rules over the names of leaves, as for
        :func:`~jaxlab.modifiers.layer_wise_decay`: a depth is a whole number; where the expression has a group, the
        number that it captures is added; None is one above all others.
      every: :math:`k`, how many steps a depth waits for the one above it, at least 0. In the paper an epoch's.

    Raises:
      ValueError: a negative number of steps; from ``init``, a leaf without a rule, or a group that captures no number.
      TypeError: depths that are no rules; a depth that is neither a whole number nor None.

    State: that of an inner optimizer for each depth, a bool for each, and one int32.

    Reference: https://arxiv.org/abs/1801.06146, section 3.3.

    >>> tx = gradual_unfreezing(optax.sgd(1.0), [("embed", 0), (r"blocks/(\d+)", 1), ("", None)], every=2)
    >>> params = {"embed": jnp.ones(1), "blocks": [jnp.ones(1)], "head": jnp.ones(1)}
    >>> state = tx.init(params)
    >>> for step in range(5):
    ...     updates, state = tx.update(params, state)
    ...     print(step, [float(update[0]) for update in jax.tree.leaves(updates)])
    0 [0.0, 0.0, -1.0]
    1 [0.0, 0.0, -1.0]
    2 [-1.0, 0.0, -1.0]
    3 [-1.0, 0.0, -1.0]
    4 [-1.0, -1.0, -1.0]
    """
    every = hyper.number("every", every, "[0, inf)")
    rules = check_depths(depths)
    inner = full_precision(inner)

    def begun(turns: Mapping[str, Any], count: Array) -> dict[str, Bool[Array, ""]]:
        """Which of the groups a step trains. They are called by how far they are from the top."""
        now = count.astype(hyper.arithmetic_dtype())
        return {turn: jnp.asarray(now >= int(turn) * every) for turn in turns}

    def init(params: PyTree) -> UnfreezingState:
        turns = map(str, distances_from_top(rules, tree.names(params)))
        turn_of = dict(zip(tree.names(params), turns, strict=True))
        groups = partition(dict.fromkeys(turn_of.values() or ("0",), inner), lambda name, leaf: turn_of[name])
        count, state = jnp.zeros((), jnp.int32), cast("PartitionState", groups.init(params))
        return UnfreezingState(count, begun(state.inner, count), state)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, UnfreezingState]:
        groups = partition(dict.fromkeys(state.inner.inner, inner), lambda name, leaf: "")
        full = tree.cast(updates, hyper.arithmetic_dtype())
        steps, then = groups.update(full, state.inner, params, **extra)
        after = cast("PartitionState", then)
        routes, now = dict(state.inner.routes), state.begun
        steps = jax.tree_util.tree_map_with_path(
            lambda path, step: jnp.where(now[routes[tree.path_name(path)]], step, 0), steps
        )
        held = {turn: _held(now[turn], after.inner[turn], before) for turn, before in state.inner.inner.items()}
        count = state.count + 1
        return tree.cast_like(steps, updates), UnfreezingState(count, begun(held, count), after._replace(inner=held))

    return optax.GradientTransformationExtraArgs(init, update)


def _held(begun: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    """A group's state after a step: that before it as long as the group waits, but for what decides the rate."""

    def one(after: Any, before: Any) -> Any:
        if isinstance(after, LearningRateState):
            return after._replace(learning_rate=jnp.where(begun, after.learning_rate, 0))
        return after if _is_clock(after) else choose(begun, after, before)

    return jax.tree.map(one, new, old, is_leaf=_is_clock)


def _is_clock(node: Any) -> bool:
    return isinstance(node, LearningRateState | optax.ScaleByScheduleState)


GRADUAL_UNFREEZING = ModifierInfo("gradual_unfreezing", gradual_unfreezing, "Howard and Ruder 2018, arXiv:1801.06146")
