"""EMA, SWA and Lookahead against float64 NumPy, with the mistakes that such code is shipped with."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.modifiers import ema, evaluation_params, lookahead, swa

STEPS = 9
START = np.array([1.0, -2.0, 0.5])
GRADIENTS = np.random.default_rng(0).standard_normal((STEPS, 3))

pytestmark = pytest.mark.usefixtures("x64")


def trained(tx, dtype="float64"):
    """Parameters and what is evaluated in their place, after every step."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, evaluation_params(state, params))

    params = jnp.asarray(START, dtype)
    return jax.jit(lambda g: jax.lax.scan(step, (params, tx.init(params)), g)[1])(jnp.asarray(GRADIENTS, dtype))


def alone():
    """Gradient descent with momentum, by hand."""
    p, v, rows = START, 0.0, []
    for g in GRADIENTS:
        v = 0.9 * v + g
        p = p - 0.1 * v
        rows.append(p)
    return np.array(rows)


def near(a, b):
    return np.allclose(a, b, rtol=1e-11, atol=0)


def exponential(path, decay, debias, mistake=""):
    a, rows = np.zeros(3) if debias or mistake == "begins at zero" else START, []
    if mistake == "one step late":
        path = [START, *path[:-1]]
    for t, p in enumerate(path, 1):
        a = decay * a + (1 - decay) * p
        weight = 1 - decay ** (t + 1 if mistake == "corrects early" else t)
        rows.append(a / weight if debias else a)
    return np.array(rows)


@pytest.mark.parametrize(
    ("debias", "mistakes"), [(True, ("one step late", "corrects early")), (False, ("begins at zero",))]
)
def test_ema(debias, mistakes):
    params, found = trained(ema(optimizers.momentum(0.1), decay=0.8, debias=debias))
    assert near(params, alone())
    assert near(found, exponential(alone(), 0.8, debias))
    for mistake in mistakes:
        assert not near(found, exponential(alone(), 0.8, debias, mistake))


@pytest.mark.parametrize(("start", "every"), [(0, 1), (2, 3), (5, 1), (100, 1)])
def test_swa_is_the_mean_of_what_it_names(start, every):
    params, found = trained(swa(optimizers.momentum(0.1), start, every))
    assert near(params, alone())
    path = [START, *alone()]
    for t, mean in enumerate(found, 1):
        members = [path[i] for i in range(start, t + 1, every)] or [path[t]]
        np.testing.assert_allclose(mean, np.mean(members, axis=0), rtol=1e-11)


def test_lookahead():
    slow = fast = START
    v, rows, evaluated = 0.0, [], []
    for t, g in enumerate(GRADIENTS, 1):
        v = 0.9 * v + g
        fast = fast - 0.1 * v
        if t % 4 == 0:
            slow = slow + 0.3 * (fast - slow)
            fast = slow
        rows.append(fast)
        evaluated.append(slow)
    params, found = trained(lookahead(optimizers.momentum(0.1), every=4, alpha=0.3))
    assert near(params, np.array(rows))
    assert near(found, np.array(evaluated))


@pytest.mark.parametrize(
    "tx", [ema(optimizers.sgd(0.1), 0.5), swa(optimizers.sgd(0.1), 1), lookahead(optimizers.sgd(0.1))]
)
def test_bfloat16_parameters_have_float32_averages(tx):
    """An average whose parts are rounded to bfloat16 at every step stops moving."""
    params = jnp.asarray(START, jnp.bfloat16)
    kept = [leaf for leaf in jax.tree.leaves(tx.init(params)) if leaf.shape == params.shape]
    assert [leaf.dtype for leaf in kept] == [jnp.float64]  # Full precision, which is 64 bits here.
    assert trained(tx, "bfloat16")[1].dtype == jnp.bfloat16


def test_an_average_in_bfloat16_follows_on_average():
    """By nearest rounding, a thousandth of a way below its last place would never be gone."""
    tx = ema(optax.identity(), decay=0.999, debias=False, state_dtype="bfloat16")
    params = jnp.ones(4000)
    state = tx.init(params)
    assert state.change.slots.mean.dtype == jnp.bfloat16
    step = jax.jit(lambda state: tx.update(jnp.zeros(4000), state, 2 * params)[1])
    for _ in range(100):
        state = step(state)
    np.testing.assert_allclose(float(jnp.mean(evaluation_params(state, params))), 2 - 0.999**100, rtol=3e-3)


def test_numbers_of_every_kind_share_one_program():
    """Periods and starts are data: members of a population may have others."""
    traces = []

    @jax.jit
    def step(numbers, state, params):
        traces.append(0)
        inner = swa(optimizers.sgd(0.1), numbers["start"], numbers["every"])
        return lookahead(inner, numbers["k"], 0.5).update(params, state, params)

    params = jnp.ones(3)
    state = lookahead(swa(optimizers.sgd(0.1), 0, 1), 1).init(params)
    for k in (1.0, 2.0, 3.0):
        step({"start": jnp.float64(k), "every": jnp.float64(k), "k": jnp.float64(k)}, state, params)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("modifier", "numbers"),
    [("ema", {"decay": 1.0}), ("swa", {"start": -1}), ("swa", {"start": 0, "every": 0.5}), ("lookahead", {"alpha": 0})],
)
def test_numbers_outside_their_range_are_refused(modifier, numbers):
    with pytest.raises(ValueError, match=list(numbers)[-1]):
        modifiers.get(modifier).factory(optimizers.sgd(0.1), **numbers)
