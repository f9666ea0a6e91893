"""Which axes of a leaf make matrices: by rules over names, else by what a name and a rank say."""

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxlab.core import tree

OTHERS = "others"
"""The layout of a leaf that is no matrix, and the label of such leaves."""

MATRICES = "matrices"
"""The label of leaves that hold matrices."""

Layouts = tree.Rules[str]
"""Ordered ``(regular expression, layout)`` rules over the names of leaves.

A layout has one letter for each axis of the leaf: ``r`` and ``c`` for those that make a matrix's rows and columns,
``b`` for those that count matrices; or it is ``"others"``, for what is no matrix. A dense kernel is ``"rc"``, a
convolution's [height, width, in, out] is ``"rrrc"``, scanned dense kernels are ``"brc"``, an attention's [width, heads,
size] is ``"rbc"`` head by head and ``"rcc"`` as one.

A rule counts for every leaf in whose name its expression is found, biases included: ``("attn/.*kernel", "rbc")`` means
the kernels alone. Leaves without a rule are known by their names, see :func:`layout_of`.
"""

VECTORS = r"(?i)(^|/)(bias|scale|gamma|beta|offset|\w*norm)$"
"""Names of what is a vector for each layer, however many axes it has."""

_WORDS = r"\w*embed\w*|\w*emb|pos|wte|wpe|lm_head|head|logits|readout|classifier"

_DEFAULTS: tuple[tuple[str, str, str], ...] = (
    # Biases and scales, stacked or not; then embeddings and heads: their rows or columns are words, not directions.
    (VECTORS, ".*", OTHERS),
    (rf"(^|/)({_WORDS})(/(kernel|weight|w))?$", ".*", OTHERS),
    (r"", "|.", OTHERS),
    (r"", "..", "rc"),
    # Flax's attention, and convolutions of one and two dimensions.
    (r"(query|key|value)/(kernel|weight)$", "...", "rcc"),
    (r"out/(kernel|weight)$", "...", "rrc"),
    (r"conv", "...", "rrc"),
    (r"conv", "....", "rrrc"),
)


def layout_of(layouts: Layouts, name: str, leaf: Any) -> str:
    """The layout of one leaf: by the first rule that is found in its name, else by what its name and rank say.

    Without a rule, leaves with fewer than two axes, biases, scales, embeddings and heads are no matrices; those
    with two axes are; Flax's attention kernels (whole) and whatever is called conv are known by name. Embeddings and
    heads are, too: a last layer that Linen has named ``Dense_2`` counts as a matrix until a rule says ``"others"``.

    Raises:
      ValueError: a leaf with more axes that no rule describes; a layout that does not fit its leaf.

    >>> layout_of((), "dense/kernel", jnp.ones((3, 4))), layout_of((), "embed/embedding", jnp.ones((3, 4)))
    ('rc', 'others')
    >>> layout_of([("blocks", "brc")], "blocks/dense/kernel", jnp.ones((2, 3, 4)))
    'brc'
    """
    shape = jnp.shape(leaf)
    for pattern, layout in layouts:
        if re.search(pattern, name):
            return _checked(layout, name, shape)
    if 0 in shape:
        return OTHERS
    for pattern, rank, layout in _DEFAULTS:
        if re.search(pattern, name, re.IGNORECASE) and re.fullmatch(rank, "." * len(shape)):
            return layout
    letters = "b" * (len(shape) - 2) + "rc"
    raise ValueError(
        f"leaf {name!r} of shape {shape} may be one matrix, several, or none: say which, by a rule such as "
        f"({name!r}, {letters!r}), where b are axes that count matrices, r rows and c columns, "
        f"or ({name!r}, {OTHERS!r})"
    )


def labels_of(rules: Layouts) -> Callable[[str, Any], str]:
    """``(name, leaf) -> "matrices"`` or ``"others"``, for :func:`~jaxlab.core.partition.partition`."""
    return lambda name, leaf: OTHERS if layout_of(rules, name, leaf) == OTHERS else MATRICES


def check_layouts(layouts: Any) -> tuple[tuple[str, str], ...]:
    """The rules as a tuple, which can be hashed; checked on the host.

    Raises:
      TypeError: what is no sequence of pairs of strings.
      ValueError: a word that is no layout, a pattern that is no regular expression.
    """
    accepted = "(regular expression, layout) rules, such as ('conv', 'rrrc')"
    rules = tree.check_rules("layouts", layouts, accepted)
    for pattern, layout in rules:
        if not isinstance(layout, str):
            raise TypeError(f"layouts = {layouts!r}: accepted are {accepted}")
        _checked(layout, pattern, None)
    return tuple(rules)


def _checked(layout: str, name: str, shape: tuple[int, ...] | None) -> str:
    if layout == OTHERS:
        return layout
    if set(layout) - set("brc") or "r" not in layout or "c" not in layout:
        raise ValueError(
            f"layout {layout!r} for {name!r}: accepted are {OTHERS!r} and words of b, r and c with at least one r and c"
        )
    if shape is not None and len(layout) != len(shape):
        raise ValueError(
            f"layout {layout!r} for leaf {name!r} of shape {shape}: accepted is one letter for each axis. If the rule "
            f"is not meant for this leaf, put ({name!r}, {OTHERS!r}) or one like it before"
        )
    return layout


def layout_of_matrix(rules: Layouts, name: str, leaf: Any) -> str:
    """The layout of a leaf that must hold matrices.

    Raises:
      ValueError: it holds none, or nobody can tell.
    """
    layout = layout_of(rules, name, leaf)
    if layout == OTHERS:
        raise ValueError(
            f"leaf {name!r} of shape {jnp.shape(leaf)} is no matrix: give it to another transform, as muon "
            "and its kin do, or say what its axes are by a rule of layouts"
        )
    return layout


def axes_of(layout: str) -> list[list[int]]:
    """The axes of a leaf that count matrices, that are rows, that are columns."""
    return [[i for i, letter in enumerate(layout) if letter == kind] for kind in "brc"]
