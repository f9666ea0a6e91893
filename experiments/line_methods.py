"""The line that ``experiments.linear_regression`` looks for, the methods that look for it, and their training."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from jaxlab.core.chain import chain
from jaxlab.losses import mse
from jaxlab.optimizers import Recipe, gradient_descent
from jaxlab.regularizers import l1, l2
from jaxlab.schedules import loss_driven
from jaxlab.sweep import seed_keys
from jaxlab.tasks.line import MODEL
from jaxlab.train.run import init_run, scan_steps, training_batch
from jaxlab.train.state import Build
from jaxlab.train.step import step_fn
from jaxlab.train.stopwatch import Stopwatch

PENALTY = 0.1
"""The strength of the L1 and of the L2 penalty."""
DECAY = 1e-4
"""AdamW's. Its usual 1e-2 would hold the line visibly off the optimum, which is no matter of descent."""
BATCHES = FULL, MINI, SINGLE = ("full batch", "mini-batches", "single examples")


@dataclasses.dataclass(frozen=True)
class Line:
    """The least-squares line of some points, in float64: where the methods should end.

    Attributes:
      theta: slope and intercept that minimise the loss (with its penalty, if the method has one).
      hessian: of the mean squared error (and an L2 penalty).
      least: the least mean squared error of any line.
      deviation: root of the summed variances of slope and intercept, by which the closed form itself misses the
        true line.
    """

    theta: Float[np.ndarray, "2"]
    hessian: Float[np.ndarray, "2 2"]
    least: float
    deviation: float

    def excess(self, theta: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "..."]:
        """The loss above that of the optimum, as a part of the least mean squared error."""
        away = theta - self.theta
        return np.einsum("...i,ij,...j->...", away, self.hessian, away) / 2 / self.least


def closed_form(data: PyTree[Any], l1: float = 0.0, l2: float = 0.0) -> Line:
    r"""Solves the normal equations, :math:`(\tfrac2n X^T X + \lambda_2 I) \theta = \tfrac2n X^T y - \lambda_1 s`.

    An L1 penalty pulls along the signs :math:`s` of slope and intercept, which are positive here.
    """
    x, y = (np.asarray(data[name], np.float64).ravel() for name in ("x", "y"))
    design = np.stack([x, np.ones_like(x)], axis=1)
    gram = design.T @ design
    hessian = 2 / x.size * gram + l2 * np.eye(2)
    theta = np.linalg.solve(hessian, 2 / x.size * design.T @ y - l1)
    squares = np.sum((y - design @ np.linalg.solve(gram, design.T @ y)) ** 2)
    variances = squares / (x.size - 2) * np.diag(np.linalg.inv(gram))
    return Line(theta, hessian, float(squares / x.size), float(np.sqrt(variances.sum())))


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to descend.

    Attributes:
      batch: one of ``BATCHES``.
      label: the rest of its name.
      optimizer, schedule: by their names.
      build: ``hyperparams -> GradientTransformation``.
      rates: the grid of learning rates.
      hyperparams: all other numbers.
      steps, batch_size: of a run.
      l1, l2: strengths of a penalty on slope and intercept, which moves the optimum.
    """

    batch: str
    label: str
    optimizer: str
    schedule: str
    build: Build
    rates: tuple[float, ...]
    hyperparams: Mapping[str, float]
    steps: int
    batch_size: int
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for rate in self.rates:
            self.build({"learning_rate": rate, **self.hyperparams})

    @property
    def name(self) -> str:
        """How it is chosen on the command line."""
        return f"{self.batch}: {self.label}"


def tanh_of_loss(numbers: Mapping[str, float]) -> optax.GradientTransformation:
    """The texts' dynamic gradient descent, alpha f(J), with f = tanh(J / least): flat far away, falling near."""
    return gradient_descent(loss_driven(numbers["learning_rate"], f=lambda loss: jnp.tanh(loss / numbers["least"])))


def with_l1(numbers: Mapping[str, float]) -> optax.GradientTransformation:
    """Gradient descent on the loss and an L1 penalty."""
    return chain(l1(numbers["strength"]), gradient_descent(numbers["learning_rate"]))


def with_l2(numbers: Mapping[str, float]) -> optax.GradientTransformation:
    """Gradient descent on the loss and an L2 penalty."""
    return chain(l2(numbers["strength"]), gradient_descent(numbers["learning_rate"]))


DESCENT = (0.05, 0.1, 0.2, 0.4, 0.8)
VELOCITY = (0.01, 0.02, 0.05, 0.1, 0.2)
ADAPTIVE = (0.01, 0.03, 0.1, 0.3, 1.0)
NOISY = (0.003, 0.01, 0.03, 0.1, 0.3)
SINGLES = (0.0005, 0.001, 0.002, 0.01, 0.03)

# Batch, label, optimizer, schedule, rates. RMSprop and Adam take steps of about the rate itself, however small the
# gradient is: without a schedule they would tremble around the optimum.
TABLE = (
    (FULL, "gradient descent", "gradient_descent", "constant", DESCENT),
    (FULL, "step decay", "gradient_descent", "step", DESCENT),
    (FULL, "exponential decay", "gradient_descent", "exponential", DESCENT),
    (FULL, "cosine decay", "gradient_descent", "cosine", DESCENT),
    (FULL, "loss ratio", "gradient_descent", "loss_ratio", DESCENT),
    (FULL, "Polyak step", "gradient_descent", "polyak", (0.5, 1.0, 2.0, 5.0, 10.0)),
    (FULL, "momentum", "momentum", "constant", VELOCITY),
    (FULL, "Nesterov", "nesterov", "constant", VELOCITY),
    (FULL, "Adagrad", "adagrad", "constant", ADAPTIVE),
    (FULL, "RMSprop", "rmsprop", "cosine", ADAPTIVE),
    (FULL, "Adam", "adam", "cosine", ADAPTIVE),
    (FULL, "AdamW, decay 1e-4", "adamw", "cosine", ADAPTIVE),
    (MINI, "gradient descent", "sgd", "constant", NOISY),
    (MINI, "step decay", "sgd", "step", NOISY),
    (MINI, "exponential decay", "sgd", "exponential", NOISY),
    (MINI, "cosine decay", "sgd", "cosine", NOISY),
    (MINI, "reduce on plateau", "sgd", "reduce_on_plateau", NOISY),
    (MINI, "momentum", "momentum", "cosine", VELOCITY),
    (MINI, "Nesterov", "nesterov", "cosine", VELOCITY),
    (MINI, "Adagrad", "adagrad", "constant", ADAPTIVE),
    (MINI, "RMSprop", "rmsprop", "cosine", ADAPTIVE),
    (MINI, "Adam", "adam", "cosine", ADAPTIVE),
    (MINI, "AdamW, decay 1e-4", "adamw", "cosine", ADAPTIVE),
    (SINGLE, "gradient descent", "sgd", "constant", SINGLES),
    (SINGLE, "step decay", "sgd", "step", SINGLES),
    (SINGLE, "exponential decay", "sgd", "exponential", SINGLES),
    (SINGLE, "cosine decay", "sgd", "cosine", SINGLES),
)


def methods_of(steps: Mapping[str, int], sizes: Mapping[str, int], least: float) -> list[Method]:
    """Every method of the texts.

    Args:
      steps, sizes: of a run and of a batch, for each of ``BATCHES``.
      least: the least loss, which Polyak's step must know.
    """
    found = []
    for batch, label, optimizer, schedule, rates in TABLE:
        recipe = Recipe(optimizer, schedule)
        numbers = numbers_of(schedule, steps[batch], max(1, sizes[FULL] // sizes[batch]), least)
        if optimizer == "adamw":
            numbers = {**numbers, "weight_decay": DECAY}
        found.append(
            Method(batch, label, optimizer, schedule, recipe.build, rates, numbers, steps[batch], sizes[batch])
        )
    plain = ("gradient_descent", "constant")
    loss_driven = ("gradient_descent", "loss_driven")
    size = (steps[FULL], sizes[FULL])
    return [
        *found,
        Method(FULL, "tanh of the loss", *loss_driven, tanh_of_loss, DESCENT, {"least": least}, *size),
        Method(FULL, "with L1", *plain, with_l1, DESCENT, {"strength": PENALTY}, *size, l1=PENALTY),
        Method(FULL, "with L2", *plain, with_l2, DESCENT, {"strength": PENALTY}, *size, l2=PENALTY),
    ]


def numbers_of(schedule: str, steps: int, epoch: int, least: float) -> dict[str, float]:
    """What a schedule needs besides the rate, for a run of so many steps."""
    shapes: dict[str, dict[str, float]] = {
        "step": {"every": max(1, steps // 3), "factor": 0.1},
        "exponential": {"decay_rate": 0.01, "transition_steps": steps},
        "cosine": {"total_steps": steps},
        "reduce_on_plateau": {"factor": 0.5, "patience": 3, "every": epoch},
        "loss_ratio": {"power": 0.5},
        "polyak": {"optimum": least},
    }
    return shapes.get(schedule, {})


def loss(params: PyTree[Array], batch: PyTree[Array], key: Array | None) -> tuple[Array, dict[str, Array]]:
    """The mean squared error; the metrics are the parameters themselves, so that a run shows its whole way."""
    line = {"slope": params["dense_0"]["kernel"][0, 0], "intercept": params["dense_0"]["bias"][0]}
    return mse(MODEL.apply(params, batch["x"], key), batch["y"]), line


def train(
    method: Method, data: PyTree[Array], seeds: Sequence[int], clock: Stopwatch
) -> Float[np.ndarray, "rates seeds steps 2"]:
    """Slope and intercept before each step and after the last, for all rates and seeds in one program."""
    examples = data["x"].shape[0]
    whole = method.batch_size == examples

    def batch_of(state: Any, data: PyTree[Array]) -> PyTree[Array]:
        return data if whole else training_batch(state, data, training=examples, batch_size=method.batch_size)

    def one(rate: Array, key: Array, data: PyTree[Array]) -> Float[Array, "steps 2"]:
        numbers = {"learning_rate": rate, **method.hyperparams}
        state = init_run(MODEL.init, method.build, numbers, key=key)
        # One step more than the method has: a step's metrics are those before it.
        _, metrics = scan_steps(step_fn(loss, method.build), batch_of, method.steps + 1)(state, data)
        return jnp.stack([metrics["slope"], metrics["intercept"]], axis=-1)

    each_seed = jax.vmap(one, in_axes=(None, 0, None))
    all_members = jax.jit(jax.vmap(each_seed, in_axes=(0, None, None)))
    rates = np.array(method.rates, np.float32)
    return np.asarray(clock.run(all_members, rates, seed_keys(seeds), data), np.float64)
