"""Whether a step may be taken, known before anything is written, at as few readings of memory as that takes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from jaxlab.core import hyper, tree


def all_finite(loss: Array, grad_norm: Array, update_norm: Array, before: PyTree, after: PyTree) -> Bool[Array, ""]:
    r"""Whether loss, gradient, update and all that would be written are finite.

    New parameters are not read where they need not be: with :math:`\|\theta\|` and :math:`\|u\|` below the root of
    the largest number, :math:`|\theta_i + u_i| \le \|\theta\| + \|u\|` is far below the largest number of float32 and
    bfloat16. float16 ends at 65504: what would be written in it is looked at.

    Args:
      loss, grad_norm, update_norm: scalars.
      before: the parameters.
      after: the new parameters and the new model state, each a tree; the first is like ``before``.
    """
    params, model_state = after
    overflowing = [leaf for leaf in jax.tree.leaves(params) if _may_overflow(leaf)]
    states = [leaf for leaf in jax.tree.leaves(model_state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    norms = jnp.stack([loss.astype(grad_norm.dtype), grad_norm, update_norm, tree.global_norm(before)])
    return jnp.all(jnp.isfinite(norms)) & jnp.isfinite(tree.global_norm((overflowing, states)))


def computed_once(values: PyTree[Array]) -> PyTree[Array]:
    """The same arrays, each in memory once: on a CPU, XLA would compute or square it anew for some of its uses."""

    def here(values: PyTree[Array]) -> PyTree[Array]:
        return jax.tree.map(jax.lax.optimization_barrier, values)

    return jax.lax.platform_dependent(values, cpu=here, default=lambda values: values)


def _may_overflow(leaf: Array) -> bool:
    norms_end = float(jnp.finfo(hyper.arithmetic_dtype()).max) ** 0.5
    return float(jnp.finfo(leaf.dtype).max) < 2 * norms_end
