"""Deep learning with differential privacy (Abadi et al., 2016)."""

import importlib
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, storage, tree
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.per_example import checked_microbatch, sum_over_examples
from jaxlab.modifiers.wrapping import frozen, full_precision


class PrivateState(NamedTuple):
    """Attributes: ``inner``, the optimizer's state; ``count``, the gradients that were released."""

    inner: optax.OptState
    count: Int32[Array, ""]


def private(
    inner: optax.GradientTransformation,
    clip_norm: hyper.Scalar = 1.0,
    noise_multiplier: hyper.Scalar = 1.0,
    microbatch: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""DP-SGD with any optimizer: it sees a mean gradient in which no single example can be told.

    .. math::
        \tilde g = \frac1B \Bigl( \sum_{i=1}^B g_i \min\bigl(1, C / \lVert g_i \rVert_2\bigr)
                   + \sigma C\, \epsilon \Bigr), \qquad \epsilon \sim N(0, I)

    with the norm over all leaves of one example's gradient but frozen ones, in float32. An example whose gradient is
    not finite counts as zero. Noise is drawn for each step and leaf from the step's key: the same on any number of
    devices.

    :func:`epsilon` says what was spent. It holds under what this assumes:

    - What leaves the run is its parameters alone. Losses, gradient norms, counts of skipped steps and evaluations
      on the training data are computed without noise: whoever sees them learns more. So it is with all that reads
      the training data besides, such as a choice of hyperparameters by trials.
    - A step that ``make_train_step`` skips because its loss is not finite is a decision by the data: train with
      ``skip_nonfinite=False``.
    - The incoming gradient is not used. What a regularizer or clipping before it did is lost: penalties that need no
      data belong inside, ``private(chain(l2(1e-4), adam(1e-3)))``, and what is inside may use neither ``grad_fn``
      nor its kin, nor ``value``.
    - An example is one row of the batch, and its gradient its own: batch normalisation mixes examples, and no
      bound holds; group and layer norms do not. Someone with many rows is protected by so much less.
    - Batches are drawn by chance, each example by itself with the same probability (Poisson sampling), and
      neighbours differ by one example that is there or not. jaxlab's steps draw batches of a fixed size from a
      shuffle, as nearly everyone does; the epsilon of Poisson sampling is then customary and not proven.
    - The noise is pseudo-random and in floating point: no defence against who predicts a generator or reads last
      bits. The key is a secret.

    Args:
      inner: any optax optimizer. It belongs around a partition, not in a part of one: one norm is of all leaves.
      clip_norm: :math:`C`, above 0.
      noise_multiplier: :math:`\sigma`, at least 0; 0 clips and protects nothing.
      microbatch: how many examples' gradients are in memory at once, a divisor of the batch; None is the batch. A
        training loop of one's own must then take it, see :func:`~jaxlab.modifiers.per_example.sum_over_examples`.

    Raises:
      ValueError: a number outside its range; from ``update``, parameters, a ``per_example_grad_fn`` or a ``key``
        that are missing.

    State: the inner one's, and one int32. Memory of a step: a gradient for each example of a microbatch.

    Reference: https://arxiv.org/abs/1607.00133, algorithm 1.

    >>> tx, params = private(optax.sgd(1.0), clip_norm=5.0, noise_multiplier=0.0), jnp.zeros(2)
    >>> examples = jnp.array([[30.0, 40.0], [1.0, 2.0]])
    >>> steps, _ = tx.update(params, tx.init(params), params, per_example_grad_fn=lambda p: examples,
    ...                      key=jax.random.key(0))
    >>> steps.tolist()
    [-2.0, -3.0]
    """
    inner = full_precision(inner)
    clip_norm = hyper.number("clip_norm", clip_norm, "(0, inf)")
    noise_multiplier = hyper.number("noise_multiplier", noise_multiplier, "[0, inf)")
    microbatch = checked_microbatch(microbatch)

    def init(params: PyTree) -> PrivateState:
        return PrivateState(inner.init(params), jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, PrivateState]:
        still = frozen(state.inner)

        def clipped(gradient: PyTree[Array]) -> tuple[PyTree[Array], Float[Array, ""]]:
            full = jax.tree_util.tree_map_with_path(
                lambda path, g: storage.decode(g) * (tree.path_name(path) not in still), gradient
            )
            norm = tree.global_norm(full)
            factor = clip_norm / jnp.maximum(norm, clip_norm)
            # Not the factor alone: zero times infinity is no zero.
            return jax.tree.map(lambda g: jnp.where(jnp.isfinite(norm), factor * g, 0), full), jnp.ones_like(norm)

        total, examples = sum_over_examples(clipped, params, extra, microbatch)
        if extra.get("key") is None:
            raise ValueError(
                "key = None: noise that anyone can draw again protects nobody, call tx.update(..., key=...); the step "
                "of jaxlab.train.make_train_step passes a key of its own for every step"
            )
        step_key = jax.random.fold_in(hyper.random_key("key", extra["key"]), state.count)

        def released(path: Any, u: Array | None, g: Array) -> Array | None:
            if u is None:
                return None
            key = jax.random.fold_in(step_key, zlib.crc32(tree.path_name(path).encode()))
            noise = jax.random.normal(key, jnp.shape(g), g.dtype)
            return (g + noise_multiplier * clip_norm * noise) / examples

        mean = jax.tree_util.tree_map_with_path(released, updates, total, is_leaf=tree.is_none)
        steps, inner_state = inner.update(mean, state.inner, params, **extra)
        return tree.cast_like(steps, updates), PrivateState(inner_state, state.count + 1)

    return optax.GradientTransformationExtraArgs(init, update)


def epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    r"""What DP-SGD has spent: the smallest :math:`\epsilon` of :math:`(\epsilon, \delta)`-differential privacy.

    Of the Gaussian mechanism, subsampled by Poisson sampling and composed, where neighbours differ by one example
    that is there or not. The privacy loss distribution of Google's accountant bounds it from above, tightly.

    Args:
      noise_multiplier: :math:`\sigma` of :func:`private`, at least 1/16: below, epsilon is in the thousands, and its
        distribution in no memory.
      sample_rate: the probability of an example to be in a batch, in (0, 1]: batch size over examples.
      steps: taken, 1 to 100 million.
      delta: in (0, 1); well below one over the number of examples.

    Raises:
      TypeError, ValueError: arguments out of range.
      ImportError: the package ``dp-accounting`` is not installed.

    Reference: https://github.com/google/differential-privacy/tree/main/python/dp_accounting.

    >>> round(epsilon(noise_multiplier=1.1, sample_rate=0.01, steps=1_000, delta=1e-5), 2)
    1.52
    """
    hyper.number("noise_multiplier", noise_multiplier, "[0.0625, inf)")
    hyper.number("sample_rate", sample_rate, "(0, 1]")
    hyper.number("delta", delta, "(0, 1)")
    hyper.integer("steps", steps, at_least=1, at_most=10**8)
    try:
        accounting: Any = importlib.import_module("dp_accounting")
        distributions: Any = importlib.import_module("dp_accounting.pld")
    except ImportError as error:
        raise ImportError('epsilon needs the package dp-accounting: pip install "jaxlab[privacy]"') from error
    release = accounting.PoissonSampledDpEvent(sample_rate, accounting.GaussianDpEvent(noise_multiplier))
    accountant = distributions.PLDAccountant()
    try:
        accountant.compose(release, steps)
        return float(accountant.get_epsilon(delta))
    except MemoryError:
        raise ValueError(
            f"noise_multiplier = {noise_multiplier}, steps = {steps}: accepted is what fits into memory; epsilon would "
            "be in the thousands, which protects nobody"
        ) from None


PRIVATE = ModifierInfo(
    "private",
    private,
    "Abadi et al. 2016, arXiv:1607.00133",
    needs_params=True,
    needs=("per_example_grad_fn", "key"),
)
