"""Soft orthogonality: the columns (or rows) of every matrix towards an orthonormal set."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree
from jaxlab.regularizers.additive import Strength, add_term, penalty


def orthogonality(strength: Strength, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Adds the gradient of :math:`\tfrac\lambda2 \lVert W^\top W - I \rVert_F^2`, before the optimizer.

    .. math::
        g + 2 \lambda\, W (W^\top W - I)

    Where a matrix has fewer rows than columns its columns cannot be orthonormal, but its rows can: the
    penalty is then that of :math:`W W^\top`, the smaller Gram matrix. The gradient is the same, the two
    penalties differ by a constant. A leaf with more than two axes is taken as a convolution kernel and
    flattened to ``[-1, outputs]``; a stack of layers, which is none, needs ``jax.vmap`` or a mask. Leaves
    with fewer than two axes pass as they are.

    Args:
      strength: :math:`\lambda`, at least 0, or ordered ``(regular expression, number)`` rules.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.additive.add_term`.

    State: none. Time: 4 x rows x columns x the smaller of the two, in floating point operations for a matrix.

    Reference: https://arxiv.org/abs/1810.09102 (Bansal, Chen and Wang, 2018), soft orthogonality; theirs
    has no half and the Gram matrix of the columns alone.

    >>> tx, params = orthogonality(0.5), {"kernel": jnp.diag(jnp.array([1.0, 2.0])), "bias": jnp.ones(2)}
    >>> updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    >>> updates["kernel"].tolist(), updates["bias"].tolist()
    ([[0.0, 0.0], [0.0, 6.0]], [0.0, 0.0])
    """

    def gradient(w: Float[Array, "..."]) -> Float[Array, "..."]:
        if w.ndim < 2:
            return jnp.zeros_like(w)
        gap, place = _gap(w), _placement(w)
        product = jnp.tensordot(w, gap, 1, **place) if _is_tall(w) else jnp.tensordot(gap, w, w.ndim - 1, **place)
        return 2 * product

    return add_term(gradient, strength, mask)


def orthogonality_penalty(params: PyTree, strength: Strength, mask: tree.Mask = None) -> Float[Array, ""]:
    r"""What :func:`orthogonality` adds to the loss, for reports: :math:`\tfrac\lambda2` times the squared norm.

    >>> orthogonality_penalty({"kernel": jnp.diag(jnp.array([1.0, 2.0])), "bias": jnp.ones(2)}, 0.5).item()
    2.25
    """

    def term(w: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.sum(jnp.square(_gap(w))) / 2 if w.ndim >= 2 else jnp.zeros((), w.dtype)

    return penalty(term, strength, mask, params)


def _is_tall(w: Float[Array, "..."]) -> bool:
    return math.prod(w.shape[:-1]) >= w.shape[-1]


def _gap(w: Float[Array, "..."]) -> Float[Array, "..."]:
    """The smaller Gram matrix minus the identity. That of the rows has all leading axes of ``w``, twice."""
    axes = tuple(range(w.ndim - 1)) if _is_tall(w) else (w.ndim - 1,)
    gram = jnp.tensordot(w, w, (axes, axes), **_placement(w, whole=True))
    size = math.prod(gram.shape[: gram.ndim // 2])
    return gram - jnp.eye(size, dtype=w.dtype).reshape(gram.shape)


def _placement(w: Float[Array, "..."], whole: bool = False) -> dict[str, Any]:
    """How products are computed: in full precision; on explicit mesh axes, placed like ``w`` or whole everywhere."""
    found = jax.typeof(w).sharding
    if AxisType.Explicit not in found.mesh.axis_types:
        return {"precision": "highest"}
    return {"precision": "highest", "out_sharding": NamedSharding(found.mesh, PartitionSpec()) if whole else found}
