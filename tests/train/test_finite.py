"""What decides whether a step is taken, and what it reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import sgd
from jaxlab.train import init_state, make_train_step
from jaxlab.train.finite import all_finite

ONE = jnp.ones(())


def loss_fn(params, batch, key):
    return jnp.mean((params["used"] - batch) ** 2), {}


def build(hyperparams):
    return sgd(hyperparams["learning_rate"])


def start(**params):
    return init_state(params, build, {"learning_rate": 0.1}, key=jax.random.key(0))


def test_parameters_that_were_never_finite_hold_every_step_back():
    """Neither loss nor gradient tells of a parameter that the model does not use."""
    state = start(used=jnp.zeros(2), unused=jnp.full(2, jnp.inf))
    state, metrics = make_train_step(loss_fn, build)(state, jnp.ones(2))
    assert metrics["skipped"] == 1
    np.testing.assert_array_equal(state.params["used"], np.zeros(2))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_new_parameters_need_no_look_where_norms_prove_them_finite(dtype):
    """The largest parameter and update whose squares do not overflow, in the same direction."""
    largest = jnp.asarray(1.8e19, dtype)
    total = (largest.astype("float32") + largest.astype("float32")).astype(dtype)
    assert jnp.isfinite(total)
    assert all_finite(ONE, ONE, ONE, largest, (total, ()))
    assert not all_finite(ONE, ONE, ONE, jnp.asarray(1.9e19, dtype), (total, ()))


def test_what_is_written_in_float16_and_the_models_state_are_looked_at():
    inf = jnp.full((), jnp.inf)
    assert not all_finite(ONE, ONE, ONE, jnp.float16(6e4), (jnp.float16(jnp.inf), ()))
    assert not all_finite(ONE, ONE, ONE, ONE, (ONE, {"mean": inf, "count": jnp.zeros((), jnp.int32)}))
    assert not all_finite(inf, ONE, ONE, ONE, (ONE, ()))
    assert all_finite(ONE, ONE, ONE, jnp.float16(6e4), (jnp.float16(6e4), {"mean": ONE}))


def test_norms_are_left_out_when_asked():
    batch = jnp.ones(2).at[0].set(jnp.nan)
    step = make_train_step(loss_fn, build, norms=False)
    state, metrics = step(start(used=jnp.zeros(2)), batch)
    assert set(metrics) == {"loss", "skipped", "learning_rate"}
    assert metrics["skipped"] == 1
    np.testing.assert_array_equal(state.params["used"], np.zeros(2))
    with pytest.raises(TypeError, match="norms = 'no': accepted are True and False"):
        make_train_step(loss_fn, build, norms="no")
