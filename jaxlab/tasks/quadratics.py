"""Quadratics of a chosen condition number, rotated so that no coordinate is an eigenvector: convex, solved."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task

DIMENSIONS = 20
COPIES = 5
Params = dict[str, Float[Array, " n"]]


class Quadratic:
    r"""The loss :math:`f(x) = \tfrac12 (x - x^*)^T A (x - x^*)` with :math:`A = Q \Lambda Q^T = R^T R`.

    Its value is the suboptimality ``gap``, because the minimum is 0.

    Args:
      condition: the largest eigenvalue over the smallest.

    Attributes:
      eigenvalues: of :math:`A`, from 1 / condition to 1 in equal ratios.
      rotation: :math:`Q`, a fixed random orthogonal matrix; its columns are the eigenvectors.
      optimum: :math:`x^*`, fixed standard normal numbers.
    """

    def __init__(self, condition: float) -> None:
        random = np.random.RandomState(0)
        self.eigenvalues = np.logspace(-np.log10(condition), 0, DIMENSIONS)
        self.rotation = np.linalg.qr(random.standard_normal((DIMENSIONS, DIMENSIONS)))[0]
        self.optimum = random.standard_normal(DIMENSIONS)

    def init(self, key: Key[Array, ""]) -> Params:
        """A start at gap 1, in which every eigenvector has the same share on average.

        Were all directions equally far from the optimum, the flat ones would hold next to nothing of the gap, and
        a large condition would be no difficulty.
        """
        dtype = hyper.arithmetic_dtype()
        normal = jax.random.normal(key, (DIMENSIONS,), dtype)
        along = jnp.sqrt(2 / self.eigenvalues.astype(dtype)) * normal / jnp.linalg.norm(normal)
        return {"x": self.optimum.astype(dtype) + self.rotation.astype(dtype) @ along}

    def data(self, copies: int) -> dict[str, Array]:
        """Identical examples: the root :math:`R` of the matrix, and the optimum."""
        root = np.sqrt(self.eigenvalues)[:, None] * self.rotation.T
        return {
            name: jnp.asarray(np.stack(copies * [value]), hyper.arithmetic_dtype())
            for name, value in (("root", root), ("optimum", self.optimum))
        }

    def __call__(
        self, params: Params, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """``(loss, metrics)``: the mean over the batch, whose examples are all the same function."""
        value = jnp.mean(jnp.square(self.residuals(params, batch, key)))
        return value, {"gap": value}

    def residuals(
        self, params: Params, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> Float[Array, "examples n"]:
        """As many residuals an example as there are dimensions, whose mean square is the loss: for Gauss-Newton."""
        away = params["x"] - batch["optimum"]
        return float(np.sqrt(DIMENSIONS / 2)) * jnp.einsum("eij,ej->ei", batch["root"], away)


# Compiled programs are found again by the identity of a loss: one for each condition.
quadratic = functools.cache(Quadratic)


def task(condition: float) -> Task:
    r"""A quadratic of 20 dimensions, by heavy-ball momentum with the best constants there are.

    Those are Polyak's for a known smallest eigenvalue :math:`\mu` and a largest of 1: a learning rate of
    :math:`4 / (1 + \sqrt\mu)^2` and a momentum of :math:`((1 - \sqrt\mu) / (1 + \sqrt\mu))^2`, which take of the
    order of :math:`\sqrt{1 / \mu}` steps, where gradient descent takes :math:`1 / \mu`.

    The function is deterministic: the examples that a task is made of are identical copies of it, so every batch,
    the validation and the test are the whole function. Seeds differ in where they start.

    Args:
      condition: at least 1, static.

    Raises:
      ValueError: a condition below 1.

    Reference: https://doi.org/10.1016/0041-5553(64)90137-5.
    """
    hyper.number("condition", condition, "[1, 1e12]")
    root_mu = 1 / np.sqrt(condition)
    function = quadratic(condition)
    short = np.format_float_scientific(condition, trim="-", exp_digits=1).removesuffix("e+0").replace("+", "")
    return Task(
        name=f"quadratic_{short}",
        description=f"f(x) = (x - x*)' A (x - x*) / 2 in {DIMENSIONS} dimensions, A rotated at random, its eigenvalues "
        f"from {1 / condition:g} to 1 in equal ratios; deterministic: every example is the whole function",
        data=function.data(COPIES),
        test=function.data(1),
        init=function.init,
        loss=function,
        metric="gap",
        unit="value above the minimum (at the start: 1)",
        target=1e-6,
        batch_size=1,
        steps=int(10 * np.sqrt(condition)),
        recipe=Recipe("momentum"),
        hyperparams={
            "learning_rate": float(4 / (1 + root_mu) ** 2),
            "momentum": float(((1 - root_mu) / (1 + root_mu)) ** 2),
        },
    )


quadratic_1 = functools.partial(task, 1.0)
quadratic_1e2 = functools.partial(task, 1e2)
quadratic_1e4 = functools.partial(task, 1e4)
quadratic_1e6 = functools.partial(task, 1e6)
