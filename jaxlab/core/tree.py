"""Parameter trees: the name of a leaf, ordered rules over names, masks, norms.

A leaf is named by its path, keys joined by a slash (``encoder/0/kernel``), alike for plain dicts,
Linen's and NNX's trees: the ``value`` that NNX appends when its ``Variable`` boxes are still on is
dropped, so a rule written for one form holds for all.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxlab.core.hyper import arithmetic_dtype

T = TypeVar("T")
Rules = Sequence[tuple[str, T]]
"""Ordered ``(regular expression, value)`` pairs; the first that is found in a name decides."""

Mask = None | str | Rules[bool] | PyTree[bool] | Callable[[PyTree], PyTree[bool]]
"""Which leaves: None (all), ``"matrices"`` (two or more axes), rules, a tree of bools, a function of the parameters."""


def path_name(path: Sequence[Any]) -> str:
    """The name of a leaf from its key path.

    >>> from jax.tree_util import DictKey, GetAttrKey, SequenceKey
    >>> path_name((DictKey("layers"), SequenceKey(0), DictKey("kernel"), GetAttrKey("value")))
    'layers/0/kernel'
    """
    if path and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value":
        path = path[:-1]
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def names(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[str]:
    """The names of a tree's leaves, in the order of ``jax.tree.leaves``."""
    return [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)]


def named(tree: PyTree) -> dict[str, Any]:
    """The leaves of a tree by name; of several of one name the last.

    >>> named({"dense": {"kernel": 1}, "scale": 2})
    {'dense/kernel': 1, 'scale': 2}
    """
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def nested(named: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by name as nested dicts, which have the same names again.

    >>> nested({"dense/bias": 1, "dense/kernel": 2, "scale": 3})
    {'dense': {'bias': 1, 'kernel': 2}, 'scale': 3}
    """
    whole: dict[str, Any] = {}
    for name, leaf in named.items():
        *above, last = name.split("/")
        node = whole
        for key in above:
            node = node.setdefault(key, {})
        node[last] = leaf
    return whole


def is_none(x: Any) -> bool:
    """Whether a leaf is absent, as ``is_leaf``: JAX takes None for a tree without leaves otherwise."""
    return x is None


def match_rules(rules: Rules[T], leaf_names: Iterable[str]) -> list[T]:
    """The value of the first rule found in each name.

    Raises:
      ValueError: a leaf matches no rule. End the rules with ``(".*", default)`` to give one. Or a pattern is no
        regular expression.

    >>> match_rules([("bias$", 0), (".*", 1)], ["dense/kernel", "dense/bias"])
    [1, 0]
    """
    compiled = [(_compiled(pattern), value) for pattern, value in rules]
    values, missed = [], []
    for name in leaf_names:
        for pattern, value in compiled:
            if pattern.search(name):
                values.append(value)
                break
        else:
            missed.append(name)
    if missed:
        raise ValueError(
            f"no rule matches {', '.join(map(repr, missed))}; the rules are "
            f'{[pattern for pattern, _ in rules]}: add one, or end with (".*", default)'
        )
    return values


def check_rules(name: str, rules: Any, accepted: str) -> Rules[Any]:
    """Validates the form of rules on the host; what their values may be is the caller's to say.

    Args:
      name: what the user calls them; errors begin with it.
      rules: a list or tuple of pairs.
      accepted: what the pairs are, in words.

    Raises:
      TypeError: no list or tuple of pairs that begin with a string.
      ValueError: a pattern is no regular expression.

    >>> check_rules("depths", [("embed", 0)], "(regular expression, depth) rules")
    (('embed', 0),)
    """
    pairs = isinstance(rules, list | tuple) and all(
        isinstance(rule, list | tuple) and len(rule) == 2 and isinstance(rule[0], str) for rule in rules
    )
    if not pairs:
        raise TypeError(f"{name} = {rules!r}: accepted are {accepted}")
    for pattern, _ in rules:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{name}: {pattern!r} is no regular expression, {error}") from None
    return tuple((pattern, value) for pattern, value in rules)


def check_shapes(what: str, given: PyTree, like: PyTree) -> None:
    """Refuses a tree of another structure or with leaves of other shapes, which elsewhere might be broadcast.

    Raises:
      ValueError: it begins with ``what``.

    >>> check_shapes("a state of", {"mean": jnp.ones(3)}, {"mean": jnp.zeros(3)})
    """
    here, there = (jax.tree.map(jnp.shape, one) for one in (given, like))
    if jax.tree.structure(given) != jax.tree.structure(like) or here != there:
        raise ValueError(f"{what} shapes {here}: accepted are {there}")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"rule {pattern!r} is no regular expression, {error}") from None


def resolve_mask(mask: Mask, params: PyTree) -> list[bool]:
    """One bool for each leaf of ``params``, in the order of ``jax.tree.leaves``.

    Trees of bools are matched by name, not by container, so that a mask made from an NNX state fits the
    plain tree of its values; a bool may stand for a whole subtree.

    Raises:
      ValueError: a word other than ``"matrices"``, or a leaf that no rule and no part of the mask covers.
      TypeError: a mask that holds something else than bools.

    >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    >>> resolve_mask("matrices", params)
    [False, True]
    >>> resolve_mask([("bias", False), (".*", True)], params)
    [False, True]
    """
    leaves = jax.tree.leaves(params)
    check_mask(mask)
    if mask is None:
        return [True] * len(leaves)
    if isinstance(mask, str):
        return [jnp.ndim(leaf) >= 2 for leaf in leaves]
    if callable(mask):
        return resolve_mask(mask(params), params)
    if _is_rules(mask):
        return match_rules([(pattern, bool(value)) for pattern, value in mask], names(params))
    covers = dict(zip(names(mask), map(bool, jax.tree.leaves(mask)), strict=True))
    return [_covering(covers, name) for name in names(params)]


def check_mask(mask: Mask) -> Mask:
    """Validates what of a mask can be judged before the parameters are there.

    Raises:
      ValueError: a word other than ``"matrices"``, a pattern that is no regular expression.
      TypeError: a mask that holds something else than bools.
    """
    if isinstance(mask, str) and mask != "matrices":
        raise ValueError(
            f"mask = {mask!r}: accepted are None, 'matrices', rules, a tree of bools, a function of params"
        )
    if mask is None or isinstance(mask, str) or callable(mask):
        return mask
    if _is_rules(mask):
        for pattern, value in check_rules("mask", mask, "(regular expression, bool) rules"):
            _flag(pattern, value)
        return mask
    for name, value in zip(names(mask), jax.tree.leaves(mask), strict=True):
        _flag(name, value)
    return mask


def _flag(name: str, value: Any) -> None:
    # By bool() alone the text "no" would be a yes.
    if not isinstance(value, bool) and (getattr(value, "dtype", None) != np.dtype(bool) or value.ndim):
        raise TypeError(f"mask: {value!r} for {name!r}: accepted are True and False")


def _is_rules(mask: Any) -> bool:
    def is_rule(pair: Any) -> bool:
        return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)

    return isinstance(mask, list | tuple) and len(mask) > 0 and all(map(is_rule, mask))


def _covering(covers: dict[str, bool], name: str) -> bool:
    parts = name.split("/")
    for length in range(len(parts), -1, -1):
        prefix = "/".join(parts[:length])
        if prefix in covers:
            return covers[prefix]
    raise ValueError(f"the mask says nothing of parameter {name!r}; it covers {sorted(covers)}")


def cast(tree: PyTree, dtype: Any) -> PyTree:
    """Every floating leaf in the given dtype; integers, keys and bools as they are."""

    def one(leaf: Any) -> Any:
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return jnp.asarray(leaf, dtype)
        return leaf

    return jax.tree.map(one, tree)


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    """Every leaf in the dtype of its partner."""
    return jax.tree.map(lambda leaf, partner: jnp.asarray(leaf, jnp.result_type(partner)), tree, like)


def global_norm(tree: PyTree) -> Float[Array, ""]:
    r"""The Euclidean norm of all leaves together, :math:`\sqrt{\sum_i x_i^2}`, summed in float32.

    Squares overflow above about 1.8e19: the norm of such a tree is inf, as that of a tree with inf.

    >>> float(global_norm({"a": jnp.full(1_000_000, 1.0, jnp.bfloat16)}))
    1000.0
    """
    full = arithmetic_dtype()
    return jnp.sqrt(over_leaves([jnp.sum(jnp.square(jnp.asarray(leaf, full))) for leaf in jax.tree.leaves(tree)]))


def over_leaves(numbers: Sequence[Array], by: Callable[..., Array] = jnp.sum) -> Array:
    """What the leaves give, one number or array each, taken together: a program of its own, run once.

    XLA would simplify it to a chain of additions, and repeat the chain in the program of every leaf that uses the
    result: code and seconds of compilation that grow with the square of the number of leaves (20 s, so 2, for 300).

    >>> float(over_leaves([jnp.float32(1), jnp.float32(2)]))
    3.0
    """
    if not numbers:
        return by(jnp.zeros((1,), arithmetic_dtype()), axis=0)
    return by(jax.lax.optimization_barrier(jnp.stack(numbers)), axis=0)
