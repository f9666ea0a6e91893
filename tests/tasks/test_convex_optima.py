"""Full batch on the convex tasks reaches the optimum that a solver finds, or that a bound certifies.

Logistic models have no optimum where classes can be separated, so theirs is sought under a small L2 penalty. All
in float64: the gap asked for is a millionth, which float32's rounding of a loss leaves little of.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from jaxlab import regularizers, tasks
from jaxlab.optimizers import Recipe
from jaxlab.train import evaluate, init_run, make_run
from jaxlab.train.data import count

GAP = 1e-6
STRENGTH = 1e-2

pytestmark = pytest.mark.usefixtures("x64")


def penalised(loss, params):
    """The loss with a penalty on matrices; biases are free, as in scikit-learn."""
    return loss + regularizers.l2_penalty(params, STRENGTH, mask="matrices")


def descend(task, loss, steps, optimizer="lbfgs", **numbers):
    """The parameters after so many full-batch steps on the whole pool."""
    recipe = Recipe(optimizer)
    run = make_run(loss, recipe.build, batch_size=count(task.data), steps=steps)
    state = init_run(task.init, recipe.build, {"learning_rate": 1.0, **numbers}, key=jax.random.key(0))
    return run(state, task.data)[0].params


@pytest.mark.parametrize(
    ("name", "optimizer", "steps", "numbers"),
    [
        ("line", "lbfgs", 20, {}),
        ("line", "gradient_descent", 200, {"learning_rate": 0.5}),
        ("diabetes", "lbfgs", 60, {}),
        ("diabetes", "momentum", 1_500, {"learning_rate": 0.2, "momentum": 0.9}),
    ],
)
def test_least_squares(name, optimizer, steps, numbers):
    task = tasks.get(name)
    x, y = (np.asarray(task.data[part], np.float64) for part in ("x", "y"))
    design = np.hstack([x, np.ones((len(x), 1))])
    best = np.mean((design @ np.linalg.lstsq(design, y, rcond=None)[0] - y) ** 2)
    params = descend(task, task.loss, steps, optimizer, **numbers)
    reached = float(evaluate(task.loss, params, task.data)["loss"])
    assert 0 <= reached / best - 1 + 1e-12 < GAP


@pytest.mark.parametrize(("name", "steps"), [("breast_cancer", 80), ("snippet_modules", 100)])
def test_logistic_regression(name, steps):
    task = tasks.get(name)

    def loss(params, batch, key):
        return penalised(task.loss(params, batch, key)[0], params), {}

    params = descend(task, loss, steps)
    reached = float(penalised(evaluate(task.loss, params, task.data)["loss"], params))
    best = {"breast_cancer": _binary, "snippet_modules": _many}[name](task)
    assert abs(reached / best - 1) < GAP


def _solver(**options):
    return LogisticRegression(tol=1e-10, max_iter=5_000, **options)


def _binary(task) -> float:
    x, y = np.asarray(task.data["x"], np.float64), np.asarray(task.data["y"])
    found = _solver(C=1 / (len(x) * STRENGTH), solver="newton-cholesky").fit(x, y)
    margin = (x @ found.coef_[0] + found.intercept_[0]) * (2 * y - 1)
    return float(np.mean(np.logaddexp(0, -margin)) + STRENGTH / 2 * np.sum(found.coef_**2))


def _many(task) -> float:
    words, labels = np.asarray(task.data["x"]), np.asarray(task.data["y"])
    rows, places = np.nonzero(words < len(task.init(None)["weights"]))
    x = csr_matrix((np.ones(len(rows)), (rows, words[rows, places])), (len(words), 2**13))
    found = _solver(C=1 / (len(words) * STRENGTH), solver="lbfgs").fit(x, labels)
    logits = x @ found.coef_.T + found.intercept_
    chosen = logits[np.arange(len(labels)), labels]
    loss = np.mean(np.logaddexp.reduce(logits, axis=1) - chosen)
    return float(loss + STRENGTH / 2 * np.sum(found.coef_**2))


def test_word_bigrams():
    r"""No solver here takes a million weights; the loss is strongly convex, so its gradient bounds the gap.

    .. math:: f(w) - f^* \le \lVert \nabla f(w) \rVert^2 / (2 \lambda)
    """
    task = tasks.get("word_bigrams")
    pairs = np.zeros((1_024, 1_024))
    np.add.at(pairs, (np.asarray(task.data["x"]), np.asarray(task.data["y"])), 1)
    pairs /= pairs.sum()

    def loss(params, batch, key):
        # The mean over all pairs, told by how often each occurs.
        table = params["table"]
        whole = jnp.sum(batch["pairs"].sum(axis=1) * jax.nn.logsumexp(table, axis=1)) - jnp.sum(batch["pairs"] * table)
        return penalised(whole, params), {}

    build = Recipe("lbfgs").build
    run = make_run(lambda p, b, k: loss(p, {"pairs": b["pairs"][0]}, k), build, batch_size=1, steps=30)
    state = init_run(task.init, build, {"learning_rate": 1.0}, key=jax.random.key(0))
    data = {"pairs": jnp.asarray(pairs[None])}
    params = run(state, data)[0].params
    value, gradient = jax.value_and_grad(lambda p: loss(p, {"pairs": data["pairs"][0]}, None)[0])(params)
    assert float(jnp.sum(gradient["table"] ** 2)) / (2 * STRENGTH) < GAP * float(value)
    # It is the task's own loss on all of its pool.
    few = jax.tree.map(lambda leaf: leaf[: 2**14], task.data)
    own = float(penalised(evaluate(task.loss, params, few)["loss"], params))
    table = np.asarray(params["table"])
    x, y = np.asarray(few["x"]), np.asarray(few["y"])
    told = np.mean(np.logaddexp.reduce(table, axis=1)[x] - table[x, y]) + STRENGTH / 2 * np.sum(table**2)
    assert own == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize("name", ["quadratic_1", "quadratic_1e2", "quadratic_1e4"])
def test_quadratics(name):
    """Their minimum is zero, so the gap is a part of the gap at the start, which is one."""
    task = tasks.get(name)
    params = descend(task, task.loss, 400)
    assert float(evaluate(task.loss, params, task.data)["loss"]) < GAP
