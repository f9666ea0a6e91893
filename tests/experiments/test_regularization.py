"""Penalties against scikit-learn, and the network's study, small and end to end."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV, KFold

from experiments import regularization as experiment
from experiments import regularization_paths as paths
from experiments import regularized_network as networks
from jaxlab import report, tasks
from jaxlab.core import tree
from jaxlab.losses import mse

SMALL = experiment.Config(
    points=8,
    shuffles=2,
    folds=3,
    network_steps=10,
    learning_rates=(0.003, 0.03),
    selection_seeds=2,
    report_seeds=4,
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("regularization") / "out"
    experiment.run(experiment.prepare(with_changes(out=out)))
    return out


@pytest.fixture(scope="module")
def patients():
    return experiment.patients_of(tasks.get("diabetes"))


@pytest.fixture(scope="module")
def strengths():
    return np.geomspace(1e-3, 10**0.5, SMALL.points)


def values(folder):
    return {number["name"]: number["value"] or 0.0 for number in report.load(folder).get("numbers", [])}


def table(folder, title):
    sections = report.load(folder).get("sections", [])
    found = next(section for section in sections if section["title"] == title)["tables"][0]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def test_the_bowl_is_half_the_mean_squared_error_of_the_examples(patients):
    rng = np.random.default_rng(0)
    part = np.arange(50)
    x, y = patients.x[part], patients.y[part]
    of = paths.bowl(patients.x, patients.y, part)

    def height(weights, bias):
        return float(paths.loss({"kernel": jnp.asarray(weights)[:, None], "bias": jnp.asarray([bias])}, of))

    first, second = rng.standard_normal((2, 10))
    difference = mse(x @ first + 0.5, y) / 2 - mse(x @ second - 1.0, y) / 2
    assert height(first, 0.5) - height(second, -1.0) == pytest.approx(float(difference), rel=1e-4)


def test_coefficients_and_zeros_are_those_of_scikit_learn(folder):
    numbers = values(folder)
    assert numbers["coefficient difference"] < 1e-4
    assert numbers["zero sets that agree"] == 3 * SMALL.points
    assert [row["Solver"] for row in table(folder, "scikit-learn reached")] == ["Lasso", "Ridge", "ElasticNet"]


def test_only_the_proximal_step_gives_zeros(folder, patients, strengths):
    # As many as a solver of the same problem has.
    rows = table(folder, "Which weights are zero")
    solved = [
        (Lasso(alpha=one, tol=1e-10, max_iter=100_000).fit(patients.x, patients.y).coef_ == 0).sum()
        for one in strengths
    ]
    assert [row["Proximal"] for row in rows] == solved
    assert solved[0] <= 1
    assert solved[-1] == 10
    assert {row["Gradient"] for row in rows} == {0}


def test_the_lasso_s_strength_is_the_one_that_scikit_learn_chooses(folder, patients, strengths):
    # By a grid search over the same folds, which knows nothing of paths.
    folds = KFold(SMALL.folds, shuffle=True, random_state=0)
    search = GridSearchCV(
        Lasso(tol=1e-10, max_iter=100_000), {"alpha": strengths}, cv=folds, scoring="neg_mean_squared_error"
    )
    chosen = search.fit(patients.x, patients.y).best_params_["alpha"]
    numbers = values(folder)
    assert numbers["L1 strength chosen"] == pytest.approx(chosen)
    assert numbers["LassoCV agrees"] == SMALL.shuffles
    test = np.mean((search.predict(patients.test_x) - patients.test_y) ** 2)
    assert table(folder, "Which strength")[0]["Test error"] == f"{test:.4f}"


def test_l2_is_chosen_as_by_solving_every_fold(folder, patients, strengths):
    errors = []
    for part, held_out in KFold(SMALL.folds, shuffle=True, random_state=0).split(patients.x):
        models = [Ridge(alpha=one * len(part)).fit(patients.x[part], patients.y[part]) for one in strengths]
        errors.append([np.mean((one.predict(patients.x[held_out]) - patients.y[held_out]) ** 2) for one in models])
    best = strengths[np.mean(errors, axis=0).argmin()]
    assert table(folder, "Which strength")[1]["First shuffle"] == f"{best:.3g}"


def test_one_fold_alone_is_the_other_way_to_choose(patients):
    shuffles = paths.shuffles_of(seed=1, shuffles=2, folds=3)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((6, 5, 11))
    found = paths.select(theta, patients.x, patients.y, shuffles)
    assert found.errors.shape == (2, 3, 5)
    _, held_out = list(shuffles[1].split(patients.x))[2]
    away = patients.x[held_out] @ theta[5, 4, :10] + theta[5, 4, 10] - patients.y[held_out]
    assert found.errors[1, 2, 4] == pytest.approx(np.mean(away**2))
    assert found.by_one_fold.tolist() == found.errors[:, 0].argmin(axis=1).tolist()
    assert found.by_folds.tolist() == found.errors.mean(axis=1).argmin(axis=1).tolist()


def test_each_layer_has_its_own_penalty():
    # With zero gradients Adam's first step is the rate against the sign of what the penalties add.
    params = {f"dense_{i}": {"kernel": jnp.full((1, 1), 2.0), "bias": jnp.full(1, 2.0)} for i in range(2)}
    none = jax.tree.map(jnp.zeros_like, params)

    def moved(first, second):
        tx = networks.penalised_adam({"learning_rate": 0.1, "l1": first, "l2": second})
        updates, _ = tx.update(none, tx.init(params), params)
        return [name for name, leaf in zip(tree.names(updates), jax.tree.leaves(updates), strict=True) if leaf.any()]

    assert moved(0.5, 0.0) == ["dense_0/kernel"]
    assert moved(0.0, 0.5) == ["dense_1/kernel"]
    assert moved(0.0, 0.0) == []


def test_arms_with_one_dropout_share_their_program_and_all_share_their_start(folder):
    arms = experiment.prepare(with_changes(out=folder / "no")).arms
    assert len({(arm.task.loss, arm.task.init, arm.build) for arm in arms}) == 3
    results = report.load(folder)
    study = results.get("studies", [])[0]
    assert [arm["name"] for arm in study["arms"]] == list(networks.ARMS)
    assert study["margin"] == SMALL.margin
    rows = table(folder, "A network that could learn its images by heart")
    assert [row["Arm"] for row in rows] == list(networks.ARMS)
    assert all(word in results["verdict"] for word in ("Lasso, Ridge and ElasticNet", "24 of 24", "On few digits"))
    assert sum(name.endswith(" - none") for name in values(folder)) == len(networks.ARMS) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": 1}, "points = 1: accepted is a whole number of at least 2"),
        ({"steps": 0}, "steps = 0"),
        ({"folds": 1}, "folds = 1: accepted is a whole number of at least 2 and at most 354"),
        ({"shuffles": 1}, "shuffles = 1"),
        ({"images": 1_438}, "images = 1438: accepted is .* at most 1437"),
        ({"network_steps": 0}, "network_steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rates": ()}, r"learning_rates = \(\): accepted is at least one"),
        ({"learning_rates": (0.1, -1.0)}, r"learning_rate = -1\.0"),
        ({"margin": 0.0}, "margin = 0.0"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())
