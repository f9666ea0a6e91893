import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from references.descent import descend, extras, rosenbrock

from jaxlab import regularizers, schedules
from jaxlab.core.chain import chain
from jaxlab.optimizers import lbfgs, newton, with_line_search
from jaxlab.schedules.learning_rate import effective_learning_rate, scale_by_learning_rate


@pytest.mark.parametrize("make", [lbfgs, newton], ids=lambda make: make.__name__)
@pytest.mark.parametrize("line_search", ["zoom", "backtracking"])
def test_wolfe_s_conditions_hold_at_every_step(make, line_search, x64):
    points, _ = descend(make(line_search=line_search), rosenbrock, jnp.array([-1.2, 1.0, 0.5, 2.0]), 15)
    values, slopes = (np.asarray(jax.vmap(f)(points)) for f in (rosenbrock, jax.grad(rosenbrock)))
    steps = np.diff(points, axis=0)
    before, after = np.sum(steps * slopes[:-1], axis=1), np.sum(steps * slopes[1:], axis=1)
    # In the last steps, where the loss itself is rounding, nothing can be told.
    told = values[:-1] > 1e-20
    assert told.sum() >= 8
    assert np.all((values[1:] <= values[:-1] + 1e-4 * before + 1e-15)[told])
    if line_search == "zoom":
        assert np.all((np.abs(after) <= 0.9 * np.abs(before) + 1e-15)[told])


@pytest.mark.parametrize("line_search", ["zoom", "backtracking"])
@pytest.mark.parametrize("rate", [1.0, 1e-5, 1e4])
def test_the_rate_shown_is_the_one_taken(line_search, rate):
    """Of 100 x^2 from 1: far too long a step is shortened; zoom also lengthens one that is too short."""
    tx = with_line_search(scale_by_learning_rate(rate), line_search)
    x = jnp.array([1.0])
    grad, known = extras(lambda p: 100 * jnp.sum(p**2), x)
    updates, state = tx.update(grad, tx.init(x), x, **known)
    taken = float(effective_learning_rate(state))
    np.testing.assert_allclose(updates, -taken * grad, rtol=1e-6)
    assert 0 < taken < 0.01
    assert taken == pytest.approx(rate) if (rate, line_search) == (1e-5, "backtracking") else taken > 2e-4


@pytest.mark.parametrize("line_search", ["zoom", "backtracking"])
def test_no_step_where_none_lowers_the_loss(line_search):
    tx, x = with_line_search(optax.scale(-1.0), line_search), jnp.array([1.0, -2.0])
    grad, known = extras(lambda p: jnp.sum(p**2), x)
    uphill, _ = tx.update(-grad, tx.init(x), x, **known)
    outside, _ = tx.update(grad, tx.init(x), x, **known | {"value_fn": lambda p: jnp.nan * jnp.sum(p)})
    np.testing.assert_array_equal(uphill, 0.0)
    np.testing.assert_array_equal(outside, 0.0)


def test_a_penalty_belongs_into_the_loss(x64):
    """From beyond the ridge's closed form: a penalty that the search knows of, and the wrong way, one it does not."""
    curvature, strength = jnp.array([1.0, 10.0]), 1.0
    loss = lambda x: jnp.sum(curvature * (x - 1) ** 2) / 2  # noqa: E731
    known, _ = descend(lbfgs(), lambda x: loss(x) + regularizers.l2_penalty(x, strength), jnp.full(2, 3.0), 15)
    np.testing.assert_allclose(known[-1], curvature / (curvature + strength), atol=1e-8)
    unknown, _ = descend(
        chain(regularizers.l2(strength), lbfgs(line_search="backtracking")), loss, jnp.full(2, 3.0), 15
    )
    assert float(jnp.max(jnp.abs(unknown[-1] - known[-1]))) > 1e-2


def test_a_part_of_the_parameters_is_refused():
    x = {"a": jnp.ones(2), "b": jnp.ones(2)}
    grad, known = extras(lambda p: jnp.sum(p["a"] ** 2) + jnp.sum(p["b"] ** 2), x)
    tx = optax.masked(lbfgs(), {"a": True, "b": False})
    with pytest.raises(ValueError, match=r"grad is a tree .* accepted is the same tree, so not a part .*optax\.masked"):
        tx.update(grad, tx.init(x), x, **known)


@pytest.mark.parametrize("line_search", ["zoom", "backtracking"])
def test_comes_back_from_where_the_loss_is_not_finite(line_search):
    """log x is not a number beyond the first half of the step."""
    loss = lambda p: p[0] - jnp.log(p[0])  # noqa: E731
    x = jnp.array([3.0])
    grad, known = extras(loss, x)
    updates, _ = with_line_search(optax.scale(-9.0), line_search).update(grad, (optax.EmptyState(), x)[0], x, **known)
    assert loss(x + updates) < loss(x)


def test_a_loss_driven_rate_is_searched_along(x64):
    plateau = schedules.reduce_on_plateau(1.0)
    points, state = descend(lbfgs(plateau), rosenbrock, jnp.array([-1.2, 1.0]), 40)
    np.testing.assert_allclose(points[-1], 1.0, atol=1e-6)
    assert effective_learning_rate(state) is not None


def test_a_schedule_is_the_length_tried_first():
    tx = newton(lambda step: 0.5 / (step + 1), line_search="none")
    points, _ = descend(tx, lambda x: jnp.sum(x**2), jnp.array([1.0]), 2)
    np.testing.assert_allclose(points[:, 0], [1.0, 0.5, 0.375])


def test_none_needs_nothing():
    tx, x = with_line_search(optax.scale(-2.0), "none"), jnp.ones(2)
    np.testing.assert_array_equal(tx.update(x, tx.init(x))[0], -2.0)
