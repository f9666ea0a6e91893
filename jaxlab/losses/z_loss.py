"""The z-loss: a term that keeps the normaliser of a softmax near 1."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import reduction as common


def z_loss(
    logits: Real[ArrayLike, "*batch classes"],
    strength: hyper.Scalar = 1e-4,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""A penalty on the log of the softmax's normaliser, to be added to a cross entropy.

    .. math::
        l = \lambda \log^2 Z, \quad Z = \sum_c e^{z_c}

    Cross entropy does not see a shift of all logits, so in low precision they may drift to where they are
    coarse; this term holds them. Give it the weights of the loss it is added to: with labels that are
    ignored, ``weights=labels != ignore_index``.

    Args:
      logits: :math:`z`, classes on the last axis, any real dtype; computed in float32 (float64 under
        ``jax_enable_x64``).
      strength: :math:`\lambda` of at least 0.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"`` over examples, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or
        ``"none"``.

    Raises:
      ValueError: ``strength`` below 0, weights that do not fit, an unknown reduction.
      TypeError: complex numbers.

    Reference: PaLM, https://arxiv.org/abs/2204.02311, section 5.

    >>> from jaxlab.losses import cross_entropy
    >>> logits, labels = jnp.full((3, 4), 5.0), jnp.array([0, 3, -1])
    >>> loss = cross_entropy(logits, labels, ignore_index=-1) + z_loss(logits, weights=labels != -1)
    >>> round(loss.item(), 5)  # log(4) + 1e-4 (5 + log(4))^2
    1.39037
    """
    strength = hyper.number("strength", strength, "[0, inf)")
    z = common.real("logits", logits)
    common.check_has_classes("logits", z)
    weights = common.spread(weights, z.shape[:-1])
    log_normaliser = jax.nn.logsumexp(common.visible(z, weights[..., None]), axis=-1)
    return common.reduce(strength * jnp.square(log_normaliser), weights, reduction)
