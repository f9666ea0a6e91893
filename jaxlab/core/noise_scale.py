"""The gradient noise scale: how many examples a batch needs before its gradient is more signal than noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from jaxlab.core import hyper, tree


class NoiseScale(NamedTuple):
    r"""What one example's gradient is like.

    Attributes:
      trace: :math:`\mathrm{tr}\,\Sigma`, the variance of an example's gradient, summed over all parameters.
      squared_norm: :math:`|G|^2`, of the true gradient. Estimated, it may come out negative.
      scale: :math:`B_\text{simple} = \mathrm{tr}\,\Sigma / |G|^2`, in examples; infinite where the estimate of
        :math:`|G|^2` is not above 0, so that the noise hides the gradient.
    """

    trace: Float[Array, ""]
    squared_norm: Float[Array, ""]
    scale: Float[Array, ""]


def noise_scale(per_example_grads: PyTree[Array], *, whole: bool = False) -> NoiseScale:
    r"""The noise scale from the gradients :math:`g_i` of single examples.

    .. math::
        \mathrm{tr}\,\Sigma = \tfrac{n}{n-1} \bigl(\overline{|g|^2} - |\bar g|^2\bigr), \qquad
        |G|^2 = |\bar g|^2 - \tfrac1n \mathrm{tr}\,\Sigma, \qquad
        B_\text{simple} = \mathrm{tr}\,\Sigma / |G|^2

    Trace and squared norm are unbiased (their ratio is not): :math:`|\bar g|^2` alone is too large by the noise
    that is left in a mean of :math:`n`. They are :func:`noise_scale_of_two` with batches of 1 and :math:`n`.

    A batch of :math:`B_\text{simple}` examples has a gradient with as much noise as signal. Well below it a run
    needs proportionally fewer steps with larger batches, well above it hardly fewer.

    Args:
      per_example_grads: a tree of arrays with a leading axis of :math:`n \ge 2` examples.
      whole: the examples are all that will ever be trained on, not a sample of them: then :math:`\bar g` is the true
        gradient and :math:`\Sigma` has a divisor of :math:`n`.

    Raises:
      ValueError: no arrays, leading axes that differ, or fewer than 2 examples.

    Reference: McCandlish et al. (2018), https://arxiv.org/abs/1812.06162, equations 2.9 and A.2.

    >>> found = noise_scale(jnp.array([[1.0, 2.0], [3.0, 2.0]]))
    >>> [round(float(x), 4) for x in found]
    [2.0, 7.0, 0.2857]
    >>> float(noise_scale(jnp.array([[1.0, 2.0], [3.0, 2.0]]), whole=True).scale)
    0.125
    """
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(per_example_grads)}
    if len(sizes) != 1 or sizes & {(), (0,), (1,)}:
        found = sorted(sizes) or "no arrays"
        raise ValueError(f"per_example_grads has leading axes {found}: accepted is one length of at least 2")
    (examples,) = sizes.pop()
    full = hyper.arithmetic_dtype()
    rows = [jnp.asarray(leaf, full).reshape(examples, -1) for leaf in jax.tree.leaves(per_example_grads)]
    means = [jnp.mean(row, axis=0) for row in rows]
    square_of_mean = tree.over_leaves([jnp.sum(mean**2) for mean in means])
    # About the mean, so that nothing cancels where the noise is small.
    spread = tree.over_leaves([jnp.sum((row - mean) ** 2) for row, mean in zip(rows, means, strict=True)])
    if whole:
        return of_estimates(spread / examples, square_of_mean)
    trace = spread / (examples - 1)
    return of_estimates(trace, square_of_mean - trace / examples)


def noise_scale_of_two(small_square: ArrayLike, big_square: ArrayLike, small: int, big: int) -> NoiseScale:
    r"""The noise scale from the squared norms of the mean gradients of two batch sizes.

    .. math::
        |G|^2 = \frac{B |g_B|^2 - b |g_b|^2}{B - b}, \qquad
        \mathrm{tr}\,\Sigma = \frac{|g_b|^2 - |g_B|^2}{1 / b - 1 / B}

    For training on several devices: :math:`|g_b|^2` is a device's (better, the mean over all devices),
    :math:`|g_B|^2` that of their average. Both estimates are noisy: average them over steps before dividing.

    Args:
      small_square, big_square: :math:`|g_b|^2` and :math:`|g_B|^2`.
      small, big: the batch sizes :math:`b < B`.

    Raises:
      ValueError: sizes that are no whole numbers from 1, or the second not above the first.

    Reference: McCandlish et al. (2018), https://arxiv.org/abs/1812.06162, appendix A.1.

    >>> [float(x) for x in noise_scale_of_two(6.0, 4.5, small=1, big=4)]
    [2.0, 4.0, 0.5]
    """
    hyper.integer("small", small, at_least=1)
    hyper.integer("big", big, at_least=small + 1)
    full = hyper.arithmetic_dtype()
    b_square, big_b_square = jnp.asarray(small_square, full), jnp.asarray(big_square, full)
    trace = (b_square - big_b_square) / (1 / small - 1 / big)
    return of_estimates(trace, (big * big_b_square - small * b_square) / (big - small))


def of_estimates(trace: Float[Array, ""], squared_norm: Float[Array, ""]) -> NoiseScale:
    """The noise scale from estimates of both of its parts."""
    positive = squared_norm > 0
    return NoiseScale(trace, squared_norm, jnp.where(positive, trace / jnp.where(positive, squared_norm, 1), jnp.inf))
