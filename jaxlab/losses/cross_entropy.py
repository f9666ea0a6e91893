"""Cross entropy of a softmax: classification with one class out of several."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import classes
from jaxlab.losses import reduction as common


def cross_entropy(
    logits: Real[ArrayLike, "*batch classes"],
    labels: Shaped[ArrayLike, "..."],
    label_smoothing: hyper.Scalar = 0.0,
    ignore_index: int | None = None,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Cross entropy between labels and the softmax of logits.

    .. math::
        l = -\sum_c q_c \log p_c, \quad p = \operatorname{softmax}(z),
        \quad q = (1 - \epsilon)\, y + \epsilon / C

    where :math:`y` is the label, a distribution over :math:`C` classes, all weight on one if it is an index.

    Args:
      logits: :math:`z`, classes on the last axis, any real dtype; computed in float32 (float64 under
        ``jax_enable_x64``). A class whose logit is -inf is impossible, and costs only where it has weight.
      labels: whole numbers, one for each example, or probabilities (also one-hot) shaped like the logits.
        An index that is no class makes its example's loss and gradient NaN: it never wraps around.
      label_smoothing: :math:`\epsilon` in [0, 1].
      ignore_index: examples with this label count for nothing, whether or not it is a class.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` over what is not ignored (0 where that is nothing),
        ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that do not fit, ``label_smoothing`` outside its range, ``ignore_index`` beside
        probabilities, an unknown reduction.
      TypeError: indices that are no integers, complex numbers, an ``ignore_index`` that is no integer.

    Reference: smoothing, https://arxiv.org/abs/1512.00567, section 7.

    >>> loss = cross_entropy(jnp.zeros((3, 4)), jnp.array([0, 3, -1]), ignore_index=-1)
    >>> round(loss.item(), 5)  # log(4)
    1.38629
    """
    smoothing = hyper.number("label_smoothing", label_smoothing, "[0, 1]")
    z = common.real("logits", logits)
    common.check_has_classes("logits", z)
    weights = common.spread(weights, z.shape[:-1])
    common.check_numbers("labels", labels)
    if jnp.ndim(labels) == z.ndim:
        common.check_same_shape("logits", z, "labels", labels)
        if ignore_index is not None:
            raise ValueError(f"ignore_index = {ignore_index}: accepted is None where labels are probabilities")
        y = common.real("labels", labels)
    else:
        index = classes.indices("logits", z.shape, labels, or_else=f" or probabilities of shape {z.shape}")
        weights = classes.ignore(weights, index, ignore_index)
        y = classes.one_hot(index, z.shape[-1])

    seen = weights[..., None]
    q = (1 - smoothing) * common.visible(y, seen) + smoothing / z.shape[-1]
    log_p = jax.nn.log_softmax(common.visible(z, seen))
    # An impossible class (log p = -inf) that has no weight costs nothing: 0, not 0 * inf.
    return common.reduce(-jnp.sum(jnp.where(q == 0, 0, q * log_p), axis=-1), weights, reduction)
