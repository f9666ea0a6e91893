"""Rates that are functions of the loss, against their formulas in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import optimizers, schedules
from jaxlab.train import init_state, make_train_step

NAMES = [name for name in schedules.names() if schedules.get(name).takes_loss]


def rates(tx, losses, direction=None, **extra):
    """The rate of every step; the update is checked against it."""
    direction = jnp.ones(2) if direction is None else direction
    state, found = tx.init(direction), []
    for loss in losses:
        updates, state = tx.update(direction, state, value=loss, **extra)
        rate = state.learning_rate
        jax.tree.map(np.testing.assert_array_equal, updates, jax.tree.map(lambda d, rate=rate: -rate * d, direction))
        found.append(float(rate))
    return found


class TestLossDriven:
    @pytest.mark.parametrize(
        ("f", "reference"),
        [
            (jnp.tanh, np.tanh),
            (jnp.sqrt, np.sqrt),
            (lambda loss: loss / (1 + loss), lambda loss: loss / (1 + loss)),
            (lambda loss: jnp.where(loss > 1, 1.0, 0.1), lambda loss: 1.0 if loss > 1 else 0.1),
        ],
    )
    def test_formula(self, f, reference):
        losses = [4.0, 2.5, 1.0, 0.1, 1e-4]
        found = rates(schedules.loss_driven(0.3, f=f), losses)
        np.testing.assert_allclose(found, [0.3 * reference(loss) for loss in losses], rtol=1e-6)

    def test_default(self):
        assert rates(schedules.loss_driven(0.5), [1e-3, 1e30]) == pytest.approx([5e-4, 0.5], rel=1e-6)

    def test_what_is_no_rate_is_none(self):
        tx = schedules.loss_driven(0.5, f=lambda loss: loss)
        assert rates(tx, [np.nan, np.inf, -np.inf, -1.0, 2.0]) == [0.0, 0.0, 0.0, 0.0, 1.0]

    def test_gradient_descent_reaches_a_minimum(self):
        """Ever slower: near it the rate is a multiple of the loss, so that the loss falls like one over the time."""
        tx = optimizers.gradient_descent(schedules.loss_driven(0.4))
        x = jnp.array([3.0, -2.0])
        state = tx.init(x)
        for _ in range(300):
            updates, state = tx.update(2 * x, state, x, value=jnp.sum(x**2))
            x = x + updates
        assert float(jnp.sum(x**2)) < 5e-3

    def test_what_cannot_be_called_is_named(self):
        with pytest.raises(TypeError, match=r"f = 0\.5: accepted is a traceable function"):
            schedules.loss_driven(0.1, f=0.5)


class TestLossRatio:
    def test_formula(self):
        losses = [4.0, 3.0, 2.0, 5.0, 0.5, 0.0]
        for power in (0.5, 1.0, 2.0):
            found = rates(schedules.loss_ratio(0.3, power, floor=0.02), losses)
            wanted = [max(0.3 * min(loss / 4, 1) ** power, 0.02) for loss in losses]
            np.testing.assert_allclose(found, wanted, rtol=1e-6)

    def test_the_first_loss_is_the_first_that_can_be_divided_by(self):
        tx = schedules.loss_ratio(1.0)
        assert rates(tx, [np.nan, 0.0, -1.0, np.inf, 4.0, 2.0, -1.0, np.nan, 1.0]) == [
            *(0.0, 1.0, 1.0, 0.0),
            *(1.0, 0.5, 0.0, 0.0, 0.25),
        ]

    def test_small_and_large_losses(self):
        assert rates(schedules.loss_ratio(1.0), [1e30, 5e29]) == pytest.approx([1.0, 0.5])
        assert rates(schedules.loss_ratio(1.0), [1e-30, 5e-31]) == pytest.approx([1.0, 0.5])

    def test_a_floor_above_the_rate_raises_nothing(self):
        assert rates(schedules.loss_ratio(0.5, floor=2.0), [4.0, 1.0]) == [0.5, 0.5]


class TestPolyak:
    def test_formula(self):
        rng = np.random.default_rng(0)
        g, d = ({"a": rng.standard_normal((3, 2)), "b": rng.standard_normal(4)} for _ in range(2))
        d = jax.tree.map(lambda g, d: g + 0.1 * d, g, d)
        g, d = (jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree) for tree in (g, d))
        flat = [np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)]) for tree in (g, d)]
        for loss in (0.3, 2.0, 50.0):
            for extra, slope in (({}, flat[1] @ flat[1]), ({"grad": g}, flat[0] @ flat[1])):
                found = rates(schedules.polyak(0.5, optimum=0.2, eps=0.1), [loss], d, **extra)
                np.testing.assert_allclose(found, [min((loss - 0.2) / (slope + 0.1), 0.5)], rtol=1e-5)

    def test_where_there_is_no_step(self):
        ones = jnp.ones(2)
        assert rates(schedules.polyak(1.0, optimum=1.0), [1.0, 0.5, np.nan, np.inf]) == [0.0] * 4
        assert rates(schedules.polyak(1.0), [1.0], jnp.zeros(2)) == [0.0]
        assert rates(schedules.polyak(1.0), [1.0], ones, grad=-ones) == [0.0]
        assert rates(schedules.polyak(1.0), [1.0], 1e30 * ones) == [0.0]
        assert rates(schedules.polyak(1.0), [1e30], 1e-15 * ones) == [1.0]

    def test_a_part_of_a_model_has_its_own_slope(self):
        direction, grad = {"b": jnp.ones(2)}, {"a": jnp.full(3, 7.0), "b": jnp.ones(2)}
        assert rates(schedules.polyak(1.0), [1.0], direction, grad=grad) == [0.5]
        with pytest.raises(ValueError, match=r"grad has no leaf 'b', which the direction has; it has \['a'\]"):
            rates(schedules.polyak(1.0), [1.0], direction, grad={"a": jnp.ones(3)})

    def test_a_quadratic_is_halved_at_every_step(self):
        """On the squared distance to a point the step goes half the way, whatever its scale."""
        for scale in (1e-3, 1.0, 1e3):
            tx = optimizers.gradient_descent(schedules.polyak(1e6))
            x = jnp.array([3.0, -4.0])
            state = tx.init(x)
            for _ in range(5):
                updates, state = tx.update(2 * scale * x, state, x, value=scale * jnp.sum(x**2))
                x = x + updates
            np.testing.assert_allclose(x, np.array([3.0, -4.0]) / 32, rtol=1e-5)

    def test_preconditioned(self):
        """After a diagonal preconditioner the step is Polyak's in its norm: an ill-conditioned quadratic is halved."""
        h = jnp.array([1e-2, 1.0, 1e3])
        x = jnp.array([3.0, -4.0, 1.0])
        tx = schedules.polyak(1e6)
        grad = h * x
        updates, _ = tx.update(grad / h, tx.init(x), x, value=jnp.sum(h * x**2) / 2, grad=grad)
        np.testing.assert_allclose(x + updates, x / 2, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup_steps", [0.0, 3.0])
def test_a_recipe_trains(name, warmup_steps):
    def loss_fn(params, batch, key):
        return jnp.mean((params["w"] - batch) ** 2), {}

    recipe = optimizers.Recipe("adam", name)
    numbers = recipe.hyperparams({"learning_rate": 0.1, "warmup_steps": warmup_steps})
    state = init_state({"w": jnp.zeros(4)}, recipe.build, numbers, key=jax.random.key(0))
    step = make_train_step(loss_fn, recipe.build)
    seen = []
    for _ in range(60):
        state, metrics = step(state, jnp.arange(4.0))
        seen.append((float(metrics["learning_rate"]), float(metrics["loss"])))
    assert seen[0][0] == (0.0 if warmup_steps else pytest.approx(0.1, rel=0.01))
    assert 0 < seen[4][0] <= 0.1 + 1e-7
    assert seen[-1][1] < 0.2 * seen[0][1]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_loss_is_named(name):
    tx = schedules.get(name).build({"learning_rate": 0.1})
    with pytest.raises(ValueError, match="value = None: a loss-driven learning rate needs the loss"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@pytest.mark.parametrize("name", NAMES)
def test_bad_numbers_are_named(name):
    info = schedules.get(name)
    for number in (*info.parameters, "learning_rate"):
        with pytest.raises(TypeError, match=f"{number} = 'x'"):
            info.factory(**{"learning_rate": 0.1, number: "x"})
        if number != "optimum":
            with pytest.raises(ValueError, match=f"{number} = -1"):
                info.factory(**{"learning_rate": 0.1, number: -1.0})


@pytest.mark.parametrize("name", NAMES)
def test_float64_under_x64(name, x64):
    tx = schedules.get(name).build({"learning_rate": 0.1})
    updates, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=jnp.ones(()))
    assert updates.dtype == jnp.float64
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {jnp.dtype(jnp.float64), jnp.dtype(jnp.int32)}


@pytest.mark.parametrize("value", [jnp.ones(1), jnp.ones(2)])
@pytest.mark.parametrize("name", [name for name in schedules.names() if schedules.get(name).takes_loss])
def test_a_loss_for_each_element_is_refused(name, value):
    tx = schedules.get(name).factory(0.1)
    with pytest.raises(TypeError, match=r"value, the loss, has shape \(\d,\): accepted is one number"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=value)


def test_a_rate_for_each_element_is_refused():
    tx = schedules.loss_driven(0.1, f=lambda loss: jnp.stack([loss, loss]))
    with pytest.raises(TypeError, match=r"rate has shape \(2,\): accepted is one number"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=1.0)
    with pytest.raises(TypeError, match=r"has shape \(2,\): accepted is one number"):
        schedules.scale_by_learning_rate(lambda step: jnp.ones(2)).init(jnp.ones(2))


def test_polyak_refuses_a_gradient_of_another_shape():
    tx, x = schedules.polyak(0.1), {"w": jnp.ones((3, 2))}
    with pytest.raises(ValueError, match=r"grad has shape \(2,\) at leaf 'w', the direction \(3, 2\)"):
        tx.update(x, tx.init(x), value=1.0, grad={"w": jnp.ones(2)})


def test_a_whole_optimizer_is_no_learning_rate():
    optimizer = optax.sgd(0.1)
    with pytest.raises(TypeError, match=r"rates\[1\] is a transform with the state tuple"):
        schedules.choose(0, [0.1, optimizer]).init(jnp.ones(2))
    with pytest.raises(TypeError, match="schedule is a transform with the state tuple"):
        schedules.warmup(optimizer, 2).init(jnp.ones(2))
    no_list: Any = 0.1
    with pytest.raises(TypeError, match=r"rates = 0\.1: accepted is a list"):
        schedules.choose(0, no_list)
