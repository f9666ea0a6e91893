"""Hinge losses for several classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import classes
from jaxlab.losses import reduction as common

FORMS = ("crammer_singer", "weston_watkins")


def multiclass_hinge(
    scores: Real[ArrayLike, "*batch classes"],
    labels: Shaped[ArrayLike, "..."],
    ignore_index: int | None = None,
    *,
    form: str = "crammer_singer",
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""What the true class lacks of a lead of 1 over the others.

    Crammer and Singer's form looks at the strongest of them, Weston and Watkins' at all:

    .. math::
        l_{CS} = \max(0, 1 + \max_{c \ne y} s_c - s_y), \quad
        l_{WW} = \sum_{c \ne y} \max(0, 1 + s_c - s_y)

    scikit-learn's ``hinge_loss`` of more than two classes is the first form. PyTorch's ``MultiMarginLoss`` is
    the second divided by the number of classes, the true one included.

    Args:
      scores: :math:`s`, classes on the last axis, any real dtype; computed in float32 (float64 under
        ``jax_enable_x64``).
      labels: :math:`y`, whole numbers, one for each example. An index that is no class makes its example's
        loss and gradient NaN.
      ignore_index: examples with this label count for nothing, whether or not it is a class.
      form: ``"crammer_singer"`` or ``"weston_watkins"``.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` over what is not ignored (0 where that is nothing),
        ``"sum"`` or ``"none"``.

    Returns:
      The loss. Where several classes violate the margin equally, Crammer and Singer's gradient is shared
      among them.

    Raises:
      ValueError: shapes that do not fit, an unknown form or reduction.
      TypeError: labels that are no integers, complex numbers, an ``ignore_index`` that is no integer.

    Reference: Crammer and Singer 2001, https://jmlr.org/papers/v2/crammer01a.html, equation 3; Weston and
    Watkins, Support vector machines for multi-class pattern recognition, 1999.

    >>> scores = jnp.array([[2.0, 1.5, 1.25]])
    >>> multiclass_hinge(scores, jnp.array([0])).item()
    0.5
    >>> multiclass_hinge(scores, jnp.array([0]), form="weston_watkins").item()
    0.75
    """
    hyper.one_of("form", form, FORMS)
    s = common.real("scores", scores)
    common.check_has_classes("scores", s)
    index = classes.indices("scores", s.shape, labels)
    weights = classes.ignore(common.spread(weights, s.shape[:-1]), index, ignore_index)
    known = common.visible(classes.known(index, s.shape[-1]), weights)
    s = common.visible(s, weights[..., None]) * known[..., None]

    is_true = classes.chosen(index, s.shape[-1])
    lead = s - jnp.sum(jnp.where(is_true, s, 0), axis=-1, keepdims=True)
    violations = jnp.where(is_true, 0, jax.nn.relu(1 + lead))
    values = jnp.max(violations, axis=-1) if form == "crammer_singer" else jnp.sum(violations, axis=-1)
    return common.reduce(values, weights, reduction)
