"""A loss scale's rule, and the transform that brings it to training loops of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from laws.subjects import types

from jaxlab import modifiers, optimizers
from jaxlab.precision import LossScale, LossScaledState, current_loss_scale, loss_scaled
from jaxlab.schedules.learning_rate import effective_learning_rate

QUICK = LossScale(8.0, growth=2.0, backoff=0.25, interval=3, floor=1.0, ceiling=16.0)


def _same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _scales(rule, finite):
    """The scale after each step, by the compiled rule."""
    run = jax.jit(lambda state, seen: jax.lax.scan(lambda s, good: (rule.adjust(s, good), s.scale), state, seen))
    last, before = run(rule.init(), jnp.asarray(finite))
    return [*before[1:].tolist(), float(last.scale)]


def _grad_scaler(scale, growth, backoff, interval, finite):
    """PyTorch's GradScaler.update, ``_amp_update_scale_``, in float64: the tracker counts good steps in a row."""
    scales, tracker = [], 0
    for good in finite:
        if not good:
            scale, tracker = scale * backoff, 0
        else:
            tracker += 1
            if tracker == interval:
                scale, tracker = scale * growth, 0
        scales.append(scale)
    return scales


@pytest.mark.parametrize("overflows", [0.02, 0.2, 0.6])
def test_a_random_sequence_of_overflows_scales_as_pytorch(overflows):
    finite = np.random.default_rng(0).random(100) > overflows
    rule = LossScale(2.0**16, interval=7, floor=2.0**-120, ceiling=2.0**120)
    assert _scales(rule, finite) == _grad_scaler(2.0**16, 2.0, 0.5, 7, finite)


def test_growth_after_the_interval_up_to_the_ceiling():
    assert _scales(QUICK, [True] * 8) == [8, 8, 16, 16, 16, 16, 16, 16]


def test_back_off_down_to_the_floor():
    assert _scales(QUICK, [False] * 3) == [2, 1, 1]


def test_one_overflow_begins_the_count_again():
    assert _scales(QUICK, [True, True, False, True, True, True]) == [8, 8, 2, 2, 2, 4]


def test_a_constant_scale():
    assert _scales(LossScale(128.0, growth=1.0, backoff=1.0, interval=1), [True, False, True]) == [128] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"growth": 0.5}, "loss_scale.growth = 0.5"),
        ({"backoff": 2.0}, "loss_scale.backoff = 2"),
        ({"backoff": 0.0}, "loss_scale.backoff = 0"),
        ({"interval": 0}, "loss_scale.interval = 0"),
        ({"interval": 2**31}, "at most 2147483647"),
        ({"floor": 0.0}, "loss_scale.floor = 0"),
        ({"ceiling": float("inf")}, "loss_scale.ceiling = inf"),
        ({"initial": float("nan")}, "loss_scale.initial = nan"),
        ({"initial": 0.5}, "between floor = 1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LossScale(**change)


def test_an_array_is_a_number():
    scale = LossScale(jnp.float32(8.0), ceiling=np.float32(64.0))
    assert (scale, hash(scale)) == (LossScale(8.0, ceiling=64.0), hash(LossScale(8.0, ceiling=64.0)))


def test_it_takes_an_optimizer_and_a_loss_scale():
    with pytest.raises(TypeError, match="inner = 'adam'"):
        loss_scaled("adam")
    with pytest.raises(TypeError, match="loss_scale = 1024"):
        loss_scaled(optax.sgd(0.1), 1024)


@pytest.fixture(scope="module")
def tx():
    """Adam in the middle of a chain, under its own clipping, with a scale that moves soon."""
    inner = optax.chain(optax.clip_by_global_norm(1.0), optimizers.adam(0.1))
    return optax.chain(optax.identity(), loss_scaled(inner, QUICK))


def test_scaled_gradients_are_trained_as_plain_ones(tx):
    """Whatever the scale is by then; the clipping inside sees unscaled gradients."""
    plain = optax.chain(optax.clip_by_global_norm(1.0), optimizers.adam(0.1))
    params = other = {"w": jnp.arange(4.0), "b": jnp.ones(())}
    state, plain_state = tx.init(params), plain.init(params)
    step, plain_step = jax.jit(tx.update), jax.jit(plain.update)
    scales = []
    for i in range(5):
        grads = jax.tree.map(lambda p, i=i: jnp.cos(p + i), other)
        scales.append(float(current_loss_scale(state)))
        updates, state = step(jax.tree.map(lambda g: g * scales[-1], grads), state, params)
        params = optax.apply_updates(params, updates)
        updates, plain_state = plain_step(grads, plain_state, other)
        other = optax.apply_updates(other, updates)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, other)
    assert scales == [8, 8, 8, 16, 16]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_overflow_is_left_out_and_the_scale_backs_off(tx, bad):
    params = {"w": jnp.arange(4.0), "b": jnp.ones(())}
    _, state = tx.update(params, tx.init(params), params)
    updates, after = tx.update({"w": params["w"].at[1].set(bad), "b": params["b"]}, state, params)
    _same(updates, jax.tree.map(jnp.zeros_like, params))
    _same(after[1].inner, state[1].inner)
    assert isinstance(after[1], LossScaledState)
    assert (int(after[1].skipped), float(current_loss_scale(after))) == (1, 2.0)
    assert (int(state[1].loss_scale.good_steps), int(after[1].loss_scale.good_steps)) == (1, 0)


def test_a_step_that_overflows_the_callers_dtype_is_left_out():
    """A step of 1e6 is finite in float32 and none in float16."""
    tx = loss_scaled(optax.sgd(1e4), LossScale(1.0))
    updates, state = tx.update(jnp.full(2, 100.0, jnp.float16), tx.init(jnp.ones(2, jnp.float16)))
    assert (updates.dtype, int(state.skipped)) == (jnp.float16, 1)
    assert not np.any(updates)


def test_a_frozen_leafs_gradient_decides_nothing():
    inner = modifiers.groups({"own": optimizers.sgd(1.0), "frozen": None}, [("still", "frozen"), ("", "own")])
    tx, params = loss_scaled(inner, LossScale(2.0)), {"still": jnp.ones(2), "moves": jnp.ones(2)}
    updates, state = tx.update({"still": jnp.full(2, jnp.inf), "moves": jnp.ones(2)}, tx.init(params), params)
    np.testing.assert_array_equal(updates["moves"], [-0.5, -0.5])
    np.testing.assert_array_equal(updates["still"], [0.0, 0.0])
    assert int(state.skipped) == 0


def test_half_precision_parameters_keep_the_states_types():
    """On its own, optax.adam turns its float16 state to float32 at the first float32 gradient."""
    params = {"a": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(4, jnp.float16)}
    tx = loss_scaled(optax.adam(0.1))
    state = tx.init(params)
    for dtype in (jnp.float16, jnp.float32):
        grads = jax.tree.map(lambda p, dtype=dtype: p.astype(dtype), params)
        updates, after = jax.eval_shape(tx.update, grads, state, params)
        assert types(after) == types(state)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}


def test_gradients_below_float16_survive_in_a_loop_of_ones_own():
    """Of 1e-6 mean(w x) the gradient is 1e-6 x / 4: below half of float16's smallest number, 6e-8, where x is 0.01."""
    x = jnp.array([0.01, 0.02, 0.04, 0.08], jnp.float16)

    def loss(params, scale):
        return jnp.mean(params.astype(jnp.float16) * x) * jnp.float16(1e-6) * scale.astype(jnp.float16)

    def train(tx, scale_of):
        @jax.jit
        def step(params, state):
            updates, state = tx.update(jax.grad(loss)(params, scale_of(state)), state, params)
            return optax.apply_updates(params, updates), state

        params = jnp.ones(4)
        state = tx.init(params)
        for _ in range(3):
            params, state = step(params, state)
        return 1 - np.asarray(params)

    assert not np.any(train(optax.sgd(1e6), lambda state: jnp.ones(())))
    moved = train(loss_scaled(optax.sgd(1e6), LossScale(2.0**15)), current_loss_scale)
    exact = 3 * 1e6 * float(jnp.float16(1e-6)) * np.asarray(x, np.float64) / 4
    np.testing.assert_allclose(moved, exact, rtol=2e-3)


def test_every_member_of_a_vmapped_population_has_its_own_scale():
    tx = loss_scaled(optimizers.sgd(1.0), LossScale(4.0))
    state = jax.vmap(tx.init)(jnp.ones((2, 3)))
    grads = jnp.ones((2, 3)).at[1, 0].set(jnp.inf)
    updates, after = jax.vmap(tx.update)(grads, state)
    np.testing.assert_array_equal(updates, [[-0.25] * 3, [0.0] * 3])
    assert after.loss_scale.scale.tolist() == [4.0, 2.0]
    assert after.skipped.tolist() == [0, 1]


def test_extra_arguments_reach_the_optimizer():
    inner = modifiers.sam(optimizers.sgd(1.0), rho=0.5)
    tx = loss_scaled(inner, LossScale(1024.0))
    gradient, x = jax.grad(lambda x: jnp.sum(x**2)), jnp.array([2.0])
    updates, _ = tx.update(1024 * gradient(x), tx.init(x), x, grad_fn=gradient, unknown=1)
    assert updates.tolist() == [-5.0]
    assert effective_learning_rate(tx.init(x)) == 1.0


def test_nnx_trains_with_it():
    """Whose optimizer keeps its state in boxes."""
    model = nnx.Linear(2, 1, use_bias=False, kernel_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, loss_scaled(optax.sgd(0.5), LossScale(1024.0)), wrt=nnx.Param)
    scale = current_loss_scale(optimizer.opt_state)
    assert isinstance(scale, jax.Array)
    for gradient in (1024.0, jnp.inf):
        grads = jax.tree.map(lambda p, g=gradient: jnp.full_like(p, g), nnx.state(model, nnx.Param))
        optimizer.update(model, grads)
    np.testing.assert_array_equal(model.kernel[...], 0.5)
    assert float(current_loss_scale(optimizer.opt_state)) == 512


def test_one_loss_has_one_scale():
    parts = {name: loss_scaled(optax.sgd(0.1)) for name in ("a", "b")}
    two = optax.partition(parts, {"a": "a", "b": "b"}).init({"a": jnp.ones(2), "b": jnp.ones(2)})
    with pytest.raises(ValueError, match="keeps 2 loss scales"):
        current_loss_scale(two)
    with pytest.raises(ValueError, match="keeps 0 loss scales"):
        current_loss_scale(optax.sgd(0.1).init(jnp.ones(2)))
