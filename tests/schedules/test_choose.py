"""A schedule chosen by data is that schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers, schedules
from jaxlab.schedules import choose, effective_learning_rate

STEPS = 12
LOSSES = np.array([3, 2, 2, 2, 1.5, 2, 2, 2, 2, 1, 1, 1], np.float32)


def rates(peak):
    return [
        peak,
        schedules.cosine(peak, total_steps=10),
        schedules.warmup(schedules.step(peak, every=4), 2),
        schedules.reduce_on_plateau(peak, factor=0.5, patience=1),
        schedules.loss_driven(peak),
    ]


def run(tx, dtype=jnp.float32):
    """Updates and effective rates of ten steps, scanned."""
    gradient = jnp.array([1.0, -2.0], dtype)

    def body(state, loss):
        updates, state = tx.update(gradient, state, gradient, value=loss)
        return state, (updates, effective_learning_rate(state))

    return jax.lax.scan(body, tx.init(gradient), LOSSES)[1]


@jax.jit
def all_chosen(peak):
    return jax.vmap(lambda which: run(choose(which, rates(peak))))(jnp.arange(5.0))


@jax.jit
def each_alone(peak):
    alone = [run(schedules.scale_by_learning_rate(rate)) for rate in rates(peak)]
    return jax.tree.map(lambda *rows: jnp.stack(rows), *alone)


def test_every_choice_steps_as_the_rate_itself_does():
    for peak in (0.1, 0.7):
        found, wanted = all_chosen(peak), each_alone(peak)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, wanted)
    assert all_chosen._cache_size() == 1
    assert len({tuple(row) for row in np.asarray(wanted[1]).tolist()}) == 5


def test_any_optimizer_takes_it_as_its_learning_rate():
    tx = optimizers.momentum(choose(0, [0.5, 0.1]), momentum=0.5)
    params = jnp.ones(2)
    state = tx.init(params)
    assert effective_learning_rate(state) == 0.5
    updates, state = tx.update(params, state, params)
    np.testing.assert_array_equal(updates, [-0.5, -0.5])
    assert effective_learning_rate(state) == 0.5


def test_updates_keep_the_dtype_of_the_gradients():
    updates, rate = run(choose(1, rates(0.1)), jnp.bfloat16)
    assert updates.dtype == jnp.bfloat16
    assert rate.dtype == jnp.float32


@pytest.mark.parametrize(
    ("which", "given", "message"),
    [
        (2, [0.1, 0.2], r"which = 2: accepted is a number in \[0, 2\)"),
        (-1, [0.1], "which = -1"),
        (0, [], r"rates = \[\]: accepted is at least one"),
        (0, [-0.1], r"learning_rate = -0\.1"),
    ],
)
def test_bad_input_is_refused(which, given, message):
    with pytest.raises(ValueError, match=message):
        choose(which, given)


def test_a_loss_driven_rate_asks_for_the_loss():
    tx = choose(0, [0.1, schedules.loss_driven(0.1)])
    with pytest.raises(ValueError, match="value = None"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
