"""The linear models of ``experiments.regularization``: every penalty, strength and fold, trained as one population.

The objective is scikit-learn's, half the mean squared error plus a penalty, and the intercept is left out of the
penalty. Full batches: the loss is known by its curvature and slope, so a step does not depend on the examples' number.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from sklearn import linear_model
from sklearn.model_selection import KFold

from jaxlab.core.chain import chain
from jaxlab.optimizers import gradient_descent
from jaxlab.regularizers import l1, l2, proximal_elastic_net, proximal_l1
from jaxlab.train.state import Build
from jaxlab.train.stopwatch import Stopwatch

RATIO = 0.5
"""L1's share in the elastic net."""
KERNEL = "matrices"
"""What is penalised: the weights, not the intercept."""


class Bowl(NamedTuple):
    """Half the mean squared error of a linear model, but for a constant: 1/2 t'At - b't, t = (weights, intercept)."""

    curvature: Any
    slope: Any


def bowl(x: Float[np.ndarray, "n features"], y: Float[np.ndarray, " n"], part: np.ndarray) -> Bowl:
    """The loss on a part of the examples, by its sums in float64."""
    design = np.column_stack([x, np.ones(len(x))])[part]
    return Bowl(design.T @ design / len(design), design.T @ y[part] / len(design))


def loss(params: Mapping[str, Array], of: Bowl) -> Float[Array, ""]:
    """The bowl's height."""
    theta = flat(params)
    return 0.5 * theta @ of.curvature @ theta - of.slope @ theta


def flat(params: Mapping[str, Array]) -> Float[Array, " features+1"]:
    """Weights and intercept in a row."""
    return jnp.concatenate([params["kernel"][:, 0], params["bias"]])


def proximal_lasso(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Gradient descent, each step followed by soft thresholding (ISTA)."""
    return proximal_l1(gradient_descent(numbers["learning_rate"]), numbers["strength"], KERNEL)


def ridge(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Gradient descent on the loss and half the squared weights."""
    return chain(l2(numbers["strength"], KERNEL), gradient_descent(numbers["learning_rate"]))


def elastic_net(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Gradient descent with the elastic net's proximal step."""
    return proximal_elastic_net(gradient_descent(numbers["learning_rate"]), numbers["strength"], RATIO, KERNEL)


def subgradient_lasso(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Gradient descent on the loss and the absolute weights, whose gradient jumps at zero."""
    return chain(l1(numbers["strength"], KERNEL), gradient_descent(numbers["learning_rate"]))


@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty with scikit-learn's solver of the same problem.

    Attributes:
      name: in tables.
      build: ``hyperparams -> GradientTransformation``.
      solver: ``(strength, examples) -> estimator``.
      reference: the solver's name.
    """

    name: str
    build: Build
    solver: Callable[[float, int], Any]
    reference: str


# Coordinate descent stops by its duality gap; at scikit-learn's default it would be less exact than we are.
_EXACT: dict[str, Any] = {"tol": 1e-12, "max_iter": 1_000_000}
# Ridge's loss is the sum of squares, not half their mean.
PENALTIES = (
    Penalty("L1", proximal_lasso, lambda s, n: linear_model.Lasso(alpha=s, **_EXACT), "Lasso"),
    Penalty("L2", ridge, lambda s, n: linear_model.Ridge(alpha=s * n), "Ridge"),
    Penalty(
        "elastic net",
        elastic_net,
        lambda s, n: linear_model.ElasticNet(alpha=s, l1_ratio=RATIO, **_EXACT),
        "ElasticNet",
    ),
)


def train(
    build: Build, strengths: Float[np.ndarray, " strengths"], bowls: list[Bowl], steps: int, clock: Stopwatch
) -> Float[np.ndarray, "bowls strengths features+1"]:
    """Weights and intercept after so many steps of full batches: every strength on every bowl, in one program.

    All start from the same random weights. The rate is 1 / (the largest curvature + the strength), the longest step
    that is safe.
    """
    stacked = Bowl(*(np.stack(parts).astype(np.float32) for parts in zip(*bowls, strict=True)))
    sharpest = max(np.linalg.eigvalsh(one.curvature)[-1] for one in bowls)
    features = len(bowls[0].slope) - 1
    start = {"kernel": jax.random.normal(jax.random.key(0), (features, 1)), "bias": jnp.zeros(1)}

    def one(of: Bowl, numbers: Mapping[str, Array], start: Mapping[str, Array]) -> Float[Array, " features+1"]:
        tx = build(numbers)

        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, of), state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return flat(params)

    numbers = {"strength": strengths, "learning_rate": 1 / (sharpest + strengths)}
    each_strength = jax.vmap(one, in_axes=(None, 0, None))
    members = jax.jit(jax.vmap(each_strength, in_axes=(0, None, None)))
    found = clock.run(members, stacked, jax.tree.map(np.float32, numbers), start)
    return np.asarray(found, np.float64)


def squared_errors(
    theta: Float[np.ndarray, "... features+1"], x: Float[np.ndarray, "n features"], y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "... n"]:
    """Of every model on every example."""
    return np.square(theta[..., :-1] @ x.T + theta[..., -1:] - y)


class Selection(NamedTuple):
    """How well every strength does on examples that were held out.

    Attributes:
      errors: mean squared error on each fold of each shuffle, of the model trained on the other folds.
      by_folds: which strength each shuffle chooses by the mean over its folds.
      by_one_fold: which it chooses by its first fold alone: a grid on one set of validation data.
    """

    errors: Float[np.ndarray, "shuffles folds strengths"]
    by_folds: np.ndarray
    by_one_fold: np.ndarray


def shuffles_of(seed: int, shuffles: int, folds: int) -> list[KFold]:
    """Folds as scikit-learn makes them, each shuffle with a seed of its own."""
    return [KFold(folds, shuffle=True, random_state=seed * shuffles + i) for i in range(shuffles)]


def select(
    theta: Float[np.ndarray, "models strengths features+1"],
    x: Float[np.ndarray, "n features"],
    y: Float[np.ndarray, " n"],
    shuffles: list[KFold],
) -> Selection:
    """Judges models, trained on the folds of the shuffles in their order, on what each fold held out."""
    models, errors = iter(theta), []
    for shuffle in shuffles:
        held_out = [part for _, part in shuffle.split(x)]
        errors.append([squared_errors(next(models), x[part], y[part]).mean(axis=-1) for part in held_out])
    table = np.array(errors)
    return Selection(table, table.mean(axis=1).argmin(axis=-1), table[:, 0].argmin(axis=-1))


def lasso_cv(
    x: Float[np.ndarray, "n features"],
    y: Float[np.ndarray, " n"],
    strengths: Float[np.ndarray, " strengths"],
    shuffles: list[KFold],
) -> Float[np.ndarray, " shuffles"]:
    """The strengths that scikit-learn's LassoCV chooses with the same folds."""
    grid: dict[str, Any] = {**_EXACT, "alphas": strengths}
    found = [linear_model.LassoCV(cv=shuffle, **grid).fit(x, y).alpha_ for shuffle in shuffles]
    return np.array(found, np.float64)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one penalty.

    Attributes:
      penalty: which.
      strengths: ascending.
      theta: weights and intercept, trained on all patients that are not for the test.
      reference: the weights of scikit-learn's solver.
      selection: by the shuffles.
      test: squared errors on the patients for the test.
    """

    penalty: Penalty
    strengths: Float[np.ndarray, " strengths"]
    theta: Float[np.ndarray, "strengths features+1"]
    reference: Float[np.ndarray, "strengths features"]
    selection: Selection
    test: Float[np.ndarray, "strengths patients"]

    @property
    def differences(self) -> Float[np.ndarray, " strengths"]:
        """The largest difference of a weight to scikit-learn's, as a part of scikit-learn's largest weight.

        Where scikit-learn has only zeros it is our largest weight.
        """
        largest = np.abs(self.reference).max(axis=1)
        return np.abs(self.theta[:, :-1] - self.reference).max(axis=1) / np.where(largest > 0, largest, 1)

    @property
    def same_zeros(self) -> np.ndarray:
        """Whether the weights that are exactly zero are scikit-learn's, for each strength."""
        return ((self.theta[:, :-1] == 0) == (self.reference == 0)).all(axis=1)


class Patients(NamedTuple):
    """The diabetes data in float64: inputs and targets to train and choose with, and those for the test."""

    x: Float[np.ndarray, "n features"]
    y: Float[np.ndarray, " n"]
    test_x: Float[np.ndarray, "m features"]
    test_y: Float[np.ndarray, " m"]


def bowls_of(patients: Patients, shuffles: list[KFold]) -> list[Bowl]:
    """The loss on all patients, then on those that each fold of each shuffle leaves."""
    parts = [part for shuffle in shuffles for part, _ in shuffle.split(patients.x)]
    return [bowl(patients.x, patients.y, part) for part in (np.arange(len(patients.x)), *parts)]


def outcome(
    penalty: Penalty,
    patients: Patients,
    strengths: Float[np.ndarray, " strengths"],
    shuffles: list[KFold],
    steps: int,
    clock: Stopwatch,
) -> Outcome:
    """Trains all strengths on all patients and on all folds, and solves the first with scikit-learn."""
    theta = train(penalty.build, strengths, bowls_of(patients, shuffles), steps, clock)
    x, y = patients.x, patients.y
    return Outcome(
        penalty=penalty,
        strengths=strengths,
        theta=theta[0],
        reference=np.array([penalty.solver(strength, len(x)).fit(x, y).coef_ for strength in strengths]),
        selection=select(theta[1:], x, y, shuffles),
        test=squared_errors(theta[0], patients.test_x, patients.test_y),
    )


def least_squares(patients: Patients) -> Float[np.ndarray, " m"]:
    """Squared errors on the test of the model without a penalty, in closed form."""
    free = bowl(patients.x, patients.y, np.arange(len(patients.x)))
    return squared_errors(np.linalg.solve(free.curvature, free.slope), patients.test_x, patients.test_y)
