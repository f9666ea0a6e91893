"""L-BFGS: the limited-memory quasi-Newton method (Nocedal, 1980; Liu and Nocedal, 1989)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, tree
from jaxlab.core.chain import chain
from jaxlab.optimizers import spaces
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.line_search import NEEDS, require, with_line_search
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate

Vector = list[Float[Array, "..."]]
"""The leaves that have a gradient: one vector of the whole tree, in full precision."""


class LbfgsState(NamedTuple):
    r"""What L-BFGS remembers, in trees like the parameters.

    Attributes:
      params: the parameters of the last step.
      grads: their gradient; zero before the first.
      steps: the last differences of parameters :math:`s_i`, divided by :math:`\sqrt{s_i^\top y_i}`; each
        parameter's axes and then one of the memory, the oldest first, zero where there is none yet.
      changes: the differences of gradients :math:`y_i`, divided by the same number.
    """

    params: PyTree[Array]
    grads: PyTree[Array]
    steps: PyTree[Array]
    changes: PyTree[Array]


def scale_by_lbfgs(memory_size: int = 10, *, restart: bool = False) -> optax.GradientTransformationExtraArgs:
    r"""L-BFGS's direction :math:`H_t g_t` by the two-loop recursion.

    From the last :math:`m` pairs :math:`s_i = \theta_{i+1} - \theta_i`, :math:`y_i = g_{i+1} - g_i`:

    .. math::
        &q = g_t; \quad \text{newest to oldest: } \alpha_i = s_i^\top q / (s_i^\top y_i),\; q = q - \alpha_i y_i \\
        &r = \gamma q, \quad \gamma = s^\top y / (y^\top y) \text{ of the newest pair, 1 before the first} \\
        &\text{oldest to newest: } \beta_i = y_i^\top r / (s_i^\top y_i),\; r = r + (\alpha_i - \beta_i) s_i

    H does not depend on the scale of a pair: each is kept divided by :math:`\sqrt{s^\top y}`, so that the products
    above become 1 and no square overflows that H itself would not. A pair whose :math:`s^\top y` is not positive
    beyond rounding, or not finite, is skipped: H stays positive definite, the direction leads uphill.

    Differences of gradients of different batches are noise: use all data, or batches so large that their
    gradients agree.

    Args:
      memory_size: how many pairs, at least 1 (static).
      restart: forget all pairs where the parameters did not move since the last step, as after a line search
        that found nothing (static).

    Raises:
      TypeError, ValueError: a bad ``memory_size``; from ``update``, no parameters.

    State: 2 ``memory_size`` + 2 float32 values for each parameter (88 bytes at the default).

    Reference: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.4 and equation 7.20.

    >>> tx = scale_by_lbfgs()
    >>> curvature, x = jnp.array([1.0, 10.0]), jnp.array([1.0, 0.1])
    >>> _, state = tx.update(curvature * x, tx.init(x), x)
    >>> x = jnp.array([1.0, 0.0])
    >>> tx.update(curvature * x, state, x)[0]
    Array([0.1, 0. ], dtype=float32)
    """
    hyper.integer("memory_size", memory_size, at_least=1)

    def init(params: PyTree) -> LbfgsState:
        full = hyper.arithmetic_dtype()

        def empty(p: Array) -> Array:
            # The memory's axis comes last: the parameter's own sharding fits the state.
            return jnp.repeat(jnp.zeros_like(p, full)[..., None], memory_size, axis=-1)

        return LbfgsState(
            # A copy, not a second name: both may be donated.
            params=jax.tree.map(lambda p: jnp.array(p, full, copy=True), params),
            grads=jax.tree.map(lambda p: jnp.zeros_like(p, full), params),
            steps=jax.tree.map(empty, params),
            changes=jax.tree.map(empty, params),
        )

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any) -> tuple[PyTree, LbfgsState]:
        require("L-BFGS", params, extra, ())
        gradients, treedef = jax.tree.flatten(updates, is_leaf=tree.is_none)
        present = [i for i, g in enumerate(gradients) if g is not None]

        def vector(values: PyTree) -> Vector:
            leaves = treedef.flatten_up_to(values)
            return [jnp.asarray(leaves[i], hyper.arithmetic_dtype()) for i in present]

        def put(into: PyTree, values: Vector) -> PyTree:
            leaves = treedef.flatten_up_to(into)
            for i, value in zip(present, values, strict=True):
                leaves[i] = value
            return treedef.unflatten(leaves)

        x, g = vector(params), vector(updates)
        s = [new - old for new, old in zip(x, vector(state.params), strict=True)]
        # Before the first step there is no gradient to compare with, and the parameters may not be those of init.
        began = _largest(vector(state.grads)) != 0
        y = [jnp.where(began, new - old, 0.0) for new, old in zip(g, vector(state.grads), strict=True)]
        steps, changes = _remember(vector(state.steps), vector(state.changes), s, y, restart)
        direction = _two_loops(g, _by_pair(steps), _by_pair(changes), memory_size)
        return tree.cast_like(put(updates, direction), updates), LbfgsState(
            put(state.params, x), put(state.grads, g), put(state.steps, steps), put(state.changes, changes)
        )

    return optax.GradientTransformationExtraArgs(init, update)


def lbfgs(
    learning_rate: LearningRate = 1.0, memory_size: int = 10, line_search: str = "zoom"
) -> optax.GradientTransformationExtraArgs:
    r"""L-BFGS, :math:`\theta_t = \theta_{t-1} - t\,\alpha_t H_t g_t` with :func:`scale_by_lbfgs`'s direction.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform: the length tried
        first. At 1, the default, the quasi-Newton step.
      memory_size: how many pairs of differences are kept (static).
      line_search: how the factor :math:`t` is found (static), as in
        :func:`~jaxlab.optimizers.line_search.with_line_search`. ``"zoom"`` keeps every new pair usable, at one or
        two gradients a step; ``"backtracking"`` costs losses only; ``"none"`` is :math:`t = 1`.

    With a line search ``update`` needs ``value``, ``grad`` and ``value_fn`` of the same batch.

    >>> loss = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> tx, x = lbfgs(), jnp.array([-1.2, 1.0])
    >>> state = tx.init(x)
    >>> @jax.jit
    ... def step(x, state):
    ...     value, grad = jax.value_and_grad(loss)(x)
    ...     u, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=loss)
    ...     return x + u, state
    >>> for _ in range(40):
    ...     x, state = step(x, state)
    >>> x.round(3).tolist()
    [1.0, 1.0]
    """
    return chain(
        scale_by_lbfgs(memory_size, restart=line_search != "none"),
        with_line_search(scale_by_learning_rate(learning_rate), line_search),
    )


# One program each where a caller runs op by op; inside a compiled step they are part of it.
@functools.partial(jax.jit, static_argnames="restart")
def _remember(steps: Vector, changes: Vector, s: Vector, y: Vector, restart: bool) -> tuple[Vector, Vector]:
    """The memory with the pair (s, y) as its newest, where that is usable."""
    s_size, y_size = _largest(s), _largest(y)
    s_unit, y_unit = _divided(s, s_size), _divided(y, y_size)
    inner = _dot(s_unit, y_unit)
    # s / sqrt(s.y) = s_unit * sqrt(s_size / y_size / inner), and its partner.
    s_scale, y_scale = jnp.sqrt(s_size / y_size / inner), jnp.sqrt(y_size / s_size / inner)
    usable = (
        (inner > jnp.finfo(hyper.arithmetic_dtype()).eps)
        & (s_scale > 0)
        & (y_scale > 0)
        & jnp.isfinite(s_scale)
        & jnp.isfinite(y_scale)
    )
    kept = (s_size != 0) | (not restart)

    def appended(memory: Vector, newest: Vector) -> Vector:
        def one(old: Array, new: Array) -> Array:
            longer = jnp.concatenate([old[..., 1:], new[..., None]], axis=-1)
            return jnp.where(usable, longer, jnp.where(kept, old, 0.0))

        return list(map(one, memory, newest))

    return appended(steps, _times(s_scale, s_unit)), appended(changes, _times(y_scale, y_unit))


@functools.partial(jax.jit, static_argnames="memory_size")
def _two_loops(g: Vector, steps: Vector, changes: Vector, memory_size: int) -> Vector:
    """H g from pairs on a leading axis whose s.y is 1: a pair of zeros changes nothing."""

    def from_newest(q: Vector, pair: tuple[Vector, Vector]) -> tuple[Vector, Array]:
        s, y = pair
        alpha = _dot(s, q)
        return _plus(q, -alpha, y), alpha

    def from_oldest(r: Vector, inputs: tuple[Array, tuple[Vector, Vector]]) -> tuple[Vector, None]:
        alpha, (s, y) = inputs
        return _plus(r, alpha - _dot(y, r), s), None

    q, alphas = jax.lax.scan(from_newest, g, (steps, changes), memory_size, reverse=True)
    newest = [y[-1] for y in changes]
    squared = _dot(newest, newest)
    r = _times(jnp.where(squared > 0, 1 / jnp.where(squared > 0, squared, 1.0), 1.0), q)
    return jax.lax.scan(from_oldest, r, (alphas, (steps, changes)))[0]


def _by_pair(memory: Vector) -> Vector:
    return [jnp.moveaxis(leaf, -1, 0) for leaf in memory]


def _dot(a: Vector, b: Vector) -> Float[Array, ""]:
    return tree.over_leaves([jnp.sum(x * y) for x, y in zip(a, b, strict=True)])


def _largest(a: Vector) -> Float[Array, ""]:
    return tree.over_leaves([jnp.max(jnp.abs(x), initial=0.0) for x in a], jnp.max)


def _plus(a: Vector, factor: Array, b: Vector) -> Vector:
    return [x + factor * y for x, y in zip(a, b, strict=True)]


def _times(factor: Array, a: Vector) -> Vector:
    return [factor * x for x in a]


def _divided(a: Vector, by: Array) -> Vector:
    return [x / jnp.where(by == 0, 1.0, by) for x in a]


LBFGS = OptimizerInfo(
    "lbfgs",
    lbfgs,
    "Nocedal 1980; Liu and Nocedal 1989",
    spaces.SECOND_ORDER,
    needs_params=True,
    needs=NEEDS,
    caveat=(
        "It relies on gradients that noise does not dominate, which, Bollapragada et al. 2018, arXiv:1802.05374, "
        "write, appears to call for the full batch; a comparison draws small ones."
    ),
)
