"""Max-norm: no unit's incoming weights are longer than a radius (Srivastava et al., 2014)."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import tree
from jaxlab.regularizers import groups
from jaxlab.regularizers.additive import Strength
from jaxlab.regularizers.projection import project


def max_norm(radius: Strength, axis: int | None = -1, mask: tree.Mask = None) -> optax.GradientTransformationExtraArgs:
    r"""Last in a chain: projects every unit's incoming weights onto a ball.

    .. math::
        w_t = x_t \min\left(1, \frac{c}{\lVert x_t \rVert_2}\right), \qquad x_t = w_{t-1} + u_t

    for the weights :math:`w` of one unit and the final update :math:`u_t`. A unit is what shares an index of
    one axis: by default the last, which numbers the outputs of a dense kernel ``[inputs, outputs]`` and of a
    convolution kernel. (Keras' ``axis`` names the other axes, those that the norm runs over.) Leaves with
    fewer than two axes (biases) hold no incoming weights and are left alone, unless ``axis`` is None.

    Args:
      radius: :math:`c`, at least 0, or ordered ``(regular expression, number)`` rules. Usual are 3 to 4.
      axis: the axis that numbers the units, static; None takes each leaf, of any rank, as one unit.
      mask: which leaves: None (all), ``"matrices"``, rules, a tree of bools, or a function of the parameters.

    Raises:
      ValueError, TypeError: see :func:`~jaxlab.regularizers.projection.project`; an axis that is no integer
        or, from ``init``, that a leaf does not have.

    State: none.

    Reference: https://jmlr.org/papers/v15/srivastava14a.html, section 5.1.

    >>> from jaxlab.core.chain import chain
    >>> from jaxlab.optimizers import sgd
    >>> tx, params = chain(sgd(1.0), max_norm(2.0)), jnp.array([[3.0, 1.0], [0.0, 1.0]])
    >>> updates, _ = tx.update(jnp.zeros((2, 2)), tx.init(params), params)
    >>> (params + updates).tolist()
    [[2.0, 1.0], [0.0, 1.0]]
    """
    groups.check_axis(axis)

    def onto(x: Float[Array, "..."], limit: Float[Array, ""]) -> Float[Array, "..."]:
        if axis is not None and x.ndim < 2:
            return x
        norm = groups.norms(x, axis)
        outside = norm > limit
        return x * jnp.where(outside, limit / jnp.where(outside, norm, 1), 1)

    def check(params: PyTree, radii: PyTree) -> None:
        groups.check_axis_fits(axis, params, tree.resolve_mask(mask, params))

    return project(onto, {"radius": (radius, "[0, inf)")}, mask, check)
