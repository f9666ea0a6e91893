"""Rosenbrock's valley and the quadratics against scipy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxlab.tasks import get, rosenbrock
from jaxlab.tasks.quadratics import quadratic, task

CONDITIONS = {"quadratic_1": 1.0, "quadratic_1e2": 1e2, "quadratic_1e4": 1e4, "quadratic_1e6": 1e6}


def value(task, params, batch=None):
    return task.loss(params, task.test if batch is None else batch, None)[0]


@pytest.mark.parametrize("point", [(-1.2, 1.0), (1.0, 1.0), (0.3, -2.0)])
def test_rosenbrock_is_scipys(point, x64):
    task = get("rosenbrock")
    params = {"x": jnp.array(point[0]), "y": jnp.array(point[1])}
    loss, gradient = jax.value_and_grad(lambda p: value(task, p))(params)
    assert float(loss) == pytest.approx(optimize.rosen(point), rel=1e-12, abs=1e-30)
    np.testing.assert_allclose([gradient["x"], gradient["y"]], optimize.rosen_der(point), rtol=1e-12, atol=1e-12)
    hessian = jax.hessian(lambda xy: value(task, {"x": xy[0], "y": xy[1]}))(jnp.array(point))
    np.testing.assert_allclose(hessian, optimize.rosen_hess(point), rtol=1e-12)


def test_rosenbrock_starts_where_the_others_do_and_is_as_badly_conditioned_as_it_says():
    task = get("rosenbrock")
    params = task.init(jax.random.key(3))
    assert (params["x"], params["y"]) == (np.float32(-1.2), 1)
    assert float(value(task, params)) == pytest.approx(24.2, rel=1e-6)
    assert np.linalg.cond(optimize.rosen_hess(np.ones(2))) == pytest.approx(2_508, abs=1)
    assert "2,508" in rosenbrock.task.__doc__


@pytest.mark.parametrize(("name", "condition"), CONDITIONS.items())
def test_quadratics_have_their_condition_and_their_optimum(name, condition, x64):
    task = get(name)
    assert task.name == name
    optimum = task.test["optimum"][0]
    hessian = jax.hessian(lambda x: value(task, {"x": x}))(jnp.zeros_like(optimum))
    eigenvalues = np.linalg.eigvalsh(hessian)
    np.testing.assert_allclose(eigenvalues, np.geomspace(1 / condition, 1, len(optimum)), rtol=1e-8)
    loss, gradient = jax.value_and_grad(lambda x: value(task, {"x": x}))(optimum)
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0)
    away = np.random.RandomState(1).standard_normal(len(optimum))
    expected = away @ np.asarray(hessian) @ away / 2
    assert float(value(task, {"x": optimum + away})) == pytest.approx(expected, rel=1e-9)


def test_every_start_is_at_gap_one_and_no_direction_is_left_out():
    task = get("quadratic_1e4")
    starts = jax.vmap(task.init)(jax.random.split(jax.random.key(0), 400))
    gaps = jax.vmap(lambda p: value(task, p))(starts)
    np.testing.assert_allclose(gaps, 1, rtol=1e-4)
    function = quadratic(1e4)
    along = (np.float64(starts["x"]) - function.optimum) @ function.rotation
    shares = np.mean(function.eigenvalues * along**2 / 2, axis=0)
    np.testing.assert_allclose(shares, 1 / len(shares), rtol=0.4)


def test_no_coordinate_is_an_eigenvector():
    assert np.all(np.abs(quadratic(1e4).rotation) < 0.9)


@pytest.mark.parametrize("name", ["rosenbrock", *CONDITIONS])
def test_every_batch_is_the_whole_function(name, x64):
    task = get(name)
    params = task.init(jax.random.key(0))
    whole = value(task, params, task.data)
    for part in (task.test, jax.tree.map(lambda leaf: leaf[1:2], task.data)):
        assert float(value(task, params, part)) == pytest.approx(float(whole), rel=1e-12)
    assert all(np.all(leaf == leaf[:1]) for leaf in jax.tree.leaves(task.data))


@pytest.mark.parametrize("name", ["rosenbrock", *CONDITIONS])
def test_the_mean_square_of_residuals_is_the_loss(name):
    task = get(name)
    params = task.init(jax.random.key(0))
    for batch in (task.data, task.test):
        residuals = task.loss.residuals(params, batch, None)
        assert float(jnp.mean(residuals**2)) == pytest.approx(float(value(task, params, batch)), rel=1e-6)


@pytest.mark.parametrize("name", ["rosenbrock", "quadratic_1e6"])
def test_double_precision_where_it_is_enabled(name, x64):
    task = get(name)
    trees = (
        task.data,
        task.test,
        task.init(jax.random.key(0)),
        task.loss(task.init(jax.random.key(0)), task.test, None),
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(trees)} == {jnp.dtype("float64")}


def test_equal_conditions_share_what_was_compiled():
    assert task(1e2).loss is get("quadratic_1e2").loss
    assert [task(c).name for c in (1, 30, 1.5e3)] == ["quadratic_1", "quadratic_3e1", "quadratic_1.5e3"]


@pytest.mark.parametrize("condition", [0.5, float("nan"), float("inf")])
def test_a_condition_below_one_is_refused(condition):
    with pytest.raises(ValueError, match=r"condition = .*: accepted is a number in \[1, 1e12\]"):
        task(condition)
