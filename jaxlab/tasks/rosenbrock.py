"""Rosenbrock's valley (1960): two parameters, not convex, a bent valley whose floor hardly falls."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.tasks.base import Task

START = (-1.2, 1.0)
COPIES = 5
Params = dict[str, Float[Array, ""]]


def init(key: Key[Array, ""]) -> Params:
    """The classical start, whatever the key."""
    x, y = (jnp.asarray(value, hyper.arithmetic_dtype()) for value in START)
    return {"x": x, "y": y}


class Rosenbrock:
    """``(loss, {"gap": loss})``: the minimum is 0, so the value is the suboptimality gap."""

    def __call__(
        self, params: Params, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> tuple[Array, dict[str, Array]]:
        """The mean over the batch, whose examples are all the same function."""
        value = jnp.mean(jnp.square(self.residuals(params, batch, key)))
        return value, {"gap": value}

    def residuals(
        self, params: Params, batch: dict[str, Array], key: Key[Array, ""] | None
    ) -> Float[Array, "examples 2"]:
        """Two residuals an example, whose mean square is the loss: for Gauss-Newton."""
        x, y = params["x"], params["y"]
        pair = jnp.stack([batch["a"] - x, jnp.sqrt(batch["b"]) * (y - x**2)], axis=-1)
        return jnp.sqrt(2).astype(pair.dtype) * pair


LOSS = Rosenbrock()


def task() -> Task:
    r"""The function :math:`f(x, y) = (a - x)^2 + b\,(y - x^2)^2` with a = 1, b = 100, from (-1.2, 1).

    Its only minimum is f(1, 1) = 0, where the Hessian's condition is 2,508. The function is deterministic: the
    examples that a task is made of are identical copies of its two numbers, so every batch, the validation and
    the test are the whole function, and seeds do not differ.

    Reference: https://doi.org/10.1093/comjnl/3.3.175.
    """

    def copies(count: int) -> dict[str, Array]:
        return {name: jnp.full(count, value, hyper.arithmetic_dtype()) for name, value in (("a", 1.0), ("b", 100.0))}

    return Task(
        name="rosenbrock",
        description="Rosenbrock's function of two parameters from (-1.2, 1); deterministic: every example is the "
        "whole function",
        data=copies(COPIES),
        test=copies(1),
        init=init,
        loss=LOSS,
        metric="gap",
        unit="value above the minimum (at the start: 24.2)",
        target=1e-6,
        batch_size=1,
        steps=3_000,
        recipe=Recipe("adam", "cosine"),
        hyperparams={"learning_rate": 0.1, "total_steps": 3_000},
    )
