"""What is evaluated: averages at any depth of an optimizer's state, and else the parameters themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxlab import modifiers, optimizers
from jaxlab.core.partition import partition
from jaxlab.modifiers import averages, ema, evaluation_params, groups, lookahead, schedule_free, swa
from jaxlab.train import evaluate, init_state, make_train_step, params_to_evaluate

SHAPES = {"body": {"bias": (2,), "kernel": (3, 2)}, "head": (2,)}


def parameters(dtype="float32"):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda s: jnp.asarray(rng.standard_normal(s), dtype), SHAPES, is_leaf=lambda s: type(s) is tuple
    )


def trained(tx, params, steps=3):
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        params = optax.apply_updates(params, updates)
    return state, params


def averaged():
    """After three steps of gradient descent at 0.1, the mean of the last two and of what was before."""
    return swa(optimizers.sgd(0.1), start=1)


AROUND = {
    "bare": lambda tx: tx,
    "chain": lambda tx: optax.chain(optax.clip_by_global_norm(1e3), optax.chain(tx)),
    "masked": lambda tx: optax.masked(tx, {"body": True, "head": True}),
    "several steps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "if finite": lambda tx: optax.apply_if_finite(tx, 3),
    "partition": lambda tx: partition({"all": tx}, [("", "all")]),
    "optax.partition": lambda tx: optax.partition({"all": tx}, {"body": "all", "head": "all"}),
    "modified": lambda tx: modifiers.skip_nonfinite(modifiers.cautious(tx)),
    "inject": lambda tx: optax.inject_hyperparams(lambda scale: optax.chain(optax.scale(scale), tx))(scale=1.0),
}


@pytest.mark.parametrize("around", AROUND)
def test_averages_are_found_at_any_depth(around):
    state, params = trained(AROUND[around](averaged()), parameters())
    found = evaluation_params(state, params)
    # Steps of 0.1: the mean of the last three points is one step behind the last.
    jax.tree.map(lambda a, p: np.testing.assert_allclose(a, p + 0.1, rtol=1e-5), found, params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    again = evaluation_params(averages(state), params)
    jax.tree.map(np.testing.assert_array_equal, again, found)


def test_leaves_that_no_average_owns_are_the_parameters():
    tx = groups(
        {"own": averaged(), "other": optimizers.sgd(0.1), "frozen": None},
        [("bias", "frozen"), ("head", "other"), ("", "own")],
    )
    state, params = trained(tx, parameters())
    found = evaluation_params(state, params)
    np.testing.assert_allclose(found["body"]["kernel"], params["body"]["kernel"] + 0.1, rtol=1e-5)
    assert found["body"]["bias"] is params["body"]["bias"]
    assert found["head"] is params["head"]


def test_groups_may_average_each_in_its_own_way():
    tx = groups({"own": averaged(), "other": schedule_free(optimizers.sgd(0.1))}, [("head", "other"), ("", "own")])
    state, params = trained(tx, parameters())
    found, alone = evaluation_params(state, params), schedule_free(optimizers.sgd(0.1))
    np.testing.assert_allclose(found["body"]["kernel"], params["body"]["kernel"] + 0.1, rtol=1e-5)
    wanted = evaluation_params(*trained(alone, parameters()["head"]))
    np.testing.assert_allclose(found["head"], wanted, rtol=1e-6)


def test_the_outermost_average_counts():
    state, params = trained(lookahead(averaged(), every=3, alpha=0.5), parameters())
    jax.tree.map(np.testing.assert_array_equal, evaluation_params(state, params), params)
    state, params = trained(ema(lookahead(optimizers.sgd(0.1)), decay=0.0), parameters())
    jax.tree.map(np.testing.assert_array_equal, evaluation_params(state, params), params)


def test_where_nothing_averages_the_parameters_are_returned():
    state, params = trained(optax.chain(optimizers.adam(0.1)), parameters())
    assert averages(state) == ()
    assert evaluation_params(state, params) is params


def test_dtypes_are_those_of_the_parameters():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16), "c": jnp.ones(2)}
    found = evaluation_params(averaged().init(params), params)
    assert [leaf.dtype for leaf in jax.tree.leaves(found)] == ["bfloat16", "float16", "float32"]


def test_averages_kept_in_blocks_are_read():
    params = jnp.linspace(-1.0, 1.0, 128).reshape(2, 64)
    state = ema(optimizers.sgd(0.1), state_dtype="int8").init(params)
    assert len(jax.tree.leaves(state.change.slots)) > 1
    np.testing.assert_allclose(evaluation_params(state, params), params, atol=0.04)


def test_names_are_the_same_in_an_nnx_model():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, averaged(), wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    found = evaluation_params(optimizer.opt_state, params)
    np.testing.assert_allclose(found["kernel"], params["kernel"] + 0.1, rtol=1e-5)


def loss(params, batch, key):
    return jnp.mean((batch - params) ** 2), {}


def state_of(build, **options):
    return init_state(jnp.zeros(3), build, 0.1, key=jax.random.key(0), **options)


def test_a_training_state_is_evaluated_by_its_average():
    step = make_train_step(loss, lambda rate: averaged())
    state = state_of(lambda rate: averaged())
    for _ in range(2):
        state, _ = step(state, jnp.ones((4, 3)))
    np.testing.assert_array_equal(params_to_evaluate(state), evaluation_params(state.opt_state, state.params))
    assert not np.allclose(params_to_evaluate(state), state.params)
    kept = state_of(lambda rate: averaged(), ema_decay=0.5)
    kept = kept._replace(ema=kept.ema._replace(params=jnp.full(3, 7.0)))
    assert params_to_evaluate(kept).tolist() == [7.0, 7.0, 7.0]


def test_without_averages_the_compiled_evaluation_is_that_of_the_parameters():
    state = state_of(optimizers.adam)

    def text(params_of):
        return (
            jax.jit(lambda state, data: evaluate(loss, params_of(state), data)).lower(state, jnp.ones((5, 3))).as_text()
        )

    assert text(params_to_evaluate) == text(lambda state: state.params)
