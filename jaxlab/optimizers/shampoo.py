"""Shampoo: preconditioned stochastic tensor optimization (Gupta, Koren and Singer, 2018)."""

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
from jaxlab.optimizers.kronecker import scaled_to, shortened
from jaxlab.optimizers.layerwise import norm
from jaxlab.schedules.learning_rate import LearningRate

T = TypeVar("T")

GRAFTS = ("adam", "rmsprop", "sgd", "none")
"""Whose length a step takes, see :func:`scale_by_shampoo`."""


class Statistics(NamedTuple, Generic[T]):
    """Second moments of the rows and of the columns, their inverse roots, momentum, squares for the graft."""

    l: T  # noqa: E741, the paper's name
    r: T
    root_l: T
    root_r: T
    m: T
    v: T


def scale_by_shampoo(
    momentum: hyper.Scalar = 0.9,
    b2: hyper.Scalar | None = 0.99,
    eps: hyper.Scalar = 1e-8,
    damping: hyper.Scalar = 1e-6,
    *,
    nesterov: bool = False,
    graft: str = "adam",
    root: int = 4,
    refresh: int = 10,
    block_size: int | None = 1024,
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Shampoo's direction: what is long in the rows or the columns of past gradients is shortened.

    .. math::
        L_t &= \beta_2 L_{t-1} + (1 - \beta_2) G_t G_t^T &\quad
        R_t &= \beta_2 R_{t-1} + (1 - \beta_2) G_t^T G_t \\
        D_t &= s_t\, \hat L^{-1/p}\, G_t\, \hat R^{-1/p} &\quad
        M_t &= \mu M_{t-1} + D_t

    with p = ``root``; hats are averages without their bias; roots are those of the last refresh. The scale s grafts:
    the step gets the length that another optimizer's step would have.

    ============== ============================================================
    ``graft``      the length of
    ============== ============================================================
    ``"adam"``     :math:`G / (\sqrt{\hat v} + \epsilon)`
    ``"rmsprop"``  the same with :math:`v`, which begins small: longer at first
    ``"sgd"``      :math:`G`
    ``"none"``     :math:`D` itself, as in the paper
    ============== ============================================================

    The paper's own form is ``b2=None, graft="none", momentum=0``. What it adds to L and R once, an :math:`\epsilon I`,
    is here a part of the mean eigenvalue whenever roots are taken, so that gradients of any size are treated alike.
    Grafting and momentum are those of Distributed Shampoo. A block has its own length; there a leaf has.

    Args:
      momentum: :math:`\mu`, in [0, 1).
      b2: decay of all averages, in [0, 1); None for sums, as Adagrad's.
      eps: of the graft, added outside the root, above 0.
      damping: added to eigenvalues, in parts of their mean, above 0.
      nesterov: whether the direction looks ahead, :math:`\mu M_t + D_t` (static).
      graft: one of the names above (static).
      root: p, at least 1: 4 is the paper's for matrices, 2 the inverse of the whole covariance on both sides (static).
      refresh: roots are taken at the first step and at every so many after it (static).
      block_size: larger matrices are cut into blocks with at most so many rows and columns (static); None: never.
      layouts: which axes of a leaf make matrices, see :data:`~jaxlab.core.layouts.Layouts` (static).
      state_dtype: how momentum and squares are stored. L, R and their roots are kept exact: a small eigenvalue, which
        counts most, would drown in their rounding.

    Raises:
      ValueError: a number outside its range, an unknown name; from ``init``, a leaf that is no matrix or of which
        nobody can tell.

    State: two values for each parameter, and two squares of each side; 24 bytes for each parameter of a square matrix.

    Reference: https://arxiv.org/abs/1802.09568, algorithm 1; https://arxiv.org/abs/2002.09018 for practice.

    >>> tx = scale_by_shampoo(graft="none", momentum=0.0)
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.2]])
    >>> tx.update(g, tx.init(g))[0].round(2).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    hyper.flag("nesterov", nesterov)
    momentum = hyper.number("momentum", momentum, "[0, 1)")
    b2 = None if b2 is None else hyper.number("b2", b2, "[0, 1)")
    eps = hyper.number("eps", eps, "(0, inf)")
    damping = hyper.number("damping", damping, "(0, inf)")
    hyper.one_of("graft", graft, GRAFTS)
    root = hyper.integer("root", root, at_least=1)
    refresh = hyper.integer("refresh", refresh, at_least=1)

    def accumulated(before: Array, new: Array) -> Array:
        return before + new if b2 is None else average(before, new, b2)

    def unbiased(mean: Array, t: Array) -> Array:
        return mean if b2 is None else debias(mean, b2, t)

    def slots(shape: jax.ShapeDtypeStruct) -> Statistics[storage.Slot]:
        squares = storage.zeros(shape if graft in ("adam", "rmsprop") else nothing(shape), signed=False)
        eyes = [jnp.eye(side, dtype=shape.dtype) for side in shape.shape]
        l, r, root_l, root_r = (storage.Slot(scale * eye, low_bit=False) for scale in (0, 1) for eye in eyes)  # noqa: E741
        return Statistics(l, r, root_l, root_r, m=storage.zeros(shape), v=squares)

    def length(g: Array, d: Array, v: Array, t: Array) -> Array:
        match graft:
            case "adam":
                return norm(g / (jnp.sqrt(unbiased(v, t)) + eps))
            case "rmsprop":
                return norm(g / (jnp.sqrt(v) + eps))
            case "sgd":
                return norm(g)
            case _:
                return norm(d)

    def update(matrix: Matrix, slots: Statistics[Array]) -> tuple[Array, Statistics[Array]]:
        g = shortened(matrix.g)
        with jax.default_matmul_precision("highest"):
            l, r = accumulated(slots.l, g @ g.T), accumulated(slots.r, g.T @ g)  # noqa: E741

            def refreshed() -> tuple[Array, Array]:
                root_l, root_r = (linalg.inverse_root(unbiased(x, matrix.t), root, damping) for x in (l, r))
                return root_l, root_r

            # The clock is not batched: neither over the stack nor over a population, where a select would do both.
            due = (matrix.clock - 1) % refresh == 0
            root_l, root_r = jax.lax.cond(due, refreshed, lambda: (slots.root_l, slots.root_r))
            d = root_l @ g @ root_r
        v = accumulated(slots.v, g**2) if slots.v.size else slots.v
        d = scaled_to(d, length(g, d, v, matrix.t))
        m = momentum * slots.m + d
        return d + momentum * m if nesterov else m, Statistics(l, r, root_l, root_r, m, v)

    return matrixwise(update, slots=slots, store=state_dtype, rules=layouts, block_size=block_size)


def nothing(shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The shape of a slot that holds nothing."""
    return jax.ShapeDtypeStruct((0, 0), shape.dtype)


def shampoo(
    learning_rate: LearningRate,
    momentum: hyper.Scalar = 0.9,
    b2: hyper.Scalar | None = 0.99,
    eps: hyper.Scalar = 1e-8,
    damping: hyper.Scalar = 1e-6,
    weight_decay: hyper.Scalar = 0.0,
    fallback_learning_rate: LearningRate = 3e-3,
    decay_mask: tree.Mask = None,
    nesterov: bool = False,
    graft: str = "adam",
    root: int = 4,
    refresh: int = 10,
    block_size: int | None = 1024,
    fallback: Fallback = "adamw",
    layouts: Layouts = (),
    state_dtype: storage.StateDtype = "float32",
) -> optax.GradientTransformationExtraArgs:
    r"""Shampoo: :func:`scale_by_shampoo` with decoupled decay for matrices, AdamW for everything else.

    Everything else is biases, scales, embeddings and heads, by their names, as for
    :func:`~jaxlab.optimizers.muon.muon`.

    Args:
      learning_rate: that of the matrices: a number of at least 0, a schedule, or a loss-driven transform. With momentum
        and Adam's graft it is Adam's times :math:`1 - \mu`.
      momentum, b2, eps, damping, nesterov, graft, root, refresh, block_size, layouts: as in :func:`scale_by_shampoo`.
      weight_decay: at least 0, times the learning rate of the leaf.
      fallback_learning_rate: that of everything else.
      decay_mask: which leaves decay, as in :func:`~jaxlab.optimizers.adamw.adamw`.
      fallback: what everything else is trained by (static), see :data:`~jaxlab.optimizers.fallback.Fallback`.
      state_dtype: how state is stored, as in :func:`scale_by_shampoo`; the fallback's, too.

    Raises:
      ValueError, TypeError: as in :func:`scale_by_shampoo`; an unknown fallback.

    >>> tx, params = shampoo(0.5, momentum=0.0, graft="none"), jnp.diag(jnp.array([3.0, -0.2]))
    >>> (-tx.update(params, tx.init(params), params)[0]).round(2).tolist()
    [[0.5, 0.0], [0.0, -0.5]]
    """
    direction = scale_by_shampoo(
        momentum,
        b2,
        eps,
        damping,
        nesterov=nesterov,
        graft=graft,
        root=root,
        refresh=refresh,
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


SHAMPOO = OptimizerInfo(
    "shampoo",
    shampoo,
    "Gupta, Koren and Singer 2018, arXiv:1802.09568",
    {
        "learning_rate": LogUniform(1e-5, 3e-3),
        "b2": OneMinusLog(0.9, 0.999),
        "fallback_learning_rate": LogUniform(1e-4, 3e-2),
    },
    needs_params=True,
)
