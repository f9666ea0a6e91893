"""Newton's method with a dense Hessian, free of saddles (Dauphin et al., 2014)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core import hyper, linalg
from jaxlab.core.chain import chain
from jaxlab.optimizers import spaces
from jaxlab.optimizers.dense import Dense
from jaxlab.optimizers.info import OptimizerInfo
from jaxlab.optimizers.line_search import NEEDS, require, with_line_search
from jaxlab.schedules.learning_rate import LearningRate, scale_by_learning_rate


def scale_by_newton(damping: hyper.Scalar = 0.0) -> optax.GradientTransformationExtraArgs:
    r"""Newton's direction, with the absolute values of the Hessian's eigenvalues.

    .. math::
        H = \nabla^2 J(\theta) = V \operatorname{diag}(\lambda) V^\top, \qquad
        d = V \operatorname{diag}\!\left(\frac{1}{|\lambda| + \mu}\right) V^\top g

    Where J is convex and :math:`\mu = 0` this is :math:`H^{-1} g`. Where a curvature is negative Newton's own
    step would climb to the saddle; with its absolute value the step leaves it. An eigenvalue that is zero to
    rounding counts as that rounding, :math:`\epsilon \max |\lambda|`.

    The Hessian is that of the loss of this batch: a penalty that is a transform before this one adds to ``g`` only.

    Args:
      damping: :math:`\mu` of at least 0, in units of the curvature: shortens the step along flat directions.

    Returns:
      A transform without state. Its ``update`` needs the parameters and ``hvp_fn(params, vector)``, the
      Hessian times a vector, and forms an n x n matrix from n such products: for up to 4,096 parameters.

    Raises:
      ValueError: a bad number; from ``update``, something that it needs is missing, or too many parameters.

    Reference: https://arxiv.org/abs/1406.2572, section 5 (saddle-free Newton), here with the whole Hessian.

    >>> loss = lambda x: x[0] ** 2 + 3 * x[0] * x[1] + 9 * x[1] ** 2
    >>> hvp_fn = lambda x, v: jax.jvp(jax.grad(loss), (x,), (v,))[1]
    >>> tx, x = scale_by_newton(), jnp.array([4.0, -3.0])
    >>> tx.update(jax.grad(loss)(x), tx.init(x), x, hvp_fn=hvp_fn)[0].round(4).tolist()
    [4.0, -3.0]
    """
    damping = hyper.number("damping", damping, "[0, inf)")

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        require("newton", params, extra, ("hvp_fn",))
        dense = Dense(updates, params)
        if not dense.size:
            return updates, state

        def product(vector: Array) -> Array:
            return dense.vector(extra["hvp_fn"](params, dense.tangent(vector)))

        rows = jax.vmap(product)(jnp.eye(dense.size, dtype=hyper.arithmetic_dtype()))
        direction = _solve(rows, dense.vector(updates), damping)
        return dense.update(direction), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def newton(
    learning_rate: LearningRate = 1.0, damping: hyper.Scalar = 0.0, line_search: str = "backtracking"
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method, :math:`\theta_t = \theta_{t-1} - t\,\alpha_t d_t` with :func:`scale_by_newton`'s direction.

    For small problems: a step costs n Hessian-vector products and an eigendecomposition, of the order of
    :math:`n^3`.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform: the length tried
        first. At 1, the default, Newton's step: one reaches the minimum of a quadratic, and near a minimum the
        error is squared at every step.
      damping: as in :func:`scale_by_newton`.
      line_search: how the factor :math:`t` is found (static), as in
        :func:`~jaxlab.optimizers.line_search.with_line_search`. Backtracking, the default, takes the whole step
        wherever it lowers the loss enough, and so makes the method safe far from a minimum.

    ``update`` needs ``hvp_fn``, and with a line search ``value``, ``grad`` and ``value_fn`` of the same batch.

    >>> loss = lambda x: jnp.cosh(x[0]) + (x[1] - 2) ** 2
    >>> tx, x = newton(), jnp.array([3.0, 0.0])
    >>> state = tx.init(x)
    >>> for _ in range(6):
    ...     value, grad = jax.value_and_grad(loss)(x)
    ...     hvp_fn = lambda x, v: jax.jvp(jax.grad(loss), (x,), (v,))[1]
    ...     u, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=loss, hvp_fn=hvp_fn)
    ...     x = x + u
    >>> (abs(x[0]) < 1e-5).item(), x[1].item()
    (True, 2.0)
    """
    return chain(scale_by_newton(damping), with_line_search(scale_by_learning_rate(learning_rate), line_search))


@jax.jit
def _solve(hessian: Float[Array, "n n"], g: Float[Array, " n"], damping: Float[Array, ""]) -> Float[Array, " n"]:
    eigenvalues, basis = linalg.eigh((hessian + hessian.T) / 2)
    sizes = jnp.abs(eigenvalues)
    precision = jnp.finfo(g.dtype)
    floor = jnp.maximum(precision.eps * jnp.max(sizes), precision.tiny)
    along = jnp.matmul(g, basis, precision="highest")
    return jnp.matmul(basis, along / (jnp.maximum(sizes, floor) + damping), precision="highest")


NEWTON = OptimizerInfo(
    "newton",
    newton,
    "Newton 1685, Raphson 1690; Dauphin et al. 2014, arXiv:1406.2572",
    spaces.DAMPED,
    needs_params=True,
    needs=(*NEEDS, "hvp_fn"),
    measured_on=(64, 64),
)
