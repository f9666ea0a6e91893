"""SOAP: improving and stabilizing Shampoo using Adam (Vyas et al., 2024)."""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxlab.core import hyper, linalg, storage, tree
from jaxlab.core.layouts import Layouts
from jaxlab.core.matrixwise import Matrix, matrixwise
from jaxlab.core.moments import average, debias
from jaxlab.core.space import LogUniform, OneMinusLog
from jaxlab.optimizers.fallback import Fallback, with_fallback
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.kronecker import shortened
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")


class Rotated(NamedTuple, Generic[T]):
    """The average of the gradient, that of its square in the eigenbases, second moments of the sides, their eigenbases.

    A side that is not turned has nothing, 0 x 0, in place of both.
    """

    m: T
    v: T
    l: T  # noqa: E741, the paper's name
    r: T
    q_l: T
    q_r: T


def scale_by_soap(
    b1: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.95,
    eps: hyper.Scalar = 1e-8,
    *,
    refresh: int = 10,
    max_size: int = 10000,
    block_size: int | None = None,
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""SOAP's direction: Adam's in the eigenbases of Shampoo's preconditioner, turned back.

    .. math::
        G'_t &= Q_L^T G_t Q_R, \qquad M_t = \beta_1 M_{t-1} + (1 - \beta_1) G_t, \qquad
        V_t = \beta_2 V_{t-1} + (1 - \beta_2) G_t'^2 \\
        D_t &= \frac{\sqrt{1 - \beta_2^{t-1}}}{1 - \beta_1^{t-1}}\;
        Q_L \left(\frac{Q_L^T M_t Q_R}{\sqrt{V_t} + \epsilon}\right) Q_R^T \\
        L_t &= \beta_2 L_{t-1} + (1 - \beta_2) G_t G_t^T, \qquad R_t = \beta_2 R_{t-1} + (1 - \beta_2) G_t^T G_t

    The bases used are older than the gradient, which could not be judged by itself: the first step moves nothing, gives
    L and R, and finds their eigenvectors. Every ``refresh`` steps later the columns of Q are put in order of
    :math:`\mathrm{diag}(Q^T L Q)`, largest first, V with them, and one step of the power method is taken,
    :math:`Q \leftarrow \mathrm{QR}(L Q)`.

    This is the authors' code, which differs from the paper's algorithm 3 in the first step and in the order of columns.
    Their code's ``eps`` stands outside the bias correction, and so does it here. There, weight decay acts on the
    parameter after the step, and not at the first; here it is AdamW's.

    Args:
      b1: decay of the mean, in [0, 1).
      b2: decay of the mean square and of L and R, in [0, 1).
      eps: added outside the root, above 0.
      refresh: steps between bases (static).
      max_size: a side with more rows or columns than this is not turned; where neither is, the direction is Adam's, one
        step late (static).
      block_size: larger matrices are cut into blocks with at most so many rows and columns (static); None: never.
      layouts: which axes of a leaf make matrices, see :data:`~jaxlab.core.layouts.Layouts` (static).
      state_dtype: how M and V are stored. Bases are kept exact, since rounding would make them oblique, and L and R.

    Raises:
      ValueError: a number outside its range; from ``init``, a leaf that is no matrix or of which nobody can tell.

    State: two values for each parameter, and two squares of each side; 24 bytes for each parameter of a square matrix.

    Reference: https://arxiv.org/abs/2409.11321, algorithm 3; https://github.com/nikhilvyas/SOAP.

    >>> tx = scale_by_soap()
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.2]])
    >>> first, state = tx.update(g, tx.init(g))
    >>> second, state = tx.update(g, state)
    >>> first.tolist(), second.round(2).tolist()
    ([[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]])
    """
    b1 = hyper.number("b1", b1, "[0, 1)")
    b2 = hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    refresh = hyper.integer("refresh", refresh, at_least=1)
    max_size = hyper.integer("max_size", max_size, at_least=1)

    def slots(shape: jax.ShapeDtypeStruct) -> Rotated[storage.Slot]:
        turned = [side if side <= max_size else 0 for side in shape.shape]
        l, r, q_l, q_r = (  # noqa: E741
            storage.Slot(scale * jnp.eye(side, dtype=shape.dtype), low_bit=False) for scale in (0, 1) for side in turned
        )
        return Rotated(storage.zeros(shape), storage.zeros(shape, signed=False), l, r, q_l, q_r)

    def update(matrix: Matrix, slots: Rotated[Array]) -> tuple[Array, Rotated[Array]]:
        g, first = shortened(matrix.g), matrix.t == 1
        with jax.default_matmul_precision("highest"):
            m = jnp.where(first, slots.m, average(slots.m, g, b1))
            v = jnp.where(first, slots.v, average(slots.v, _turned(g, slots) ** 2, b2))
            steps = jnp.maximum(matrix.t - 1, 1)
            debiased = debias(m, b1, steps) / jnp.sqrt(debias(jnp.ones_like(eps), b2, steps))
            d = _turned_back(_turned(debiased, slots) / (jnp.sqrt(v) + eps), slots)
            l = average(slots.l, g @ g.T, b2) if slots.l.size else slots.l  # noqa: E741
            r = average(slots.r, g.T @ g, b2) if slots.r.size else slots.r
            now = slots._replace(m=m, v=v, l=l, r=r)

            # The clock is not batched: neither over the stack nor over a population, where a select would do all three.
            clock = matrix.clock
            which = jnp.where(clock == 1, 1, jnp.where((clock - 1) % refresh == 0, 2, 0))
            after = jax.lax.switch(which, (lambda now: now, _with_eigenvectors, _with_better_bases), now)
        return jnp.where(first, 0, d), after

    return matrixwise(update, slots=slots, store=state_dtype, rules=layouts, block_size=block_size)


def _turned(x: Array, slots: Rotated[Array]) -> Array:
    x = slots.q_l.T @ x if slots.q_l.size else x
    return x @ slots.q_r if slots.q_r.size else x


def _turned_back(x: Array, slots: Rotated[Array]) -> Array:
    x = slots.q_l @ x if slots.q_l.size else x
    return x @ slots.q_r.T if slots.q_r.size else x


def _with_eigenvectors(slots: Rotated[Array]) -> Rotated[Array]:
    q_l, q_r = (linalg.eigh(x)[1][:, ::-1] if x.size else x for x in (slots.l, slots.r))
    return slots._replace(q_l=q_l, q_r=q_r)


def _with_better_bases(slots: Rotated[Array]) -> Rotated[Array]:
    v, bases = slots.v, []
    for axis, (a, q) in enumerate(((slots.l, slots.q_l), (slots.r, slots.q_r))):
        if q.size:
            order = jnp.argsort(jnp.sum(q * (a @ q), axis=0), descending=True)
            v = jnp.take(v, order, axis)
            q = linalg.orthonormal(a @ q[:, order])  # noqa: PLW2901
        bases.append(q)
    return slots._replace(v=v, q_l=bases[0], q_r=bases[1])


def soap(
    learning_rate: LearningRate,
    b1: hyper.Scalar = 0.95,
    b2: hyper.Scalar = 0.95,
    eps: hyper.Scalar = 1e-8,
    weight_decay: hyper.Scalar = 1e-2,
    fallback_learning_rate: LearningRate = 3e-3,
    decay_mask: tree.Mask = None,
    refresh: int = 10,
    max_size: int = 10000,
    block_size: int | None = None,
    fallback: Fallback = "adamw",
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""SOAP: :func:`scale_by_soap` with decoupled decay for matrices, AdamW for everything else.

    Everything else is biases, scales, embeddings and heads, by their names, as for
    :func:`~jaxlab.optimizers.muon.muon`; the authors' code turns embeddings and heads, too, where they are small.

    Args:
      learning_rate: that of the matrices: a number of at least 0, a schedule, or a loss-driven transform.
      b1, b2, eps, refresh, max_size, block_size, layouts: as in :func:`scale_by_soap`.
      weight_decay: at least 0, times the learning rate of the leaf.
      fallback_learning_rate: that of everything else.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      fallback: what everything else is trained by (static), see :data:`~jaxlab.optimizers.fallback.Fallback`.
      state_dtype: how state is stored, as in :func:`scale_by_soap`; the fallback's, too.

    Raises:
      ValueError, TypeError: as in :func:`scale_by_soap`; an unknown fallback.

    >>> tx, params = soap(0.5, weight_decay=0.0), jnp.diag(jnp.array([3.0, -0.2]))
    >>> _, state = tx.update(params, tx.init(params), params)
    >>> (-tx.update(params, state, params)[0]).round(2).tolist()
    [[0.5, 0.0], [0.0, -0.5]]
    """
    direction = scale_by_soap(
        b1,
        b2,
        eps,
        refresh=refresh,
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


SOAP = OptimizerInfo(
    "soap",
    soap,
    "Vyas et al. 2024, arXiv:2409.11321",
    {
        "learning_rate": LogUniform(1e-3, 3e-2),
        "b1": OneMinusLog(0.8, 0.98),
        "b2": OneMinusLog(0.8, 0.99),
        "fallback_learning_rate": LogUniform(1e-4, 3e-2),
    },
    needs_params=True,
)
