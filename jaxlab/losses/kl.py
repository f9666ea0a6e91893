"""Kullback-Leibler divergence of a softmax from a given distribution."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.losses import reduction as common


def kl(
    logits: Real[ArrayLike, "*batch classes"],
    probabilities: Real[ArrayLike, "*batch classes"],
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""What a code made for the softmax of logits wastes on the true distribution, in nats.

    .. math::
        D(q \,\|\, p) = \sum_c q_c (\log q_c - \log p_c), \quad p = \operatorname{softmax}(z), \quad 0 \log 0 = 0

    This is :func:`jaxlab.losses.cross_entropy` less the entropy of :math:`q`: the gradient is the same, but the
    least value is 0. PyTorch's ``KLDivLoss`` takes :math:`\log p` first and means this one by
    ``reduction="batchmean"``: its ``"mean"`` divides by the number of classes besides.

    Args:
      logits: :math:`z`, classes on the last axis, any real dtype; computed in float32 (float64 under
        ``jax_enable_x64``). A class whose logit is -inf is impossible, and costs only where :math:`q` is not 0.
      probabilities: :math:`q`, of the same shape, taken as they are: they should be at least 0 (below is NaN)
        and add up to 1.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"`` over examples, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or
        ``"none"``.

    Raises:
      ValueError: shapes that do not fit, an unknown reduction.
      TypeError: complex numbers.

    Reference: Kullback and Leibler, On information and sufficiency, 1951,
    https://doi.org/10.1214/aoms/1177729694.

    >>> round(kl(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])).item(), 5)  # log(2)
    0.69315
    """
    z = common.real("logits", logits)
    common.check_has_classes("logits", z)
    common.check_same_shape("logits", z, "probabilities", probabilities)
    weights = common.spread(weights, z.shape[:-1])
    seen = weights[..., None]
    q = common.visible(common.real("probabilities", probabilities), seen)
    log_p = jax.nn.log_softmax(common.visible(z, seen))
    log_q = jnp.log(jnp.where(q == 0, 1, q))
    # What is not there costs nothing even where it is impossible: 0, not 0 * inf.
    return common.reduce(jnp.sum(q * jnp.where(q == 0, 0, log_q - log_p), axis=-1), weights, reduction)
