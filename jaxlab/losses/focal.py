"""Focal losses: cross entropy that looks away from examples already learnt."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import classes
from jaxlab.losses import reduction as common


def focal(
    logits: Real[ArrayLike, "*batch classes"],
    labels: Shaped[ArrayLike, "..."],
    gamma: hyper.Scalar = 2.0,
    alpha: Real[ArrayLike, " classes"] | None = None,
    ignore_index: int | None = None,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Cross entropy times :math:`(1 - p)^\gamma`, where :math:`p` is what the softmax gives the true class.

    .. math::
        l = -\alpha_y (1 - p_y)^\gamma \log p_y, \quad p = \operatorname{softmax}(z)

    :math:`\gamma = 0` is cross entropy. Everything follows from the true class's log-odds against all others,
    :math:`u = z_y - \log \sum_{c \ne y} e^{z_c}`, so nothing is lost and no gradient is infinite as
    :math:`p \to 1`, whatever :math:`\gamma` is. For independent yes-or-no labels see :func:`sigmoid_focal`.

    Args:
      logits: :math:`z`, classes on the last axis, any real dtype; computed in float32 (float64 under
        ``jax_enable_x64``).
      labels: :math:`y`, whole numbers, one for each example. An index that is no class makes its example's
        loss and gradient NaN.
      gamma: :math:`\gamma` of at least 0.
      alpha: :math:`\alpha`, one number for each class; None for 1. They are no weights: the mean does not
        divide by them.
      ignore_index: examples with this label count for nothing, whether or not it is a class.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` over what is not ignored (0 where that is nothing),
        ``"sum"`` or ``"none"``.

    Raises:
      ValueError: ``gamma`` below 0, shapes that do not fit, an unknown reduction.
      TypeError: labels that are no integers, complex numbers, an ``ignore_index`` that is no integer.

    Reference: https://arxiv.org/abs/1708.02002, section 3.

    >>> labels = jnp.array([0])
    >>> round(focal(jnp.zeros((1, 2)), labels).item(), 5)  # log(2) / 4
    0.17329
    >>> round(focal(jnp.zeros((1, 2)), labels, alpha=jnp.array([0.5, 2.0])).item(), 5)
    0.08664
    """
    gamma = hyper.number("gamma", gamma, "[0, inf)")
    z = common.real("logits", logits)
    common.check_has_classes("logits", z)
    index = classes.indices("logits", z.shape, labels)
    weights = classes.ignore(common.spread(weights, z.shape[:-1]), index, ignore_index)
    known = common.visible(classes.known(index, z.shape[-1]), weights)
    z = common.visible(z, weights[..., None]) * known[..., None]

    is_true = classes.chosen(index, z.shape[-1])
    # The lowest finite number, no -inf: log-odds of a class without rivals stay finite.
    others = jax.nn.logsumexp(jnp.where(is_true, jnp.finfo(z.dtype).min, z), axis=-1)
    values = _focal(jnp.sum(jnp.where(is_true, z, 0), axis=-1) - others, gamma)
    if alpha is not None:
        values = values * jnp.sum(jnp.where(is_true, _one_for_each_class(alpha, z.shape), 0), axis=-1)
    return common.reduce(values, weights, reduction)


def sigmoid_focal(
    logits: Real[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    gamma: hyper.Scalar = 2.0,
    alpha: hyper.Scalar | None = None,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""The focal loss of yes-or-no labels, as object detectors use it.

    .. math::
        l = -y\, \alpha\, (1 - p)^\gamma \log p - (1 - y)(1 - \alpha)\, p^\gamma \log(1 - p),
        \quad p = \sigma(z)

    Args:
      logits: :math:`z`, log-odds, any shape and real dtype; computed in float32 (float64 under
        ``jax_enable_x64``).
      labels: :math:`y`, 0 and 1, booleans, or probabilities, of the same shape. Others, -1 as well, are taken as they
        are, and the loss has no lowest value.
      gamma: :math:`\gamma` of at least 0; with 0 and no ``alpha`` this is :func:`jaxlab.losses.log_loss`.
      alpha: :math:`\alpha` in [0, 1], the share of the positive class; None leaves both factors out. The
        paper and torchvision take 0.25.
      weights: one for each element or, shaped like the leading axes, for each example; booleans select.
        Where a weight is 0 nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` (0 where all weights are 0), ``"sum"`` or ``"none"``. The
        paper divides the sum by the number of positive labels.

    Raises:
      ValueError: ``gamma`` or ``alpha`` outside its range, shapes that differ, weights that do not fit, an
        unknown reduction.
      TypeError: complex numbers.

    Reference: https://arxiv.org/abs/1708.02002, equations 4 and 5.

    >>> round(sigmoid_focal(jnp.zeros(1), jnp.ones(1), alpha=0.25).item(), 5)  # log(2) / 16
    0.04332
    """
    gamma = hyper.number("gamma", gamma, "[0, inf)")
    yes, no = 1.0, 1.0
    if alpha is not None:
        yes = hyper.number("alpha", alpha, "[0, 1]")
        no = 1 - yes
    common.check_same_shape("logits", logits, "labels", labels)
    weights = common.spread(weights, jnp.shape(logits))
    z = common.visible(common.real("logits", logits), weights)
    y = common.visible(common.real("labels", labels), weights)
    return common.reduce(y * yes * _focal(z, gamma) + (1 - y) * no * _focal(-z, gamma), weights, reduction)


def _focal(log_odds: Float[Array, "..."], gamma: Float[Array, ""]) -> Float[Array, "..."]:
    """The loss of one outcome with these log-odds; log(1 - p) and -log p are softplus of either sign."""
    return jnp.exp(-gamma * jax.nn.softplus(log_odds)) * jax.nn.softplus(-log_odds)


def _one_for_each_class(alpha: ArrayLike, shape: tuple[int, ...]) -> Float[Array, " classes"]:
    common.check_numbers("alpha", alpha)
    if jnp.shape(alpha) != shape[-1:]:
        raise ValueError(f"alpha has shape {jnp.shape(alpha)}: accepted is one for each class, shape {shape[-1:]}")
    return common.real("alpha", alpha)
