"""LoRA: low-rank adaptation of matrices that stay as they are (Hu et al., 2021)."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jaxlab.core import hyper, parts, tree
from jaxlab.core.layouts import OTHERS, Layouts, axes_of, check_layouts, layout_of
from jaxlab.core.leafwise import require_real

BASE, LORA = "base", "lora"
"""What the parameters of an adapted model consist of."""

_KEY = 0x10A


def lora(
    params: PyTree,
    key: Key[Array, ""],
    rank: int,
    targets: parts.Which | None = None,
    layouts: Layouts = (),
) -> dict[str, Any]:
    r"""Adapters for the matrices of a model: what is trained in their place.

    .. math::
        W' = W + \frac{\alpha}{r} A B, \qquad A \in \mathbb{R}^{m \times r},\ B \in \mathbb{R}^{r \times n}

    for a matrix of :math:`m` inputs and :math:`n` outputs. :math:`A` is uniform in :math:`\pm 1 / \sqrt{m}`, as in the
    authors' code (the paper says Gaussian), :math:`B` is zero: an adapted model begins as what it was. A convolution's
    kernel is the matrix of (height, width, in) and out; of a stack each layer has adapters of its own.

    Args:
      params: of the model, or their shapes.
      key: for :math:`A`.
      rank: :math:`r`, at least 1, at most a matrix's shorter side (static).
      targets: which leaves get adapters: a regular expression found in their names, (regular expression, bool) rules,
        or a tree of bools. By default every matrix: no biases and scales, no embeddings and heads.
      layouts: which axes are a matrix's rows and columns, where names and ranks do not tell:
        :data:`~jaxlab.core.layouts.Layouts`, such as ``[("^blocks/.*kernel$", "brc")]`` for scanned blocks. Axes that
        count matrices come first, those of outputs last.

    Returns:
      Nested dicts: for a leaf ``dense/kernel`` the leaves ``dense/kernel/a`` [..., m, r] and ``dense/kernel/b``
      [..., r, n], in float32. :func:`adapted` takes them.

    Raises:
      ValueError: a rank below 1 or above a side; a leaf of ``targets`` that is no matrix, or of which nobody can tell.
      TypeError: a leaf that is no floating array, what is no key.

    Reference: https://arxiv.org/abs/2106.09685, section 4.1.

    >>> params = {"dense": {"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))}}
    >>> adapters = lora(params, jax.random.key(0), rank=1)
    >>> jax.tree.map(jnp.shape, adapters)
    {'dense': {'kernel': {'a': (2, 1), 'b': (1, 3)}}}
    >>> bool((adapted(params, adapters)["dense"]["kernel"] == params["dense"]["kernel"]).all())
    True
    """
    hyper.random_key("key", key)
    hyper.integer("rank", rank, at_least=1)
    rules = check_layouts(layouts)
    names, leaves = tree.names(params), jax.tree.leaves(params)
    flags = [True] * len(leaves) if targets is None else parts.chosen("targets", targets, params)
    forms = {}
    for name, leaf, flag in zip(names, leaves, flags, strict=True):
        require_real(name, leaf)
        layout = layout_of(rules, name, leaf) if flag else OTHERS
        if layout != OTHERS:
            forms[name] = _form(name, leaf.shape, layout, rank)
        elif flag and targets is not None:
            raise ValueError(
                f"targets: leaf {name!r} of shape {tuple(leaf.shape)} is no matrix: accepted are targets without it, "
                "or a rule of layouts that says what its axes are"
            )
    if not forms:
        raise ValueError(f"params have no matrix: accepted are targets and layouts that name some of {names[:8]}")
    adapters = {}
    for (name, (stack, rows, columns)), own in zip(forms.items(), jax.random.split(key, len(forms)), strict=True):
        bound, full = 1 / math.sqrt(rows), hyper.arithmetic_dtype()
        adapters[f"{name}/a"] = jax.random.uniform(own, (*stack, rows, rank), full, -bound, bound)
        adapters[f"{name}/b"] = jnp.zeros((*stack, rank, columns), full)
    return tree.nested(adapters)


def _form(name: str, shape: tuple[int, ...], layout: str, rank: int) -> tuple[tuple[int, ...], int, int]:
    """How many matrices a leaf stacks, along which axes, and their rows and columns."""
    if not re.fullmatch("b*r+c+", layout):
        raise ValueError(
            f"layout {layout!r} for leaf {name!r}: accepted are words of b, then r, then c, as 'rcc' for the [width, "
            "heads, size] of an attention"
        )
    stacked, rows, columns = ([shape[axis] for axis in axes] for axes in axes_of(layout))
    inputs, outputs = math.prod(rows), math.prod(columns)
    if rank > min(inputs, outputs):
        raise ValueError(
            f"rank = {rank}: leaf {name!r} is a matrix of {inputs} x {outputs}; accepted is at most "
            f"{min(inputs, outputs)} there, or targets without it"
        )
    return tuple(stacked), inputs, outputs


def adapted(base: PyTree, adapters: PyTree, alpha: hyper.Scalar | None = None) -> PyTree:
    r"""The weights of an adapted model, :math:`W + \tfrac{\alpha}{r} A B`: what it is called with.

    While adapters are trained, and at the end: so merged, they cost nothing.

    Args:
      base: parameters; those without adapters pass.
      adapters: from :func:`lora`.
      alpha: :math:`\alpha`, which may be traced; by default the rank. With Adam it does much the same as the learning
        rate of the adapters, so the paper does not tune it.

    Returns:
      The parameters, in their dtypes; the sum is made in float32.

    Raises:
      ValueError: adapters for a leaf that is not there or has another size.

    >>> base, adapters = {"w": jnp.eye(2)}, {"w": {"a": jnp.ones((2, 1)), "b": jnp.array([[0.0, 1.0]])}}
    >>> adapted(base, adapters, alpha=0.5)["w"].tolist()
    [[1.0, 0.5], [0.0, 1.5]]
    """
    if alpha is not None:
        alpha = hyper.number("alpha", alpha)
    found = tree.named(adapters)
    full = hyper.arithmetic_dtype()

    def one(path: Any, w: Any) -> Any:
        name = tree.path_name(path)
        if not {f"{name}/a", f"{name}/b"} <= found.keys():
            return w
        a, b = (jnp.asarray(found.pop(f"{name}/{part}"), full) for part in "ab")
        # The first axes of a kernel are its stack and its rows, the last its columns: as those of the product are.
        change = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
        if change.size != w.size:
            raise ValueError(f"adapters of {name!r} have shapes {a.shape}, {b.shape}: accepted are those for {w.shape}")
        scale = 1 if alpha is None else alpha / a.shape[-1]
        return (jnp.asarray(w, full) + scale * change.reshape(w.shape)).astype(w.dtype)

    whole = jax.tree_util.tree_map_with_path(one, base)
    if found:
        raise ValueError(
            f"adapters for {sorted(found)}: accepted are leaves of {tree.names(base)[:8]}, an a and a b each"
        )
    return whole


@dataclasses.dataclass(frozen=True)
class LoraInit:
    """The ``init`` of an adapted model, ``key -> {"base": ..., "lora": ...}``, as a task takes it.

    Equal for equal parts, so that tasks share what is compiled.

    Attributes:
      init: ``key -> params``, the model's own; the base is what it makes of the key.
      rank, targets, layouts: as in :func:`lora`; rules are tuples here.
    """

    init: Callable[..., Any]
    rank: int
    targets: str | tuple[tuple[str, bool], ...] | None = None
    layouts: tuple[tuple[str, str], ...] = ()

    def __call__(self, key: Key[Array, ""]) -> dict[str, Any]:
        """Fresh parameters."""
        base = self.init(key)
        return {BASE: base, LORA: lora(base, jax.random.fold_in(key, _KEY), self.rank, self.targets, self.layouts)}


@dataclasses.dataclass(frozen=True)
class LoraLoss:
    """The loss of an adapted model, whose parameters :class:`LoraInit` makes.

    With the base frozen the adapters are trained alone, and what of the base is not frozen, such as a new head:

        matched = match(task.init(key), "model.safetensors", new="^head/")
        task = dataclasses.replace(
            task, init=LoraInit(task.init, rank=4), loss=LoraLoss(task.loss), frozen={"base": matched.start}
        )

    Attributes:
      loss: ``(params, batch, key) -> (loss, metrics)``, the model's own.
      alpha: as in :func:`adapted`.
    """

    loss: Any
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None:
            hyper.number("alpha", self.alpha)

    def __call__(self, params: PyTree, batch: PyTree, key: Key[Array, ""] | None) -> Any:
        """``(loss, metrics)`` of the adapted weights."""
        return self._adapted(self.loss)(params, batch, key)

    @property
    def names(self) -> tuple[str, ...]:
        """The loss's own hyperparameters, where it has some; AttributeError where not."""
        return self.loss.names

    @property
    def given(self) -> Callable[..., "LoraLoss"]:
        """The loss at these, where it has some; AttributeError where not."""
        given = self.loss.given
        return lambda hyperparams: LoraLoss(given(hyperparams), self.alpha)

    @property
    def residuals(self) -> Callable[..., Array]:
        """The loss's own, where it has them; AttributeError where not."""
        return self._adapted(self.loss.residuals)

    @property
    def sampled(self) -> Callable[..., Array]:
        """The loss's own, where it has them; AttributeError where not."""
        return self._adapted(self.loss.sampled)

    def _adapted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, batch, key: function(adapted(params[BASE], params[LORA], self.alpha), batch, key)
