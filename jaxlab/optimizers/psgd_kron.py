"""PSGD-Kron: a Kronecker-factored preconditioner that whitens, fitted by descent (Li, 2015 to 2025)."""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int32

from jaxlab.core import hyper, storage, tree
from jaxlab.core.layouts import Layouts
from jaxlab.core.matrixwise import Matrix, matrixwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.fallback import Fallback, with_fallback
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.kronecker import scaled_to, shortened
from jaxlab.optimizers.layerwise import norm
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")

FLAT, DECAY, LEAST = 500, 1e-3, 0.03
"""How often the preconditioner is fitted: always for so many steps, then ever more rarely, at last at 3% of steps."""


class Factors(NamedTuple, Generic[T]):
    """The average of the gradient, a factor of the preconditioner for each side, and how steep its criterion is there.

    A factor is a symmetric matrix, or the diagonal of one.
    """

    m: T
    q_l: T
    q_r: T
    steepness: T


def scale_by_psgd_kron(
    b1: hyper.Scalar = 0.9,
    preconditioner_learning_rate: hyper.Scalar = 0.1,
    steepness_decay: hyper.Scalar = 0.9,
    damping: hyper.Scalar = 1e-9,
    clip: hyper.Scalar = 1.1,
    *,
    whiten: str = "momentum",
    refresh: int | None = None,
    one_sided: bool = False,
    max_size: int = 8192,
    block_size: int | None = None,
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""PSGD's direction with two factors: the average of the gradient, whitened on both sides.

    .. math::
        M_t = \beta_1 M_{t-1} + (1 - \beta_1) G_t, \qquad
        D_t = P_L \hat M_t P_R, \qquad P = Q^T Q

    Fitted are the factors to what is whitened, X, here the average itself: with :math:`A = P_L X P_R` of m rows and n
    columns, :math:`T = A A^T` and :math:`\ell` a little above the largest eigenvalue of :math:`T + n I`,

    .. math::
        P' = Q_L - \frac{\alpha}{2 \ell} (T - n I) Q_L, \qquad
        P'' = P' - \frac{\alpha}{2 \ell} P' (T - n I), \qquad
        Q_L \leftarrow (P'' + P''^T) / 2

    and likewise the right one with :math:`A^T A` and m, until :math:`E[A A^T] = n I`. This is the QUAD form of the
    author's code, which needs products of matrices alone, no triangular solves, and keeps the factors symmetric and
    positive: it is stable in float32. Where that code draws random numbers, this one takes none: of the noise that it
    adds to X, so that P stays below 1 / damping, it takes the expected effect; for the largest eigenvalue it begins the
    power method at the longest row alone; the factors, of which one may be as many times larger as the other is
    smaller, are balanced at every fit instead of every hundredth. When it fits is a hash of the step, as below. The
    average and the clipping are those of kron_torch.

    Args:
      b1: decay of the mean, in [0, 1).
      preconditioner_learning_rate: :math:`\alpha`, in (0, 1].
      steepness_decay: how slowly :math:`\ell` forgets larger ones, in [0, 1).
      damping: one over the largest P, above 0; added to the size of what is whitened.
      clip: the largest root mean square of a direction, above 0; that of white noise is 1.
      whiten: ``"momentum"``: X is the average; ``"gradient"``: X is the gradient (static).
      refresh: fit at the first step and at every so many after it; None: with a probability that falls from 1, after
        500 steps, to 0.03 (static).
      one_sided: the longer side's factor is a diagonal: less than half of the memory and time (static).
      max_size: a side with more rows or columns has a diagonal for its factor (static).
      block_size: larger matrices are cut into blocks with at most so many rows and columns (static); None: never.
      layouts: which axes of a leaf make matrices, see :data:`~jaxlab.core.layouts.Layouts` (static).
      state_dtype: how M is stored. The factors are kept exact: they move by ever smaller parts of themselves.

    Raises:
      ValueError: a number outside its range, an unknown name; from ``init``, a leaf that is no matrix or of which
        nobody can tell.

    State: one value for each parameter, and the square of each side; 12 bytes for each parameter of a square matrix.

    Reference: https://arxiv.org/abs/1512.04202; https://arxiv.org/abs/2402.11858;
    https://github.com/lixilinx/psgd_torch, update_precond_kron_whiten_quad.

    >>> tx = scale_by_psgd_kron()
    >>> update = jax.jit(tx.update)
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.2]])
    >>> state = tx.init(g)
    >>> for _ in range(60):
    ...     direction, state = update(g, state)
    >>> (direction**2).round().astype(int).tolist()
    [[2, 0], [0, 2]]
    """
    hyper.flag("one_sided", one_sided)
    b1 = hyper.number("b1", b1, "[0, 1)")
    rate = hyper.number("preconditioner_learning_rate", preconditioner_learning_rate, "(0, 1]")
    steepness_decay = hyper.number("steepness_decay", steepness_decay, "[0, 1)")
    damping = hyper.number("damping", damping, "(0, inf)")
    clip = hyper.number("clip", clip, "(0, inf)")
    hyper.one_of("whiten", whiten, ("momentum", "gradient"))
    refresh = None if refresh is None else hyper.integer("refresh", refresh, at_least=1)
    max_size = hyper.integer("max_size", max_size, at_least=1)

    def slots(shape: jax.ShapeDtypeStruct) -> Factors[storage.Slot]:
        rows, columns = shape.shape
        diagonal = [side == 1 or side > max_size for side in (rows, columns)]
        if one_sided:
            diagonal[0 if rows > columns else 1] = True
        q_l, q_r = (
            storage.Slot(jnp.ones(side, shape.dtype) if flat else jnp.eye(side, dtype=shape.dtype), low_bit=False)
            for side, flat in zip((rows, columns), diagonal, strict=True)
        )
        return Factors(storage.zeros(shape), q_l, q_r, storage.Slot(jnp.zeros(2, shape.dtype), low_bit=False))

    def fitted(x: Array, slots: Factors[Array], t: Array) -> tuple[Array, Array, Array]:
        # At the first step the preconditioner takes X to size 1.
        start = jnp.where(t == 1, _first_scale(x, damping), 1)
        q_l, q_r = start * slots.q_l, start * slots.q_r
        noise = damping + jnp.finfo(x.dtype).eps * norm(x) / jnp.sqrt(x.size)
        p_l, p_r = _square(q_l), _square(q_r)
        a = _times(_times(x, p_l), p_r, right=True)
        q_l, steep_l = _closer(q_l, a, noise * norm(p_r), p_l, rate, steepness_decay, slots.steepness[0])
        q_r, steep_r = _closer(q_r, a.T, noise * norm(p_l), p_r, rate, steepness_decay, slots.steepness[1])
        balance = jnp.sqrt(jnp.max(jnp.abs(q_r)) / jnp.max(jnp.abs(q_l)))
        return q_l * balance, q_r / balance, jnp.stack([steep_l, steep_r])

    def update(matrix: Matrix, slots: Factors[Array]) -> tuple[Array, Factors[Array]]:
        g = shortened(matrix.g)
        m = average(slots.m, g, b1)
        debiased = debias(m, b1, matrix.t)
        with jax.default_matmul_precision("highest"):
            q_l, q_r, steepness = jax.lax.cond(
                _due(matrix.clock, refresh),
                lambda: fitted(debiased if whiten == "momentum" else g, slots, matrix.t),
                lambda: (slots.q_l, slots.q_r, slots.steepness),
            )
            d = _times(_times(debiased, _square(q_l)), _square(q_r), right=True)
        length = norm(d)
        d = scaled_to(d, jnp.minimum(length, clip * jnp.sqrt(d.size)))
        return d, Factors(m, q_l, q_r, steepness)

    return matrixwise(update, slots=slots, store=state_dtype, rules=layouts, block_size=block_size)


def _first_scale(x: Array, damping: Array) -> Array:
    """By how much each factor, squared, takes X to size 1: the fourth root of its mean fourth power is its size."""
    largest = jnp.maximum(jnp.max(jnp.abs(x)), damping)
    size = largest * (jnp.mean((x / largest) ** 4) + (damping / largest) ** 4) ** 0.25
    return size**-0.25


def _square(q: Array) -> Array:
    return q * q if q.ndim == 1 else q.T @ q


def _times(x: Array, p: Array, *, right: bool = False) -> Array:
    if p.ndim == 1:
        return x * p if right else x * p[:, None]
    return x @ p if right else p @ x


def _closer(
    q: Array, a: Array, noise: Array, p: Array, rate: Array, decay: Array, steepness: Array
) -> tuple[Array, Float[Array, ""]]:
    """One step of a left factor, and how steep the criterion is there."""
    wanted = a.shape[1]
    if q.ndim == 1:
        t = jnp.sum(a * a, axis=1) + (noise * p) ** 2
        steep = jnp.max(t) + wanted
    else:
        t = a @ a.T + (noise * p) @ (noise * p).T
        steep = largest_eigenvalue(t) + wanted
    steepness = jnp.maximum(average(steepness, steep, decay), steep)
    step = rate / 2 / steepness
    if q.ndim == 1:
        return q * (1 - step * (t - wanted)) ** 2, steepness
    once = q - step * (t @ q - wanted * q)
    twice = once - step * (once @ t - wanted * once)
    return (twice + twice.T) / 2, steepness


def largest_eigenvalue(a: Float[Array, "n n"]) -> Float[Array, ""]:
    """A lower bound, mostly a close one, of a positive matrix's largest eigenvalue: four steps of the power method.

    >>> round(float(largest_eigenvalue(jnp.diag(jnp.array([3.0, 1.0, 0.0])))), 3)
    3.0
    """
    tiny = jnp.finfo(a.dtype).tiny
    unit = jnp.max(jnp.diagonal(a)) + tiny
    a = a / unit
    row = a[jnp.argmax(jnp.sum(a * a, axis=1))]
    for _ in range(2):
        row = row @ a
        row = (row / (norm(row) + tiny)) @ a
    return unit * norm(row)


def _due(clock: Int32[Array, ""], refresh: int | None) -> Bool[Array, ""]:
    """Whether the preconditioner is fitted at a step."""
    if refresh is not None:
        return (clock - 1) % refresh == 0
    chance = jnp.clip(jnp.exp(-DECAY * (clock - 1 - FLAT)), LEAST, 1)
    drawn = storage.hash_bits(clock.astype(jnp.uint32), storage.seed_of("psgd_kron")) >> 8
    return drawn.astype(jnp.float32) < chance * 2.0**24


def psgd_kron(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.9,
    preconditioner_learning_rate: hyper.Scalar = 0.1,
    steepness_decay: hyper.Scalar = 0.9,
    damping: hyper.Scalar = 1e-9,
    clip: hyper.Scalar = 1.1,
    weight_decay: hyper.Scalar = 0.0,
    fallback_learning_rate: LearningRate = 3e-3,
    decay_mask: tree.Mask = None,
    whiten: str = "momentum",
    refresh: int | None = None,
    one_sided: bool = False,
    max_size: int = 8192,
    block_size: int | None = None,
    fallback: Fallback = "adamw",
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""PSGD-Kron: :func:`scale_by_psgd_kron` with decoupled decay for matrices, AdamW for everything else.

    Everything else is biases, scales, embeddings and heads, by their names, as for
    :func:`~jaxlab.optimizers.muon.muon`.

    Args:
      learning_rate: that of the matrices: a number of at least 0, a schedule, or a loss-driven transform; kron_torch
        advises a third of Adam's.
      b1, preconditioner_learning_rate, steepness_decay, damping, clip, whiten, refresh, one_sided, max_size,
        block_size, layouts: as in :func:`scale_by_psgd_kron`.
      weight_decay: at least 0, times the learning rate of the leaf.
      fallback_learning_rate: that of everything else.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      fallback: what everything else is trained by (static), see :data:`~jaxlab.optimizers.fallback.Fallback`.
      state_dtype: how state is stored, as in :func:`scale_by_psgd_kron`; the fallback's, too.

    Raises:
      ValueError, TypeError: as in :func:`scale_by_psgd_kron`; an unknown fallback.

    >>> tx, params = psgd_kron(0.5), jnp.diag(jnp.array([2.0, 2.0]))
    >>> (-10 * tx.update(params, tx.init(params), params)[0]).round().astype(int).tolist()
    [[6, 0], [0, 6]]
    """
    direction = scale_by_psgd_kron(
        b1,
        preconditioner_learning_rate,
        steepness_decay,
        damping,
        clip,
        whiten=whiten,
        refresh=refresh,
        one_sided=one_sided,
        max_size=max_size,
        block_size=block_size,
        layouts=layouts,
        state_dtype=state_dtype,
    )
    return with_fallback(
        direction,
        learning_rate,
        weight_decay,
        decay_mask,
        fallback=fallback,
        fallback_learning_rate=fallback_learning_rate,
        layouts=layouts,
        state_dtype=state_dtype,
    )


PSGD_KRON = OptimizerInfo(
    "psgd_kron",
    psgd_kron,
    "Li 2015 to 2025, arXiv:1512.04202, arXiv:2402.11858",
    {
        "learning_rate": LogUniform(1e-4, 1e-2),
        "b1": OneMinusLog(0.8, 0.98),
        "fallback_learning_rate": LogUniform(1e-4, 3e-2),
    },
    needs_params=True,
)
