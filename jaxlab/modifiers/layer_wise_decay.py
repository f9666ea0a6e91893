"""Layer-wise decay of learning rates (Clark et al., 2020; Bao et al., 2022)."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxlab.core import hyper, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.wrapping import after


def layer_wise_decay(
    inner: optax.GradientTransformation, depths: tree.Rules[int | None], ratio: hyper.Scalar = 0.75
) -> optax.GradientTransformationExtraArgs:
    r"""Shorter steps for lower layers, for fine-tuning.

    .. math::
        u'_t = \rho^{\,L - l}\, u_t

    for a leaf at depth :math:`l` and the greatest depth :math:`L`: the finished step and so the learning rate and
    its decay. (BEiT's code and timm do the same.)

    Args:
      inner: any optax optimizer. The greatest depth is that of the leaves it is given: with
        :func:`~jaxlab.modifiers.groups` this goes outside.
      depths: ordered ``(regular expression, depth)`` rules over the names of leaves. A depth is a whole number; where
        the expression has a group, the number that it captures is added; None is one above all others.
      ratio: :math:`\rho`, in [0, 1]. Usual are 0.65 to 0.9; the deeper the network, the nearer 1.

    Raises:
      ValueError: a ratio outside its range; from ``init``, a leaf without a rule, or a group that captures no number.
      TypeError: depths that are no rules; a depth that is neither a whole number nor None.

    State: the inner one's.

    Reference: https://arxiv.org/abs/2003.10555, appendix B; https://arxiv.org/abs/2106.08254.

    >>> tx = layer_wise_decay(optax.sgd(1.0), [("embed", 0), (r"blocks/(\d+)", 1), ("", None)], 0.5)
    >>> params = {"embed": jnp.ones(1), "blocks": [jnp.ones(1), jnp.ones(1)], "head": jnp.ones(1)}
    >>> updates, _ = tx.update(params, tx.init(params))
    >>> updates["embed"].tolist(), [block.tolist() for block in updates["blocks"]], updates["head"].tolist()
    ([-0.125], [[-0.25], [-0.5]], [-1.0])
    """
    ratio = hyper.number("ratio", ratio, "[0, 1]")
    rules = check_depths(depths)

    def init(params: PyTree) -> optax.EmptyState:
        distances_from_top(rules, tree.names(params))
        return optax.EmptyState()

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        # A parameter may have no gradient; what is frozen is no parameter here, and has no depth.
        names = tree.names(updates, is_leaf=tree.is_none) if params is None else tree.names(params)
        distances = dict(zip(names, distances_from_top(rules, names), strict=True))

        def one(path: Any, step: Array) -> Array:
            return step * jnp.asarray(ratio) ** distances[tree.path_name(path)]

        return jax.tree_util.tree_map_with_path(one, updates), optax.EmptyState()

    return after(inner, optax.GradientTransformationExtraArgs(init, update))


Depths = tree.Rules[tuple[str, int | None]]
"""Rules over the names of leaves, as :func:`check_depths` makes them: pattern, and again the pattern with its depth."""


def check_depths(depths: Any) -> Depths:
    """Validates rules for the depths of leaves, on the host.

    Raises:
      ValueError: a pattern that is no regular expression, a depth below 0.
      TypeError: no rules; a depth that is neither a whole number nor None.
    """
    pairs = tree.check_rules("depths", depths, "(regular expression, depth) rules, such as ('embed', 0)")
    return [(pattern, (pattern, _depth(pattern, depth))) for pattern, depth in pairs]


def _depth(pattern: str, depth: Any) -> int | None:
    return None if depth is None else hyper.integer(f"depths[{pattern!r}]", depth, at_least=0)


def distances_from_top(rules: Depths, names: list[str]) -> list[int]:
    r"""How many depths below the greatest each leaf lies.

    Raises:
      ValueError: a leaf without a rule, or a group that captures no number.

    >>> distances_from_top(check_depths([("embed", 0), (r"block_(\d)", 1), ("", None)]), ["embed", "block_1", "head"])
    [3, 1, 0]
    """
    found = [_depth_of(name, *rule) for name, rule in zip(names, tree.match_rules(rules, names), strict=True)]
    known = [depth for depth in found if depth is not None]
    top = max(known, default=-1) + (None in found)
    return [0 if depth is None else top - depth for depth in found]


def _depth_of(name: str, pattern: str, depth: int | None) -> int | None:
    match = re.search(pattern, name)
    if depth is None or match is None or not match.re.groups:
        return depth
    if match[1] is None or not match[1].isdecimal():
        raise ValueError(
            f"depths: {pattern!r} captures {match[1]!r} of leaf {name!r}: accepted is a whole number, added to the "
            "depth; a group that counts nothing is written (?:...)"
        )
    return depth + int(match[1])


LAYER_WISE_DECAY = ModifierInfo("layer_wise_decay", layer_wise_decay, "Clark et al. 2020, arXiv:2003.10555")
