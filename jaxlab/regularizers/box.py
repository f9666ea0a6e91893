"""Box: every parameter between two bounds."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxlab.core import hyper, tree
from jaxlab.regularizers.additive import Strength
from jaxlab.regularizers.projection import project


def box(low: Strength, high: Strength, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Last in a chain: projects every parameter onto an interval (projected gradient descent).

    .. math::
        \theta_t = \min(\max(\theta_{t-1} + u_t, a), b)

    with the final update :math:`u_t`. ``box(0.0, math.inf)`` keeps parameters nonnegative, exactly: a bound
    of 0 is reached and never crossed by rounding.

    Args:
      low: :math:`a`, a number or ``-inf``, or ordered ``(regular expression, number)`` rules.
      high: :math:`b`, likewise, not below ``low``.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.projection.project`; from ``init``, bounds of a
        leaf in the wrong order (where both are concrete).

    State: none.

    Reference: https://doi.org/10.1090/S0002-9904-1964-11178-2 (Goldstein, 1964), projected gradients.

    >>> from jaxlab.core.chain import chain
    >>> from jaxlab.optimizers import sgd
    >>> tx, params = chain(sgd(1.0), box(0.0, 1.0)), jnp.array([0.25, 0.5])
    >>> updates, _ = tx.update(jnp.array([0.5, -2.0]), tx.init(params), params)
    >>> (params + updates).tolist()
    [0.0, 1.0]
    """

    def check(params: PyTree, lows: PyTree, highs: PyTree) -> None:
        chosen = [name for name, keep in zip(tree.names(params), tree.resolve_mask(mask, params), strict=True) if keep]
        for name, a, b in zip(chosen, jax.tree.leaves(lows), jax.tree.leaves(highs), strict=True):
            if not (hyper.is_traced(a) or hyper.is_traced(b)) and a > b:
                raise ValueError(f"low = {a}, high = {b} for leaf {name!r}: accepted is low <= high")

    return project(jnp.clip, {"low": (low, "[-inf, inf)"), "high": (high, "(-inf, inf]")}, mask, check)
