"""The gradient noise scale along a run (McCandlish et al., 2018)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.moments import average, debias
from jaxlab.core.noise_scale import NoiseScale, of_estimates
from jaxlab.modifiers.every import due
from jaxlab.modifiers.info import ModifierInfo
from jaxlab.modifiers.per_example import checked_microbatch, sum_over_examples
from jaxlab.modifiers.wrapping import choose, full_precision


class NoiseScaleState(NamedTuple):
    """The state of :func:`track_noise_scale`.

    Attributes:
      inner: the optimizer's.
      count: steps taken.
      measured: how many of them were measured.
      trace, squared_norm: averages of the two estimates, unbiased.
    """

    inner: optax.OptState
    count: Int32[Array, ""]
    measured: Int32[Array, ""]
    trace: Float[Array, ""]
    squared_norm: Float[Array, ""]


def track_noise_scale(
    inner: optax.GradientTransformation,
    every: hyper.Scalar = 10.0,
    decay: hyper.Scalar = 0.95,
    microbatch: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Measures at every k-th step how many examples a batch would need; :func:`tracked_noise_scale` reads it.

    From the gradients of a batch's single examples, as in :func:`~jaxlab.train.noise_scale_of_two` with batches of
    1 and B, come unbiased estimates of :math:`\mathrm{tr}\,\Sigma` and :math:`|G|^2`. Each is averaged over
    measurements before they are divided, as in the paper; what is not finite is left out, and so is a batch of one
    example. The training is that of ``inner``, to the bit.

    A measurement costs about as much as one more gradient, and the memory of a gradient for each example. It stands
    behind a condition, which stays one in populations as long as ``every`` is a number and no hyperparameter of
    theirs: the training step's clock, ``step``, is theirs together.

    Args:
      inner: any optax optimizer.
      every: :math:`k`, at least 1.
      decay: of the averages, from one measurement to the next, in [0, 1).
      microbatch: how many examples' gradients are in memory at once, a divisor of the batch; None is the batch. A
        training loop of one's own must then take it, see :func:`~jaxlab.modifiers.per_example.sum_over_examples`.

    Raises:
      ValueError: a number outside its range; from ``update``, parameters or a ``per_example_grad_fn`` that are
        missing.

    State: the inner one's, two scalars and two int32.

    Reference: https://arxiv.org/abs/1812.06162, appendix A.1.

    >>> tx, params = track_noise_scale(optax.sgd(1.0), every=1), jnp.zeros(2)
    >>> examples = jnp.array([[1.0, 2.0], [3.0, 2.0]])
    >>> _, state = tx.update(params, tx.init(params), params, per_example_grad_fn=lambda p: examples)
    >>> [round(float(x), 4) for x in tracked_noise_scale(state)]
    [2.0, 7.0, 0.2857]
    """
    inner = full_precision(inner)
    every = hyper.number("every", every, "[1, inf)")
    decay = hyper.number("decay", decay, "[0, 1)")
    microbatch = checked_microbatch(microbatch)
    full = hyper.arithmetic_dtype()

    def moments(gradient: PyTree[Array]) -> tuple[PyTree[Array], Array, Array]:
        g = tree.cast(gradient, full)
        return g, tree.global_norm(g) ** 2, jnp.ones((), full)

    def init(params: PyTree) -> NoiseScaleState:
        # Four arrays, not one zero: a buffer can be donated once.
        count, measured = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        return NoiseScaleState(inner.init(params), count, measured, jnp.zeros((), full), jnp.zeros((), full))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, NoiseScaleState]:
        def measure(known: NoiseScaleState) -> NoiseScaleState:
            total, squares, examples = sum_over_examples(moments, params, extra, microbatch)
            small, big = squares / examples, (tree.global_norm(total) / examples) ** 2
            trace = (small - big) / (1 - 1 / examples)
            measured = known.measured + 1
            share = 1 - debias(1 - decay, decay, measured.astype(full))
            new = known._replace(
                measured=measured,
                trace=average(known.trace, trace, share),
                squared_norm=average(known.squared_norm, big - trace / examples, share),
            )
            return choose(jnp.isfinite(new.trace) & jnp.isfinite(new.squared_norm), new, known)

        clock = extra.get("step")
        now = (state.count if clock is None else jnp.asarray(clock)).astype(full) + 1
        known = jax.lax.cond(due(now, every), measure, lambda known: known, state._replace(inner=()))
        steps, inner_state = inner.update(updates, state.inner, params, **extra)
        return tree.cast_like(steps, updates), known._replace(inner=inner_state, count=state.count + 1)

    return optax.GradientTransformationExtraArgs(init, update)


def tracked_noise_scale(opt_state: optax.OptState) -> NoiseScale | None:
    """What :func:`track_noise_scale` has found so far, anywhere in an optimizer's state; None where it is not.

    Before the first measurement the scale is infinite. Of several the outermost.
    """
    is_home = lambda node: isinstance(node, NoiseScaleState)  # noqa: E731
    homes = [node for node in jax.tree.leaves(opt_state, is_leaf=is_home) if is_home(node)]
    return of_estimates(homes[0].trace, homes[0].squared_norm) if homes else None


TRACK_NOISE_SCALE = ModifierInfo(
    "track_noise_scale",
    track_noise_scale,
    "McCandlish et al. 2018, arXiv:1812.06162",
    needs_params=True,
    needs=("per_example_grad_fn",),
)
