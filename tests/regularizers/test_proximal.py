"""The mechanism of proximal steps: where a parameter lands, at which rate, in which dtype, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import optimizers, regularizers, schedules
from jaxlab.core.chain import chain
from jaxlab.precision import Policy
from jaxlab.regularizers.proximal import proximal
from jaxlab.train import init_state, make_train_step

FLOATS = (jnp.float32, jnp.bfloat16, jnp.float16)
MAKERS = (regularizers.proximal_l1, regularizers.proximal_elastic_net, regularizers.proximal_group_lasso)
every = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def shift(x, amount):
    """No proximal operator, but one that shows its amount."""
    return x - amount


def once(tx, grads, params):
    return tx.update(grads, tx.init(params), params)[0]


def test_the_amount_is_the_strength_times_the_rate_in_force():
    rates = schedules.cosine(0.5, 4)
    tx, params = proximal(optimizers.sgd(rates), shift, 2.0), jnp.zeros(1)
    state = tx.init(params)
    for step in range(4):
        updates, state = tx.update(jnp.zeros(1), state, params)
        np.testing.assert_allclose(updates, -2.0 * rates(step), rtol=1e-6)


def test_the_rate_of_an_optimizer_inside_a_chain():
    tx = proximal(optax.chain(optax.clip(1.0), optimizers.adam(0.25)), shift, 2.0)
    assert once(tx, jnp.zeros(1), jnp.zeros(1)).tolist() == [-0.5]


def test_the_state_is_that_of_the_optimizer():
    params = jnp.ones(3)
    states = [tx.init(params) for tx in (optimizers.adam(0.1), regularizers.proximal_l1(optimizers.adam(0.1), 1.0))]
    jax.tree.map(np.testing.assert_array_equal, *states)
    np.testing.assert_array_equal(schedules.effective_learning_rate(states[1]), np.float32(0.1))


def test_strength_and_mask_by_leaf():
    params = {"dense": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, "scale": jnp.zeros(())}

    def shifts(strength, mask=None):
        updates = once(proximal(optimizers.sgd(0.5), shift, strength, mask), params, params)
        return [leaf.ravel()[0].item() for leaf in jax.tree.leaves(updates)]

    assert shifts(1.0) == [-0.5, -0.5, -0.5]
    assert shifts(1.0, "matrices") == [0, -0.5, 0]
    assert shifts([("kernel", 1.0), ("", 0.5)]) == [-0.25, -0.5, -0.25]
    assert shifts([("dense", 1.0)], [("dense/bias", True), ("", False)]) == [-0.5, 0, 0]


@every
@pytest.mark.parametrize("inner", [optimizers.sgd(0.5), optimizers.adam(0.1)], ids=["sgd", "adam"])
def test_without_strength_the_inner_update_passes_to_the_bit(make, inner):
    rng = np.random.default_rng(0)
    params = {name: jnp.asarray(rng.normal(size=(4, 3)), "float32") for name in "ab"}
    grads = {"a": jnp.asarray(1e-9 * rng.normal(size=(4, 3)), "float32"), "b": jnp.zeros((4, 3), jnp.bfloat16)}
    for tx in (make(inner, 0.0), make(inner, 5.0, mask={"a": False, "b": False})):
        jax.tree.map(np.testing.assert_array_equal, once(tx, grads, params), once(inner, grads, params))


@every
@pytest.mark.parametrize("param_dtype", FLOATS)
@pytest.mark.parametrize("grad_dtype", FLOATS)
def test_zeros_are_exact_where_the_gradients_dtype_holds_the_parameter(make, param_dtype, grad_dtype):
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=(50, 3)), param_dtype)
    grads = jnp.asarray(0.01 * rng.normal(size=(50, 3)), grad_dtype)
    tx = make(optimizers.sgd(0.1), 1e3)
    updates = once(tx, grads, params)
    assert updates.dtype == grad_dtype
    landed = optax.apply_updates(params, updates)
    assert landed.dtype == param_dtype
    if grad_dtype in (jnp.float32, param_dtype):
        assert not np.any(landed)
    else:
        rest = np.abs(np.asarray(landed, np.float64))
        assert np.all(rest <= float(jnp.finfo(grad_dtype).eps) * np.abs(np.asarray(params, np.float64)))


@every
def test_zeros_are_exact_under_jit_in_both_programs(make):
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=(200, 4)), "float32")
    grads = jnp.asarray(rng.normal(size=(200, 4)), "float32")
    tx = make(optimizers.sgd(0.3), 2.0)

    @jax.jit
    def step(params, grads):
        return optax.apply_updates(params, once(tx, grads, params))

    fused, apart = step(params, grads), optax.apply_updates(params, jax.jit(lambda *a: once(tx, *a))(grads, params))
    assert 50 < np.sum(fused == 0) < 750
    np.testing.assert_array_equal(fused == 0, apart == 0)


@pytest.mark.parametrize(("policy", "rounding"), [(None, "nearest"), (Policy(param="bfloat16"), "stochastic")])
def test_zeros_in_the_training_step(policy, rounding):
    """Features that do not matter get weights of exactly 0, and keep them; a bias by rule is free."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype(np.float32)
    batch = {"x": jnp.asarray(x), "y": jnp.asarray(2 * x[:, 0] - x[:, 1] + 0.1)}

    def loss(params, batch, key):
        return jnp.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2), {}

    def build(h):
        return regularizers.proximal_l1(optimizers.sgd(h["rate"]), [("w", h["strength"]), ("b", 0.0)])

    params = {"w": jnp.asarray(rng.normal(size=6), "float32"), "b": jnp.zeros(())}
    numbers = {"rate": 0.1, "strength": 0.5}
    state = init_state(params, build, numbers, key=jax.random.key(0), policy=policy)
    step = make_train_step(loss, build, policy=policy, rounding=rounding)
    for _ in range(40):
        state, metrics = step(state, batch)
        assert metrics["learning_rate"] == np.float32(0.1)
    assert (np.asarray(state.params["w"]) == 0).tolist() == [False, False, True, True, True, True]
    assert state.params["b"] != 0


def test_gaps_in_trees():
    params = {"a": jnp.ones(2), "b": jnp.ones(2), "c": None, "d": jnp.zeros((0, 3)), "e": ()}
    updates = {"a": jnp.ones(2), "b": None, "c": None, "d": jnp.zeros((0, 3)), "e": ()}
    for make in MAKERS:
        out = once(make(optimizers.sgd(0.5), 1.0), updates, params)
        assert jax.tree.structure(out) == jax.tree.structure(updates)
        assert out["b"] is None


def test_extra_arguments_reach_the_optimizer():
    tx = regularizers.proximal_l1(optimizers.sgd(schedules.reduce_on_plateau(0.5)), 1.0)
    params = jnp.array([2.0])
    updates, _ = tx.update(jnp.zeros(1), tx.init(params), params, value=jnp.ones(()), nobody_knows=1)
    assert updates.tolist() == [-0.5]


@every
def test_an_optimizer_without_a_rate_is_refused(make):
    with pytest.raises(ValueError, match=r"keeps no learning rate .*scale_by_learning_rate\(learning_rate\)"):
        make(optax.sgd(0.1), 1.0).init(jnp.ones((2, 2)))
    make(chain(optax.scale_by_adam(), schedules.scale_by_learning_rate(0.1)), 1.0).init(jnp.ones((2, 2)))


@every
def test_what_is_refused(make):
    inner = optimizers.sgd(0.1)
    with pytest.raises(TypeError, match=r"inner = 0\.1: accepted is an optimizer"):
        make(0.1, inner)
    with pytest.raises(ValueError, match=r"strength = -1\.0"):
        make(inner, -1.0)
    with pytest.raises(TypeError, match="strength = '1'"):
        make(inner, "1")
    with pytest.raises(ValueError, match="no rule matches 'b'"):
        make(inner, [("a", 1.0)]).init({"a": jnp.ones(1), "b": jnp.ones(1)})
    tx = make(inner, 1.0)
    with pytest.raises(ValueError, match="params = None"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with pytest.raises(TypeError, match="a parameter has dtype complex64: accepted are real floating arrays"):
        once(tx, jnp.ones(2), jnp.ones(2, complex))
