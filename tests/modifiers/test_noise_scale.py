"""The noise scale along a run: averages of unbiased estimates, measured as often as asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import optimizers
from jaxlab.core.noise_scale import noise_scale
from jaxlab.modifiers import track_noise_scale, tracked_noise_scale
from jaxlab.train import init_state, make_train_step

EXAMPLES = np.random.default_rng(0).standard_normal((7, 6, 3)) + 0.5


def test_is_the_average_of_what_each_measured_batch_says():
    tx = track_noise_scale(optimizers.sgd(0.1), every=3, decay=0.8)
    params, update = (
        jnp.ones(3),
        jax.jit(lambda state, g: tx.update(g.mean(0), state, jnp.ones(3), per_example_grad_fn=lambda p: g)),
    )
    state, trace, square, weight = tx.init(params), 0.0, 0.0, 0.0
    assert tracked_noise_scale(state).scale == np.inf
    for t, g in enumerate(EXAMPLES, 1):
        updates, state = update(state, jnp.asarray(g, "float32"))
        np.testing.assert_allclose(updates, -0.1 * g.mean(0), rtol=1e-5)
        if t % 3 == 0:
            found = noise_scale(jnp.asarray(g, "float32"))
            trace, square, weight = (
                0.8 * trace + 0.2 * float(found.trace),
                0.8 * square + 0.2 * float(found.squared_norm),
                0.8 * weight + 0.2,
            )
    found = tracked_noise_scale((state,))
    np.testing.assert_allclose([found.trace, found.squared_norm], [trace / weight, square / weight], rtol=1e-5)
    np.testing.assert_allclose(found.scale, trace / square, rtol=1e-5)
    assert int(state.measured) == 2


def loss(params, batch, key):
    return jnp.mean((batch @ params - 1) ** 2), {}


def of_a_run(microbatch):
    build = lambda h: track_noise_scale(optimizers.sgd(h), every=2, microbatch=microbatch)  # noqa: E731
    state, step = init_state(jnp.ones(3), build, 0.01, key=jax.random.key(0)), make_train_step(loss, build)
    for batch in EXAMPLES[:4]:
        state, _ = step(state, jnp.asarray(batch, "float32"))
    return tracked_noise_scale(state.opt_state)


def test_the_training_step_gives_what_it_needs():
    whole = of_a_run(None)
    assert np.isfinite(whole.scale)
    np.testing.assert_allclose(of_a_run(2), whole, rtol=1e-4)


def test_one_bad_batch_is_left_out():
    tx = track_noise_scale(optimizers.sgd(0.1), every=1)
    state = tx.init(jnp.ones(3))
    for g in (EXAMPLES[0], EXAMPLES[1] * np.inf, EXAMPLES[2]):
        _, state = tx.update(
            jnp.ones(3), state, jnp.ones(3), per_example_grad_fn=lambda p, g=g: jnp.asarray(g, "float32")
        )
    assert int(state.measured) == 2
    assert np.isfinite(tracked_noise_scale(state).trace)


def test_in_a_population_the_clock_leaves_a_branch():
    """Members have one clock, so what is not due costs nothing; without it a select computes both sides."""
    tx = track_noise_scale(optimizers.sgd(0.1), every=10)
    states = jax.vmap(tx.init)(jnp.ones((4, 3)))

    def steps(clock):
        def one(state, params):
            return tx.update(params, state, params, per_example_grad_fn=lambda p: jnp.stack([p, 2 * p]), **clock)[1]

        return str(jax.make_jaxpr(jax.vmap(one))(states, jnp.ones((4, 3))))

    assert "cond[" in steps({"step": jnp.zeros((), jnp.int32)})
    assert "cond[" not in steps({})


def test_what_is_not_there_is_none():
    assert tracked_noise_scale(optimizers.adam(0.1).init(jnp.ones(3))) is None


@pytest.mark.parametrize(("name", "value"), [("every", 0.5), ("decay", 1.0), ("microbatch", 0)])
def test_numbers_outside_their_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        track_noise_scale(optimizers.sgd(0.1), **{name: value})
