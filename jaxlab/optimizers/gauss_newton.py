"""Gauss-Newton for sums of squares (Gauss, 1809), damped as Levenberg (1944) and Marquardt (1963) did."""

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


def scale_by_gauss_newton(damping: hyper.Scalar = 0.0) -> optax.GradientTransformationExtraArgs:
    r"""Gauss-Newton's direction for a loss that is a mean of squares, :math:`J = \frac{1}{m} \sum_i r_i(\theta)^2`.

    With the Jacobian :math:`A = \partial r / \partial \theta` of the residuals,

    .. math::
        \left(\tfrac{2}{m} A^\top A + \mu I\right) d = g,

    which is Newton's direction without the residuals' own curvature: exact for linear residuals, close where
    they are small, and never uphill. It is solved by the singular values of A, not of the
    product, whose condition is the square. Directions whose singular value is zero to rounding, below
    :math:`\max(m, n)\,\epsilon\,\sigma_{\max}`, do not move: with more parameters than residuals and
    :math:`\mu = 0` that is the solution of least norm. What of ``g`` comes from elsewhere than the residuals
    (a penalty that is a transform before this one) counts only as far as the residuals depend on it.

    Args:
      damping: Levenberg's :math:`\mu` of at least 0, in units of the curvature of the mean.

    Returns:
      A transform without state. Its ``update`` needs the parameters and ``residual_fn(params)``, an array whose
      mean square is the loss, and forms an m x n matrix: for up to 4,096 parameters.

    Raises:
      ValueError: a bad number; from ``update``, something that it needs is missing, or too many parameters.

    Reference: Nocedal and Wright, Numerical Optimization, 2nd edition, section 10.3.

    >>> residual_fn = lambda x: jnp.array([x[0] - 1, 2 * x[1] + 4, x[0] + x[1] + 1])
    >>> x = jnp.zeros(2)
    >>> grad = jax.grad(lambda x: jnp.mean(residual_fn(x) ** 2))(x)
    >>> tx = scale_by_gauss_newton()
    >>> tx.update(grad, tx.init(x), x, residual_fn=residual_fn)[0].round(4).tolist()
    [-1.0, 2.0]
    """
    damping = hyper.number("damping", damping, "[0, inf)")

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, optax.EmptyState]:
        require("gauss_newton", params, extra, ("residual_fn",))
        dense = Dense(updates, params)
        if not dense.size:
            return updates, state
        full = hyper.arithmetic_dtype()

        def residuals(vector: Array) -> Array:
            return jnp.ravel(jnp.asarray(extra["residual_fn"](dense.parameters(vector)), full))

        here = dense.vector(params)
        count = jax.eval_shape(residuals, here).size
        jacobian = (jax.jacfwd if dense.size <= count else jax.jacrev)(residuals)(here)
        return dense.update(_solve(jacobian, dense.vector(updates), damping)), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def gauss_newton(
    learning_rate: LearningRate = 1.0, damping: hyper.Scalar = 0.0, line_search: str = "backtracking"
) -> optax.GradientTransformationExtraArgs:
    r"""Gauss-Newton, :math:`\theta_t = \theta_{t-1} - t\,\alpha_t d_t` with :func:`scale_by_gauss_newton`'s direction.

    For least squares alone: mean squared error of a regression has residuals, cross entropy and hinge do not
    (``newton`` and ``lbfgs`` take any loss). A training step finds them where ``loss_fn`` has a method
    ``residuals(params, batch, key)``.

    Args:
      learning_rate: a number of at least 0, a schedule, or a loss-driven transform: the length tried
        first. At 1, the default, one step solves linear least squares.
      damping: as in :func:`scale_by_gauss_newton`.
      line_search: how the factor :math:`t` is found (static), as in
        :func:`~jaxlab.optimizers.line_search.with_line_search`; without one the method may diverge far from a minimum.

    ``update`` needs ``residual_fn``, and with a line search ``value``, ``grad`` and ``value_fn`` of the same batch.

    >>> residual_fn = lambda x: jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> loss = lambda x: jnp.mean(residual_fn(x) ** 2)
    >>> tx, x = gauss_newton(), jnp.array([-1.2, 1.0])
    >>> state = tx.init(x)
    >>> for _ in range(20):
    ...     value, grad = jax.value_and_grad(loss)(x)
    ...     u, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=loss, residual_fn=residual_fn)
    ...     x = x + u
    >>> x.round(4).tolist()
    [1.0, 1.0]
    """
    return chain(scale_by_gauss_newton(damping), with_line_search(scale_by_learning_rate(learning_rate), line_search))


@jax.jit
def _solve(jacobian: Float[Array, "m n"], g: Float[Array, " n"], damping: Float[Array, ""]) -> Float[Array, " n"]:
    _, singular, basis = linalg.svd(jacobian)
    kept = singular > max(jacobian.shape) * jnp.finfo(g.dtype).eps * jnp.max(singular)
    # Where the Jacobian is not finite neither is the direction: a step that skips such shall see it.
    kept |= jnp.isnan(singular)
    curvature = jnp.where(kept, 2 / len(jacobian) * singular**2 + damping, 1.0)
    along = jnp.matmul(basis, g, precision="highest")
    return jnp.matmul(jnp.where(kept, along / curvature, 0.0), basis, precision="highest")


GAUSS_NEWTON = OptimizerInfo(
    "gauss_newton",
    gauss_newton,
    "Gauss 1809; Levenberg 1944; Marquardt 1963",
    spaces.DAMPED,
    needs_params=True,
    needs=(*NEEDS, "residual_fn"),
    measured_on=(64, 64),
)
