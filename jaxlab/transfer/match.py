"""Weights go into the parameters of a model by name, with a report of what went where, what did not, and why."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxlab.core import parts, tree
from jaxlab.transfer.report import Matched, Row, essence
from jaxlab.transfer.weights import read_weights

Rule = tuple[str, str | None] | tuple[str, str | None, Sequence[int] | None]
"""``(pattern, replacement)`` or ``(pattern, replacement, axes)``, see :func:`match`."""

CONVENTIONS = ((1, 0), (2, 3, 1, 0), (2, 1, 0))
"""Axes that lead from PyTorch's kernels to Flax's: dense ones, convolutions of two dimensions, of one."""


class _Taken(NamedTuple):
    """A weight on its way to a parameter: its name, itself as the file has it, and the axes that are moved."""

    source: str
    weight: Any
    axes: tuple[int, ...] | None

    @property
    def value(self) -> np.ndarray:
        weight = np.asarray(self.weight)
        return weight if self.axes is None else np.transpose(weight, self.axes)


def match(
    params: PyTree,
    weights: str | Path | PyTree,
    rules: Iterable[Rule] = (),
    new: parts.Which | None = None,
    *,
    strict: bool = True,
) -> Matched:
    r"""Puts weights into the parameters of a model, by name.

    A weight goes to the parameter that the first rule whose pattern matches the whole of its name leads to; without
    such a rule to the one of the same name. A parameter takes it if the shapes are equal, in its own dtype.

    Args:
      params: of the model, as its ``init`` makes them, or their shapes: nested dicts or another tree. What finds no
        weight stays as it is here.
      weights: arrays by name, any tree of them, or the path of a file or folder that
        :func:`~jaxlab.transfer.read_weights` reads.
      rules: in order. ``(pattern, replacement)``: a regular expression for the whole name of a weight, and the name
        of the parameter, with ``\1`` for what a group of it matched; a replacement of None leaves the weight out on
        purpose. ``(pattern, replacement, axes)`` moves the weight's axes, too, as ``numpy.transpose`` does:
        ``(2, 3, 1, 0)`` makes Flax's of PyTorch's convolutions.
      new: parameters that keep their own values whatever the weights are, such as a new head: a regular expression
        found in their names, (regular expression, bool) rules, or a tree of bools.
      strict: whether parameters that found nothing, and are not ``new``, are an error.

    Returns:
      The parameters, the found ones alone, and the report.

    Raises:
      ValueError: parameters that found nothing (see ``strict``), or not one that found something; two weights for one
        parameter; a rule that is no regular expression, has a group that is not there, or other axes than the weight;
        ``new`` that fits no parameter; whatever :func:`~jaxlab.transfer.read_weights` refuses.
      TypeError: rules that are none; a parameter or a weight that is no array.
      OSError: a file that cannot be read.

    >>> params = {"base": {"kernel": jnp.zeros((2, 3))}, "head": {"kernel": jnp.zeros((3, 1))}}
    >>> weights = {"features.0.weight": np.ones((3, 2)), "features.0.steps": np.array(7), "head.weight": np.ones(5)}
    >>> rules = [(r"features\.\d+\.steps", None), (r"features\.0\.weight", "base/kernel", (1, 0))]
    >>> found = match(params, weights, rules, new="^head/")
    >>> print(found)
    1 of 2 parameters matched, 1 new, 0 missing; 1 of 3 weights unused, 1 left out
    status    parameter    shape   weight             shape   dtype    why
    unused                         head.weight        [5]     float64  no parameter 'head.weight', and no rule for it
    new       head/kernel  [3, 1]
    left out                       features.0.steps   []      int64    by the rule features\.\d+\.steps
    matched   base/kernel  [2, 3]  features.0.weight  [3, 2]  float64  axes (1, 0)
    >>> found.start["base"]["kernel"].tolist(), found.start["head"]
    ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], {'kernel': None})
    """
    checked = [_checked(rule) for rule in rules]
    own = _by_name("params", params)
    anew = {name for name, flag in zip(own, parts.chosen("new", new, params), strict=True) if flag} if new else set()
    file = f" in {weights}" if isinstance(weights, str | Path) else ""
    given = read_weights(weights) if isinstance(weights, str | Path) else _by_name("weights", weights)
    taken, others, used = _led(given, checked, own.keys())

    found: dict[str, Any] = {}
    rows: list[Row] = []
    free = {row.source: row.source_shape for row in others if row.status == "unused"}
    for name, leaf in own.items():
        shape = tuple(leaf.shape)
        if name not in taken:
            reason = "" if name in anew else f"no weight leads here{_like(name, shape, free)}"
            rows.append(Row("new" if name in anew else "missing", name, None, shape, None, None, reason))
            continue
        one = taken[name]
        reason = _misfit(one, leaf) if name not in anew else "the parameter is to be new"
        if not reason:
            found[name] = jnp.asarray(one.value, leaf.dtype)
        status = "matched" if not reason else "new" if name in anew else "missing"
        about = reason or (f"axes {one.axes}" if one.axes else "")
        rows.append(Row(status, name, one.source, shape, tuple(one.weight.shape), str(one.weight.dtype), about))

    leaves, form = jax.tree.flatten(params)
    whole = [found.get(name, leaf) for name, leaf in zip(own, leaves, strict=True)]
    start = [found.get(name) for name in own]
    idle = tuple(pattern.pattern for i, (pattern, *_) in enumerate(checked) if i not in used)
    matched = Matched(form.unflatten(whole), form.unflatten(start), (*rows, *others), idle)
    if (strict and matched.of("missing")) or not found:
        raise ValueError(essence(matched, file))
    return matched


def _by_name(what: str, values: PyTree) -> dict[str, Any]:
    names, leaves = tree.names(values), jax.tree.leaves(values)
    for name, leaf in zip(names, leaves, strict=True):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(f"{what}: {name!r} is {leaf!r}: accepted are arrays")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{what} have several leaves of the names {twice}: accepted is a name for each leaf")
    return dict(zip(names, leaves, strict=True))


def _checked(rule: Any) -> tuple[re.Pattern[str], str | None, tuple[int, ...] | None]:
    accepted = "accepted are (pattern, replacement or None) and (pattern, replacement, axes)"
    if not isinstance(rule, list | tuple) or len(rule) not in (2, 3) or not isinstance(rule[0], str):
        raise TypeError(f"rules: {rule!r}: {accepted}")
    pattern, replacement, axes = rule[0], rule[1], rule[2] if len(rule) == 3 else None
    if not isinstance(replacement, str | None):
        raise TypeError(f"rules: {rule!r} leads to {replacement!r}: {accepted}")
    if axes is not None and (not isinstance(axes, list | tuple) or {*axes} != {*range(len(axes))}):
        raise ValueError(f"rules: {rule!r} has the axes {axes!r}: accepted is each of 0 to n - 1 once, as in (1, 0)")
    try:
        return re.compile(pattern), replacement, None if axes is None else tuple(axes)
    except re.error as error:
        raise ValueError(f"rules: {pattern!r} is no regular expression, {error}") from None


def _led(
    weights: Mapping[str, Any], rules: list[Any], targets: Iterable[str]
) -> tuple[dict[str, _Taken], list[Row], set[int]]:
    """The weights that lead to parameters, by those; rows for all others; the rules that decided for some weight."""
    taken: dict[str, _Taken] = {}
    others: list[Row] = []
    used: set[int] = set()
    known = set(targets)
    for source, weight in weights.items():
        facts = (None, tuple(weight.shape), str(weight.dtype))
        number, found = next(((i, m) for i, rule in enumerate(rules) if (m := rule[0].fullmatch(source))), (-1, None))
        target, axes = source, None
        if found is not None:
            used.add(number)
            pattern, replacement, axes = rules[number]
            if replacement is None:
                others.append(Row("left out", None, source, *facts, f"by the rule {pattern.pattern}"))
                continue
            target = _expanded(found, replacement)
            if axes is not None and len(axes) != weight.ndim:
                raise ValueError(f"rules: {pattern.pattern!r} has {axes = } for {source!r} of shape {weight.shape}")
        if target not in known:
            reason = "no rule for it" if found is None else f"the rule {rules[number][0].pattern} leads there"
            others.append(Row("unused", None, source, *facts, f"no parameter {target!r}, and {reason}"))
            continue
        if target in taken:
            raise ValueError(f"weights {taken[target].source!r} and {source!r} both lead to parameter {target!r}")
        taken[target] = _Taken(source, weight, axes)
    return taken, others, used


def _expanded(found: re.Match[str], replacement: str) -> str:
    try:
        return found.expand(replacement)
    except (re.error, IndexError) as error:
        raise ValueError(f"rules: {replacement!r} for {found.re.pattern!r}: {error}") from None


def _misfit(one: _Taken, leaf: Any) -> str:
    """Why a weight does not fit a parameter; nothing if it does."""
    value = one.value
    if value.shape != leaf.shape:
        conventions = (axes for axes in CONVENTIONS if len(axes) == value.ndim)
        fit = next((axes for axes in conventions if tuple(value.shape[i] for i in axes) == leaf.shape), None)
        moved = f" after axes {one.axes}, {list(value.shape)}" if one.axes else ""
        return f"the shapes differ{moved}" + (f"; a rule with axes {fit} would fit" if fit else "")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return f"the weight is {value.dtype}, the parameter {leaf.dtype}"
    if leaf.dtype == jnp.float16 and value.dtype != jnp.float16:
        limit = float(jnp.finfo(jnp.float16).max)
        if value.size and float(np.max(np.abs(value))) > limit:
            return f"the weight holds numbers beyond {limit:g}, the largest of float16"
    return ""


def _like(name: str, shape: tuple[int, ...], free: Mapping[Any, Any]) -> str:
    """The weight without a parameter that looks most like this parameter, as a half sentence."""
    fit = [source for source, other in free.items() if sorted(other) == sorted(shape)]
    near = difflib.get_close_matches(name, fit, n=1, cutoff=0.5) or fit[: len(fit) == 1]
    return f"; nearest is {near[0]!r} {list(free[near[0]])}" if near else ""
