"""Weights in 8 bits, for models that are used and no longer trained."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.layouts import OTHERS, VECTORS, Layouts, axes_of, check_layouts, layout_of
from jaxlab.core.leafwise import require_real

LARGEST = 127
"""The largest code. -128 is none: codes are symmetric around zero, which is exact."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Quantized:
    """A matrix in 8 bits: a pytree node that stands where the array would.

    Attributes:
      codes: whole numbers from -127 to 127, in the matrix's shape.
      scales: what a code of 1 is worth: one for each output, with an axis of length 1 for each of the inputs.
      dtype: the matrix's own.
    """

    codes: Int8[Array, "..."]
    scales: Float[Array, "..."]
    dtype: str = dataclasses.field(metadata={"static": True})


def quantize(params: PyTree[Array], layouts: Layouts = ()) -> PyTree:
    r"""Every matrix in 8 bits, with one scale for each of its outputs.

    .. math::
        s_j = \max_i |w_{ij}| / 127, \qquad q_{ij} = \operatorname{round}(w_{ij} / s_j), \qquad
        |w_{ij} - s_j q_{ij}| \le s_j / 2

    Zeros stay zeros, and an output whose weights are all zero has the scale 0. What is no matrix (biases, norms) stays
    as it is. Nothing is calibrated: no data are needed, activations keep their precision.

    Args:
      params: floating arrays, such as a trained model's.
      layouts: ordered ``(regular expression, layout)`` rules over the names of leaves,
        :data:`~jaxlab.core.layouts.Layouts`: rows ``r`` are inputs, columns ``c`` outputs, ``b`` stacked matrices,
        each with scales of its own; ``"others"`` stays as it is. Without a rule, names and ranks tell; an embedding
        has a scale for each of its rows, which are looked up.

    Returns:
      The tree with a :class:`Quantized` in place of each matrix. :func:`dequantize` it inside the compiled program: its
      arguments, what lies in memory, are then the codes.

    Raises:
      ValueError: a matrix with NaN or inf, which is named; a leaf of which nobody can tell.
      TypeError: a leaf that is no real floating array; layouts that are no rules.

    Memory: a byte for each weight and 4 for each output (:func:`jaxlab.core.cost.bytes_of` counts them).

    >>> params = {"kernel": jnp.array([[1.27, 0.0], [-0.5, 0.0]]), "bias": jnp.ones(2)}
    >>> small = quantize(params)
    >>> small["kernel"].codes.tolist(), small["kernel"].scales.round(6).tolist()
    ([[127, 0], [-50, 0]], [[0.009999999776482582, 0.0]])
    >>> dequantize(small)["kernel"].round(6).tolist() == params["kernel"].tolist()
    True
    """
    rules = check_layouts(layouts)

    def one(path: Any, w: Any) -> Any:
        name = tree.path_name(path)
        require_real(name, w)
        layout = _layout(rules, name, w)
        if layout == OTHERS:
            return w
        full = jnp.asarray(w, hyper.arithmetic_dtype())
        if not hyper.is_traced(w) and not bool(jnp.isfinite(full).all()):
            raise ValueError(f"params: {name!r} has weights that are NaN or infinite: accepted are finite ones")
        codes, scales = _rounded(full, tuple(axes_of(layout)[1]))
        return Quantized(codes, scales, str(jnp.result_type(w)))

    return jax.tree_util.tree_map_with_path(one, params)


def dequantize(params: PyTree) -> PyTree[Array]:
    r"""The weights :math:`s_j q_{ij}`, each matrix in its own dtype: what a model is called with.

    Args:
      params: from :func:`quantize`; other leaves pass.

    >>> small = quantize({"kernel": jnp.eye(3)})
    >>> apply = jax.jit(lambda params, x: x @ dequantize(params)["kernel"])
    >>> apply(small, jnp.ones((1, 3))).tolist()
    [[1.0, 1.0, 1.0]]
    """

    def one(leaf: Any) -> Any:
        if not is_quantized(leaf):
            return leaf
        return (leaf.codes.astype(leaf.scales.dtype) * leaf.scales).astype(leaf.dtype)

    return jax.tree.map(one, params, is_leaf=is_quantized)


def is_quantized(node: Any) -> bool:
    """Whether a node of a tree is a :class:`Quantized`, as ``is_leaf``."""
    return isinstance(node, Quantized)


@functools.partial(jax.jit, static_argnums=1)
def _rounded(w: Array, inputs: tuple[int, ...]) -> tuple[Array, Array]:
    scales = jnp.max(jnp.abs(w), axis=inputs, keepdims=True) / LARGEST
    codes = jnp.round(w / jnp.where(scales > 0, scales, 1))
    return jnp.clip(codes, -LARGEST, LARGEST).astype(jnp.int8), scales


def _layout(rules: Layouts, name: str, w: Any) -> str:
    layout = layout_of(rules, name, w)
    # What optimizers of matrices leave to others is not always a vector: heads and embeddings are large.
    known = any(re.search(pattern, name) for pattern, _ in rules)
    if layout != OTHERS or known or jnp.ndim(w) != 2 or re.search(VECTORS, name) or not jnp.size(w):
        return layout
    return "cr" if re.search(r"(?i)emb|wte|wpe|pos", name) else "rc"
