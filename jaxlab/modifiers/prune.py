"""Magnitude pruning while training (Zhu and Gupta, 2017)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int32, PyTree

from jaxlab.core import hyper, placement, tree
from jaxlab.core.layouts import OTHERS, Layouts, axes_of, check_layouts, layout_of
from jaxlab.core.smallest import smallest
from jaxlab.modifiers.every import due
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import frozen, full_precision

SCOPES = ("leaf", "global")
"""What competes for a place: the weights of each matrix among themselves, or all together."""


class PruneState(NamedTuple):
    """The state of :func:`prune`.

    Attributes:
      count: steps taken.
      masks: by name, for each leaf that is pruned: True where a weight is kept.
      inner: the optimizer's state.
    """

    count: Int32[Array, ""]
    masks: dict[str, Bool[Array, "..."]]
    inner: optax.OptState


def prune(
    inner: optax.GradientTransformation,
    sparsity: hyper.Scalar,
    begin: hyper.Scalar,
    every: hyper.Scalar,
    increases: hyper.Scalar,
    initial_sparsity: hyper.Scalar = 0.0,
    power: hyper.Scalar = 3.0,
    scope: str = "leaf",
    layouts: Layouts = (),
) -> optax.GradientTransformationExtraArgs:
    r"""Sets the smallest weights to zero, more and more of them, and keeps them there.

    .. math::
        s_t = s_f + (s_i - s_f) \left(1 - \frac{t - t_0}{n\,\Delta t}\right)^p, \qquad
        t \in \{t_0, t_0 + \Delta t, \dots, t_0 + n\,\Delta t\}

    At these steps the mask is chosen anew: of the :math:`N` weights of a matrix, as they are after the step, those
    :math:`\operatorname{round}(s_t N)` that have the smallest magnitude are pruned, no more and no fewer; of equal ones
    the first. A weight that is pruned stays so. After the last of these steps the mask is fixed: an update finds as
    many pruned as it asks for, and changes nothing.

    The update of a pruned weight is :math:`-\theta_{t-1}`, so that the sum is exactly 0, whatever ``inner`` would do;
    all others pass as they are. Its gradient is 0 for ``inner``, as the mask in the paper's forward pass makes it:
    momentum dies away, a norm that clips does not count it. Weight decay draws weights below the threshold, and has
    nothing to decay in a pruned one. An average of parameters belongs outside, ``ema(prune(...))``; it remembers what
    weights were before they were pruned, and :func:`pruned` makes it as sparse as they are. SAM, inside, perturbs
    pruned weights, too.

    Zero pruned at once, without a way there, is ``increases=0``. Steps are those of the training step where it passes
    ``step`` (:func:`~jaxlab.train.make_train_step` does), else those of the state; a mask update whose step was left
    out, because it was not finite, is made up for at the next.

    Args:
      inner: any optax optimizer; all that changes its steps belongs inside. What its groups freeze is not pruned.
      sparsity: :math:`s_f`, the fraction that is zero in the end, in [0, 1].
      begin: :math:`t_0`, the first step with a mask, from 1; it is the first step that there is where it is less.
      every: :math:`\Delta t`, steps from one mask update to the next, at least 1. The paper's are 100 to 1,000.
      increases: :math:`n`, how many mask updates after the first until the sparsity is reached, at least 0.
      initial_sparsity: :math:`s_i`, in [0, 1] and at most ``sparsity``.
      power: :math:`p`, above 0: the paper's 3 prunes fast at first, 1 evenly, next to 0 all at the end.
      scope: ``"leaf"``: each matrix is as sparse as all; ``"global"``: all matrices together are, and each has what
        its magnitudes make of it.
      layouts: ordered ``(regular expression, layout)`` rules over the names of leaves,
        :data:`~jaxlab.core.layouts.Layouts`: ``"others"`` is not pruned; in a stack of layers, ``"brc"``, each layer
        is a matrix of its own. Without a rule matrices are pruned by what their names and ranks say; biases, norms,
        embeddings and heads are not.

    Raises:
      ValueError: a number outside its range, an unknown scope; from ``init``, a leaf of which nobody can tell; from
        ``update``, parameters that are missing or others than those of the state.
      TypeError: an ``inner`` that is no optimizer, layouts that are no rules.

    State: the inner one's, one bool (a byte) for each weight that may be pruned, and one int32.

    Reference: https://arxiv.org/abs/1710.01878, section 3.

    >>> tx, params = prune(optax.sgd(1.0), 0.5, begin=1, every=1, increases=0), jnp.array([[4.0, -1.0], [0.5, 3.0]])
    >>> updates, state = tx.update(jnp.ones((2, 2)), tx.init(params), params)
    >>> (params + updates).tolist()
    [[3.0, 0.0], [0.0, 2.0]]
    """
    sparsity = hyper.number("sparsity", sparsity, "[0, 1]")
    initial_sparsity = hyper.number("initial_sparsity", initial_sparsity, "[0, 1]")
    concrete = not (hyper.is_traced(sparsity) or hyper.is_traced(initial_sparsity))
    if concrete and initial_sparsity > sparsity:
        raise ValueError(f"initial_sparsity = {initial_sparsity!s}: accepted is at most the sparsity, {sparsity!s}")
    begin = hyper.number("begin", begin, "[0, inf)")
    first = jnp.maximum(begin, 1)
    every = hyper.number("every", every, "[1, inf)")
    increases = hyper.number("increases", increases, "[0, inf)")
    power = hyper.number("power", power, "(0, inf)")
    together = hyper.one_of("scope", scope, SCOPES) == "global"
    rules = check_layouts(layouts)
    inner = full_precision(inner)

    def init(params: PyTree) -> PruneState:
        inner_state = inner.init(params)
        still, masks = frozen(inner_state), {}
        for name, p in zip(tree.names(params), jax.tree.leaves(params), strict=True):
            if name not in still and layout_of(rules, name, p) != OTHERS:
                masks[name] = placement.lies_with(p, None, jnp.ones(jnp.shape(p), bool))
        return PruneState(jnp.zeros((), jnp.int32), masks, inner_state)

    def share_of(t: Array) -> Array:
        way = jnp.clip((t - first) / jnp.where(increases > 0, every * increases, 1), 0, 1)
        return sparsity + (initial_sparsity - sparsity) * jnp.power(1 - jnp.where(increases > 0, way, 1), power)

    def chosen(masks: dict[str, Array], after: dict[str, Array], t: Array) -> dict[str, Array]:
        # What is pruned is smaller than all that is not, zeros included.
        sizes = {name: jnp.where(masks[name], jnp.abs(x), -1) for name, x in after.items()}
        stacked = {name: axes_of(layout_of(rules, name, x))[0] for name, x in after.items()}
        found = smallest(sizes, stacked, share_of(t), together=together)
        return {name: ~found[name] if name in found else mask for name, mask in masks.items()}

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, PruneState]:
        if params is None:
            raise ValueError("prune needs the parameters: call tx.update(grads, state, params)")
        full, names = hyper.arithmetic_dtype(), tree.names(updates, is_leaf=tree.is_none)
        leaves, treedef = jax.tree.flatten(tree.cast(updates, full), is_leaf=tree.is_none)
        values = dict(zip(names, treedef.flatten_up_to(tree.cast(params, full)), strict=True))
        _require_fit(state.masks, values)
        count = state.count + 1
        clock = count if extra.get("step") is None else jnp.asarray(extra["step"], jnp.int32) + 1
        t = clock.astype(full)

        def masked(name: str, g: Array | None) -> Array | None:
            return g if g is None or name not in state.masks else jnp.where(state.masks[name], g, 0)

        seen = treedef.unflatten([masked(name, g) for name, g in zip(names, leaves, strict=True)])
        steps, inner_state = inner.update(seen, state.inner, params, **extra)
        ways = dict(zip(names, treedef.flatten_up_to(steps), strict=True))
        after = {name: values[name] + ways[name] for name in state.masks if ways[name] is not None}
        masks = jax.lax.cond(
            due(t - first, every) & (t >= first), lambda: chosen(state.masks, after, t), lambda: state.masks
        )
        ways |= {name: jnp.where(masks[name], ways[name], -values[name]) for name in after}
        return tree.cast_like(treedef.unflatten(ways.values()), updates), PruneState(count, masks, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def pruned(opt_state: optax.OptState, params: PyTree[Array]) -> PyTree[Array]:
    """Parameters with zeros where :func:`prune` has pruned them, such as averages that remember what was there.

    Args:
      opt_state: the state of an optimizer with :func:`prune` anywhere in it, or without: then nothing is pruned.
      params: a tree with the names and shapes of those that it trains.

    Raises:
      ValueError: masks of leaves that the parameters do not have, or of other shapes.

    >>> from jaxlab.modifiers import ema, evaluation_params
    >>> tx = ema(prune(optax.sgd(1.0), 0.5, begin=2, every=1, increases=0), decay=0.5)
    >>> params = jnp.array([[4.0, 1.0]])
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.zeros((1, 2)), state, params)
    ...     params = params + updates
    >>> average = evaluation_params(state, params)
    >>> bool(average[0, 1] > 0), pruned(state, average).tolist()
    (True, [[4.0, 0.0]])
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, PruneState))
    masks = {name: mask for node in nodes if isinstance(node, PruneState) for name, mask in node.masks.items()}
    _require_fit(masks, tree.named(params))

    def one(path: Any, p: Array) -> Array:
        mask = masks.get(tree.path_name(path))
        return p if mask is None else jnp.where(mask, p, jnp.zeros_like(p))

    return jax.tree_util.tree_map_with_path(one, params)


def _require_fit(masks: Mapping[str, Array], values: Mapping[str, Any]) -> None:
    """Refuses masks of other leaves."""
    for name, mask in masks.items():
        found = jnp.shape(values[name]) if name in values else None
        if found != mask.shape:
            raise ValueError(
                f"the state has a mask of shape {mask.shape} for leaf {name!r}, the parameters have "
                f"{'no such leaf' if found is None else found}: accepted are the parameters that init was given"
            )


PRUNE = ModifierInfo("prune", prune, "Zhu and Gupta 2017, arXiv:1710.01878", needs_params=True)
