"""How updates, which are float32, become parameters of whatever precision."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxlab.core import storage, tree


def apply_updates(params: PyTree, updates: PyTree, rounding: str, step: Array) -> PyTree:
    """Parameters plus updates, added in float32 and cast once to each parameter's dtype.

    Args:
      params: floating arrays.
      updates: a tree like ``params``; a None leaves its parameter as it is.
      rounding: ``"nearest"``, or ``"stochastic"`` for bfloat16 parameters: what nearest rounding would
        swallow, step after step, then arrives on average.
      step: seeds the random bits.
    """
    names = iter(tree.names(params))

    def one(p: Array, u: Array | None) -> Array:
        name = next(names)
        if u is None:
            return p
        total = storage.decode(p) + storage.decode(u)
        if rounding == "stochastic" and p.dtype == jnp.bfloat16:
            return storage.round_stochastically(total, storage.seed_of(name, step, -1))
        return total.astype(p.dtype)

    return jax.tree.map(one, params, updates)


def apply_compensated(params: PyTree, updates: PyTree, compensation: PyTree) -> tuple[PyTree, PyTree]:
    r"""Parameters plus updates by Kahan's sum: what a parameter cannot hold waits until it can.

    .. math::
        s = (\theta + c) + u, \qquad \theta' = \mathrm{round}(s), \qquad c' = \mathrm{round}(s - \theta')

    Args:
      params: floating arrays.
      updates: a tree like ``params``; a None leaves its parameter as it is.
      compensation: :math:`c`, a tree like ``params``; None for a parameter that needs none.

    Returns:
      The new parameters and the new compensation.

    Reference: Kahan, Further remarks on reducing truncation errors, Communications of the ACM 8 (1965).
    """
    leaves, treedef = jax.tree.flatten(params)
    waiting = treedef.flatten_up_to(compensation)
    steps = treedef.flatten_up_to(updates)
    after, lost = [], []
    for p, c, u in zip(leaves, waiting, steps, strict=True):
        if u is None:
            after.append(p)
            lost.append(c)
            continue
        total = storage.decode(p) + (0 if c is None else storage.decode(c)) + storage.decode(u)
        rounded = total.astype(p.dtype)
        after.append(rounded)
        lost.append(None if c is None else (total - storage.decode(rounded)).astype(c.dtype))
    return treedef.unflatten(after), treedef.unflatten(lost)
