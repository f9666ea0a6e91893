"""Knowledge distillation: a student learns from a teacher's softened opinion and from the labels."""

import jax
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import classes
from jaxlab.losses import reduction as common
from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.kl import kl


def distillation(
    logits: Real[ArrayLike, "*batch classes"],
    labels: Shaped[ArrayLike, "..."],
    teacher_logits: Real[ArrayLike, "*batch classes"],
    temperature: hyper.Scalar = 2.0,
    alpha: hyper.Scalar = 0.5,
    ignore_index: int | None = None,
    *,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""Divergence from the teacher at a high temperature, mixed with cross entropy.

    .. math::
        l = \alpha\, T^2 D\!\left(\operatorname{softmax}(t / T) \,\|\, \operatorname{softmax}(z / T)\right)
          + (1 - \alpha)\, H(y, \operatorname{softmax}(z))

    The factor :math:`T^2` keeps the first term's gradient at its size when :math:`T` changes. The paper writes
    a cross entropy where this is a divergence: same gradient, but 0 where the student agrees.

    Args:
      logits: :math:`z`, the student's, classes on the last axis, any real dtype; computed in float32 (float64
        under ``jax_enable_x64``).
      labels: :math:`y`, whole numbers or probabilities, as in :func:`jaxlab.losses.cross_entropy`.
      teacher_logits: :math:`t`, shaped like the student's. No gradient flows back to the teacher.
      temperature: :math:`T` above 0; larger shows more of what the teacher thinks of the wrong classes.
      alpha: :math:`\alpha` in [0, 1], the share of the teacher; 1 - alpha is that of the labels.
      ignore_index: examples with this label count for nothing, in neither term.
      weights: one for each example, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"`` over examples, :math:`\sum w l / \sum w` over what is not ignored (0 where that is
        nothing), ``"sum"`` or ``"none"``.

    Raises:
      ValueError: ``temperature`` or ``alpha`` outside its range, shapes that do not fit, ``ignore_index`` beside
        probabilities, an unknown reduction.
      TypeError: indices that are no integers, complex numbers, an ``ignore_index`` that is no integer.

    Reference: https://arxiv.org/abs/1503.02531, section 2.

    >>> import jax.numpy as jnp
    >>> student, teacher = jnp.array([[0.0, 0.0]]), jnp.array([[0.0, 10.0]])
    >>> round(distillation(student, jnp.array([0]), teacher, temperature=5.0, alpha=1.0).item(), 5)
    8.19533
    """
    temperature = hyper.number("temperature", temperature, "(0, inf)")
    alpha = hyper.number("alpha", alpha, "[0, 1]")
    z = common.real("logits", logits)
    hard = cross_entropy(z, labels, ignore_index=ignore_index, weights=weights, reduction=reduction)
    common.check_same_shape("logits", z, "teacher_logits", teacher_logits)

    weights = common.spread(weights, z.shape[:-1])
    if ignore_index is not None:
        weights = classes.ignore(weights, classes.indices("logits", z.shape, labels), ignore_index)
    # NaN goes before the division: otherwise it would come back in the temperature's gradient.
    seen = weights[..., None]
    student = common.visible(z, seen) / temperature
    teacher = common.visible(jax.lax.stop_gradient(common.real("teacher_logits", teacher_logits)), seen) / temperature
    soft = kl(student, jax.nn.softmax(teacher), weights=weights, reduction=reduction)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
