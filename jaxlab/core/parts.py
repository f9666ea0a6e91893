"""Parts of a parameter tree: what is trained and what stays as it is, by the names of leaves.

A part has the whole's form with None in place of the leaves that are not its own; so it is a tree like any other, and
whoever works on it never sees the rest.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxlab.core import tree

Which = str | tree.Rules[bool] | PyTree[bool]
"""Some leaves: a regular expression found in their names, ordered rules, or a tree of bools."""


def chosen(name: str, which: Which, whole: PyTree) -> list[bool]:
    """One bool for each leaf: whether it is among those that ``which`` says.

    Args:
      name: what the user calls ``which``; errors begin with it.
      which: a regular expression, or a :data:`~jaxlab.core.tree.Mask`.
      whole: all parameters.

    Raises:
      TypeError, ValueError: what is no such choice; one that chooses nothing, or a leaf that it says nothing of.

    >>> params = {"base": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
    >>> chosen("frozen", "^base/", params)
    [True, False]
    """
    rules: tree.Mask = ((which, True), ("", False)) if isinstance(which, str) else which
    if isinstance(which, str):
        tree.check_rules(name, rules, "a regular expression")
    try:
        flags = tree.resolve_mask(rules, whole)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    if not any(flags):
        raise ValueError(f"{name} = {which!r}: accepted is what holds for a leaf; their names are {_few(whole)}")
    return flags


def split(flags: list[bool], whole: PyTree) -> tuple[PyTree, PyTree]:
    """The leaves whose flag is set, and the others: two parts.

    >>> split([True, False], {"base": 1.0, "head": 2.0})
    ({'base': 1.0, 'head': None}, {'base': None, 'head': 2.0})
    """
    leaves, form = jax.tree.flatten(whole)
    ours = [leaf if flag else None for flag, leaf in zip(flags, leaves, strict=True)]
    theirs = [None if flag else leaf for flag, leaf in zip(flags, leaves, strict=True)]
    return jax.tree.unflatten(form, ours), jax.tree.unflatten(form, theirs)


def apart(name: str, which: Which, whole: PyTree) -> tuple[PyTree, PyTree]:
    """The leaves that ``which`` says, and the others: two parts, of which neither is empty.

    Raises:
      TypeError, ValueError: as :func:`chosen`; a choice of all leaves.

    >>> apart("frozen", "^base", {"base": 1.0, "head": 2.0})
    ({'base': 1.0, 'head': None}, {'base': None, 'head': 2.0})
    """
    flags = chosen(name, which, whole)
    if all(flags):
        raise ValueError(f"{name} = {which!r}: accepted is what leaves a parameter to train")
    return split(flags, whole)


def merged(part: PyTree, rest: PyTree) -> PyTree:
    """A part with the leaves of the rest, by name, in the places where it has none.

    >>> merged({"base": None, "head": 2.0}, {"base": 1.0})
    {'base': 1.0, 'head': 2.0}
    """
    found = tree.named(rest)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: found.get(tree.path_name(path)) if leaf is None else leaf, part, is_leaf=tree.is_none
    )


def without(whole: PyTree, part: PyTree) -> PyTree:
    """The whole but for the leaves that the part has.

    >>> without({"base": 1.0, "head": 2.0}, {"base": 3.0})
    {'base': None, 'head': 2.0}
    """
    names = tree.named(part)
    return jax.tree_util.tree_map_with_path(lambda path, leaf: None if tree.path_name(path) in names else leaf, whole)


def overlaid(name: str, whole: PyTree, part: PyTree) -> PyTree:
    """The whole with the part's leaves in the place of its own, in its dtypes.

    Args:
      name: what the user calls ``part``; errors begin with it.
      whole: arrays, or their shapes: then shapes come back.
      part: any tree whose leaves have names that the whole has, and the shapes of those.

    Raises:
      ValueError: a leaf that the whole has not, or that has another shape there.

    >>> overlaid("start", {"base": jnp.zeros(1), "head": jnp.zeros(1)}, {"base": jnp.ones(1)})["base"].tolist()
    [1.0]
    """
    found = tree.named(fitted(name, part, whole))

    def one(path: Any, leaf: Any) -> Any:
        new = found.get(tree.path_name(path))
        return leaf if new is None or isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(new)

    return jax.tree_util.tree_map_with_path(one, whole)


def fitted(name: str, part: PyTree, whole: PyTree) -> PyTree:
    """A part with its leaves in the dtypes that they have in the whole.

    Args:
      name, part, whole: as for :func:`overlaid`.

    Raises:
      ValueError: a leaf that the whole has not, or that has another shape there.

    >>> fitted("frozen", {"base": jnp.ones(1, jnp.float16)}, {"base": jnp.zeros(1), "head": jnp.zeros(1)})
    {'base': Array([1.], dtype=float32)}
    """
    own = tree.named(whole)

    def one(path: Any, leaf: Any) -> Any:
        key = tree.path_name(path)
        if key not in own:
            raise ValueError(f"{name} has a leaf {key!r}: accepted are names of parameters, {_few(whole)}")
        if jnp.shape(leaf) != jnp.shape(own[key]):
            raise ValueError(f"{name}: {key!r} has shape {jnp.shape(leaf)}: accepted is {jnp.shape(own[key])}")
        same = getattr(leaf, "dtype", None) == own[key].dtype
        return leaf if same else jnp.asarray(leaf, own[key].dtype)

    return jax.tree_util.tree_map_with_path(one, part)


def rules(part: PyTree) -> tuple[tuple[str, bool], ...]:
    """Rules that hold for the names of a part's leaves and for no others.

    >>> rules({"base": 1.0, "head": None})
    (('^base$', True), ('', False))
    """
    return (*((f"^{re.escape(name)}$", True) for name in tree.named(part)), ("", False))


def _few(whole: PyTree) -> str:
    names = tree.names(whole)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
