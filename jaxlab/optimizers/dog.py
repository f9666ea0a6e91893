"""DoG: stochastic gradient descent's best friend, distance over gradients (Ivgi, Hinder and Carmon, 2023)."""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxlab.core import hyper, storage
from jaxlab.core.chain import chain
from jaxlab.core.leafwise import LayerAxes, Leaf, leafwise
from jaxlab.core.moments import bounded, bounded_square
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.parameter_free import point
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

T = TypeVar("T")


class Start(NamedTuple, Generic[T]):
    """The initial point."""

    start: T


class Reach(NamedTuple, Generic[T]):
    """The largest distance from the initial point so far, and the sum of all squared gradients."""

    distance: T
    squares: T


class OwnReach(NamedTuple, Generic[T]):
    """The initial point and the reach of one leaf, or layer, alone."""

    start: T
    distance: T
    squares: T


def scale_by_dog(
    reps_rel: hyper.Scalar = 1e-6,
    eps: hyper.Scalar = 1e-8,
    layerwise: bool = False,
    layer_axes: LayerAxes = 0,
    *,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""The gradient times the distance that was covered over the root of the sum of squared gradients.

    .. math::
        \bar r_t = \max\bigl(r_\epsilon (1 + \lVert \theta_0 \rVert),\; \max_{i \le t} \lVert \theta_i - \theta_0
        \rVert\bigr), \qquad
        d_t = \frac{\bar r_t}{\sqrt{\sum_{i \le t} \lVert g_i \rVert^2 + \epsilon}}\; g_t

    The norms are those of all parameters together, or with ``layerwise`` (the paper's L-DoG) of each leaf
    alone. The steps do not shrink by themselves: the paper's results are those of an average of the parameters.

    Args:
      reps_rel: :math:`r_\epsilon`, above 0: the first step over the size of the parameters. 1e-4 with batch
        normalization.
      eps: added to the sum of squares, above 0.
      layerwise: whether every leaf has a distance and a sum of its own (static).
      layer_axes: how many leading axes stack layers, each of which then counts as a leaf; see
        :func:`~jaxlab.core.leafwise.leafwise` (static).
      state_dtype: how state is kept (static): all of it is exact, so every format is ``"float32"``.

    Raises:
      ValueError: a number outside its range, or an unknown ``state_dtype``; from ``update``, without parameters.

    State: one value for each parameter, the initial point, and two scalars (``layerwise``, two for each leaf).

    Reference: https://arxiv.org/abs/2302.12022, algorithm 1; the official package ``dog-optimizer``.

    >>> tx, x = scale_by_dog(reps_rel=0.5), jnp.array([0.0, -3.0])
    >>> direction, _ = tx.update(x, tx.init(x), x)
    >>> direction.tolist()  # as long as half of 1 + 3
    [0.0, -2.0]
    """
    reps = hyper.number("reps_rel", reps_rel, "(0, inf)")
    hyper.flag("layerwise", layerwise)
    eps = hyper.number("eps", eps, "(0, inf)")

    def measure(leaf: Leaf, start: Array) -> tuple[Array, Array, Array]:
        return _square(start), _square(point(leaf) - start), jnp.sum(bounded_square(leaf.g))

    def further(reach: Reach[Array] | OwnReach[Array], sums: tuple[Array, Array, Array]) -> Reach[Array]:
        size, covered, squares = sums
        distance = jnp.maximum(reps * (1 + jnp.sqrt(size)), jnp.sqrt(covered))
        return Reach(jnp.maximum(reach.distance, distance), reach.squares + squares)

    def step(leaf: Leaf, reach: Reach[Array]) -> Array:
        return reach.distance / jnp.sqrt(reach.squares + eps) * bounded(leaf.g)

    def exact(value: Array, axes: tuple[int, ...] | None = None) -> storage.Slot:
        return storage.Slot(value, low_bit=False, axes=axes)

    zero = jnp.zeros((), hyper.arithmetic_dtype())
    if layerwise:

        def own_slots(p: Array) -> OwnReach[storage.Slot]:
            return OwnReach(exact(p), exact(zero, ()), exact(zero, ()))

        def own_update(leaf: Leaf, slots: OwnReach[Array], shared: None, t: Array) -> tuple[Array, OwnReach[Array]]:
            reach = further(slots, measure(leaf, slots.start))
            return step(leaf, reach), OwnReach(slots.start, *reach)

        return leafwise(own_update, slots=own_slots, store=state_dtype, needs_params=True, layer_axes=layer_axes)

    def gather(leaf: Leaf, slots: Start[Array], shared: Reach[Array], t: Array) -> tuple[Start[Array], tuple]:
        return slots, measure(leaf, slots.start)

    def combine(shared: Reach[Array], sums: tuple | None, t: Array) -> Reach[Array]:
        return shared if sums is None else further(shared, sums)

    def update(leaf: Leaf, slots: Start[Array], shared: Reach[Array], t: Array) -> tuple[Array, Start[Array]]:
        return step(leaf, shared), slots

    return leafwise(
        update,
        slots=lambda p: Start(exact(p)),
        gather=gather,
        combine=combine,
        shared=Reach(zero, zero),
        store=state_dtype,
        needs_params=True,
        layer_axes=layer_axes,
    )


def dog(
    learning_rate: LearningRate,
    reps_rel: hyper.Scalar = 1e-6,
    eps: hyper.Scalar = 1e-8,
    layerwise: bool = False,
    layer_axes: LayerAxes = 0,
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""DoG, :math:`\theta_{t+1} = \theta_t - \alpha_t d_t` with :func:`scale_by_dog`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform. 1 is the method's own, above it
        may diverge.
      reps_rel, eps, layerwise, layer_axes, state_dtype: as in :func:`scale_by_dog`.

    >>> tx, x = dog(1.0), jnp.array([3.0])
    >>> state = tx.init(x)
    >>> for _ in range(100):  # on the loss x^2 / 2
    ...     u, state = tx.update(x, state, x)
    ...     x = x + u
    >>> (abs(x[0]) < 0.5).item()
    True
    """
    direction = scale_by_dog(reps_rel, eps, layerwise, layer_axes, state_dtype=state_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))


def _square(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(x**2)


DOG = OptimizerInfo(
    "dog",
    dog,
    "Ivgi, Hinder and Carmon 2023, arXiv:2302.12022",
    spaces.PARAMETER_FREE,
    needs_params=True,
    caveat=(
        "Its authors say that for best performance, and for a fair comparison, it must be combined with an "
        "average of the iterates, and that reps_rel is to be raised where the step size hardly grows for a few "
        "hundred steps."
    ),
)
