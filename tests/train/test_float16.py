"""A loss scale in the compiled step: an overflow in float16 is left out, and nothing an optimizer sees is scaled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers
from jaxlab.precision import LossScale, Policy, loss_scaled
from jaxlab.train import init_state, make_train_step
from jaxlab.train.checkpoint import Checkpoints
from jaxlab.train.step import step_fn

KEY = jax.random.key(0)
SCALE = LossScale(2.0**10, interval=3, floor=2.0**8, ceiling=2.0**11)
FLOAT16 = Policy("float32", "float16", "float32", SCALE)
HYPERPARAMS = {"learning_rate": 0.05}
X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)


def adam(hyperparams):
    return optimizers.adam(hyperparams["learning_rate"])


def sgd(hyperparams):
    return optimizers.sgd(hyperparams["learning_rate"])


def _batch(i=0, *, spike=1.0):
    """Where one example is a hundred times as large, the gradient is thousands: finite, but not times 256."""
    x = jnp.asarray(np.roll(X, i, 1)).at[0].multiply(spike)
    return {"x": x, "y": jnp.sum(x, 1)}


GOOD, BAD = _batch(), _batch(spike=100.0)


def regression(params, mean, batch, key):
    """Squared residuals, beside a running mean of the inputs, which a bad batch would move."""
    residual = batch["x"] @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(residual**2), ({}, 0.9 * mean + 0.1 * jnp.mean(batch["x"], 0))


@pytest.fixture(scope="module")
def step():
    return make_train_step(regression, adam, policy=FLOAT16, has_state=True)


def _fresh():
    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    options = {"policy": FLOAT16, "model_state": jnp.zeros(3), "ema_decay": 0.5}
    return init_state(params, adam, HYPERPARAMS, key=KEY, **options)


def _host(state):
    """A copy on the host: the step takes its state as its own."""
    return jax.tree.map(np.array, state._replace(key=jax.random.key_data(state.key)))


def _same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _scales(step, batches):
    state, found = _fresh(), []
    for batch in batches:
        state, metrics = step(state, batch)
        found.append(float(metrics["loss_scale"]))
    return found


def test_an_overflow_skips_exactly_that_step_and_halves_the_scale(step):
    state, _ = step(_fresh(), GOOD)
    before = _host(state)
    state, metrics = step(state, BAD)
    after = _host(state)
    assert np.isfinite(metrics["loss"])
    assert not np.isfinite(metrics["grad_norm"])
    assert (after.step, after.skipped, metrics["skipped"]) == (2, 1, 1)
    assert (before.loss_scale.scale, after.loss_scale.scale, metrics["loss_scale"]) == (1024, 512, 512)
    assert (before.loss_scale.good_steps, after.loss_scale.good_steps) == (1, 0)
    counters = {name: getattr(after, name) for name in ("step", "skipped", "loss_scale")}
    _same(after, before._replace(**counters))


def test_a_run_goes_on_as_though_there_had_been_no_such_batch(step):
    """To the bit: a scale is a power of two."""
    ends = []
    for batches in ([_batch(0), _batch(1), BAD, _batch(2)], [_batch(0), _batch(1), _batch(2)]):
        state = _fresh()
        for batch in batches:
            state, _ = step(state, batch)
        ends.append(_host(state))
    for name in ("params", "opt_state", "ema", "model_state"):
        _same(getattr(ends[0], name), getattr(ends[1], name))
    assert (ends[0].loss_scale.scale, ends[1].loss_scale.scale) == (512, 2048)


def test_the_scale_grows_after_the_interval_and_keeps_to_its_bounds(step):
    assert _scales(step, [GOOD] * 6) == [1024, 1024, 2048, 2048, 2048, 2048]
    assert _scales(step, [GOOD, BAD, BAD, BAD, GOOD, GOOD, GOOD]) == [1024, 512, 256, 256, 256, 256, 512]


def test_a_checkpoint_keeps_the_scale_and_its_count(step, tmp_path):
    state = _fresh()
    for batch in (GOOD, BAD, GOOD):
        state, _ = step(state, batch)
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(3, state)
        restored = checkpoints.restore(_fresh())
    assert restored.loss_scale is not None
    assert (float(restored.loss_scale.scale), int(restored.loss_scale.good_steps)) == (512, 1)
    for batch in (GOOD, BAD):
        state, _ = step(state, batch)
        restored, _ = step(restored, batch)
    _same(_host(state), _host(restored))


def test_the_members_of_a_population_have_scales_of_their_own():
    both = jax.vmap(step_fn(regression, adam, policy=FLOAT16, has_state=True))
    state = jax.tree.map(lambda x: jnp.stack([x, x]), _fresh())
    after, metrics = jax.jit(both)(state, jax.tree.map(lambda *x: jnp.stack(x), GOOD, BAD))
    assert metrics["loss_scale"].tolist() == [1024, 512]
    assert metrics["skipped"].tolist() == [0, 1]
    _same(jax.tree.map(lambda x: x[1], after.params), _fresh().params)
    assert np.all(np.asarray(after.params["w"][0]))


def test_one_bad_micro_batch_is_enough():
    step = make_train_step(regression, adam, policy=FLOAT16, has_state=True, accumulate=4)
    state, metrics = step(_fresh(), GOOD)
    moved = _host(state)
    assert np.all(moved.params["w"])
    state, metrics = step(state, BAD)
    assert (int(metrics["skipped"]), float(metrics["loss_scale"])) == (1, 512)
    _same(_host(state).params, moved.params)
    _same(_host(state).model_state, moved.model_state)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_that_vanish_without_a_scale_survive_with_it(accumulate):
    r"""Of :math:`10^{-6} \frac1B \sum x_i w` it is :math:`10^{-6} \bar x`, by way of :math:`10^{-6} / B` in float16."""

    def loss(params, batch, key):
        return 1e-6 * jnp.mean((batch @ params).astype(jnp.float32)), {}

    x = jnp.abs(jnp.asarray(np.tile(X, (16, 1))))  # 128 examples: 1e-6 / 64 is less than half of 6e-8
    moved = {}
    for scale in (None, LossScale()):
        policy = Policy("float32", "float16", "float32", scale)
        state = init_state(jnp.zeros(3), sgd, {"learning_rate": 1.0}, key=KEY, policy=policy)
        state, _ = make_train_step(loss, sgd, policy=policy, accumulate=accumulate)(state, x)
        moved[scale] = np.asarray(state.params)
    np.testing.assert_array_equal(moved[None], 0)
    exact = -1e-6 * np.asarray(x.astype(jnp.float16), np.float64).mean(0)
    np.testing.assert_allclose(moved[LossScale()], exact, rtol=2e-3)


class Sampled:
    """A loss that tells the losses of drawn labels; the batch stands for them."""

    def sampled(self, params, batch, key):
        return (batch @ params) ** 3

    def __call__(self, params, batch, key):
        return jnp.mean((batch @ params) ** 4), {}


class Seen(NamedTuple):
    """What an optimizer was given."""

    given: dict


def _seen(policy, accumulate):
    """All that a step's optimizer can ask for, at other parameters than the step's."""

    def build(hyperparams):
        def answers(params, closures):
            there = 2 * params
            return {
                "grad": closures["grad"],
                "grad_fn": closures["grad_fn"](there),
                "hvp_fn": closures["hvp_fn"](there, jnp.ones(3)),
                "sampled_grad_fn": closures["sampled_grad_fn"](there, jax.random.key(1)),
                "per_example_grad_fn": closures["per_example_grad_fn"](there),
                "each": closures["per_example_grad_fn"](there, each=jnp.abs, microbatch=2),
                "value": closures["value"],
                "value_fn": closures["value_fn"](there),
            }

        def update(updates, state, params, **closures):
            return updates, Seen(answers(params, closures))

        shapes = {"per_example_grad_fn": (8, 3), "value": (), "value_fn": ()}
        names = ("grad", "grad_fn", "hvp_fn", "sampled_grad_fn", "per_example_grad_fn", "each", "value", "value_fn")
        nothing = Seen({name: jnp.zeros(shapes.get(name, (3,))) for name in names})
        return optax.GradientTransformationExtraArgs(lambda params: nothing, update)

    state = init_state(jnp.array([0.5, -0.25, 1.0]), build, {}, key=KEY, policy=policy)
    state, _ = make_train_step(Sampled(), build, policy=policy, accumulate=accumulate)(state, jnp.asarray(X))
    return _host(state).opt_state.given


@pytest.mark.parametrize("accumulate", [1, 2])
def test_all_that_an_optimizer_may_ask_for_is_unscaled(accumulate):
    """In float32 but for how a compiler adds; per example and curvature, too."""
    plain = _seen(Policy(), accumulate)
    assert all(np.any(value) for value in plain.values())
    full = _seen(Policy(loss_scale=LossScale(2.0**10)), accumulate)
    half = _seen(Policy("float32", "float16", "float32", LossScale(2.0**5)), accumulate)
    for name, value in plain.items():
        for found, rounding in ((full, 1e-6), (half, 0.02)):
            np.testing.assert_allclose(found[name], value, rtol=0, atol=rounding * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize(
    ("build", "scale"),
    [
        (lambda h: modifiers.sam(optimizers.lion(h["learning_rate"]), rho=1.0), 2.0**8),
        (lambda h: optimizers.sophia(h["learning_rate"]), 2.0**19),
        (lambda h: optimizers.adahessian(h["learning_rate"]), 2.0**19),
    ],
    ids=["sam(lion)", "sophia", "adahessian"],
)
def test_an_overflow_in_what_an_optimizer_asked_for_is_seen(build, scale):
    """A second gradient or a curvature of inf makes a finite step (its sign, zero), and would stay in the state."""

    def loss(params, batch, key):
        if scale < 2**16:
            return jnp.sum(jnp.exp(params)).astype(jnp.float32), {}  # 148 at 5, 403 at 6
        return jnp.sum((params * params).astype(jnp.float32) ** 2), {}  # gradient 0.005, curvature 0.15

    policy = Policy("float32", "float16", "float32", LossScale(scale))
    start = jnp.full(1, 5.0 if scale < 2**16 else 0.11)
    state = init_state(start, build, HYPERPARAMS, key=KEY, policy=policy)
    before = _host(state)
    state, metrics = make_train_step(loss, build, policy=policy)(state, jnp.zeros(1))
    assert np.isfinite(metrics["grad_norm"])
    assert (int(metrics["skipped"]), float(metrics["loss_scale"])) == (1, scale / 2)
    _same(_host(state).opt_state, before.opt_state)


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="skip_nonfinite = False"):
        make_train_step(regression, adam, policy=FLOAT16, skip_nonfinite=False)
    with pytest.raises(ValueError, match="policy=Policy"):
        init_state(jnp.zeros(3), lambda h: loss_scaled(adam(h)), HYPERPARAMS, key=KEY)
    state = init_state(jnp.zeros(3), adam, HYPERPARAMS, key=KEY)
    with pytest.raises(ValueError, match="accepted is a state from init_state with that policy"):
        make_train_step(regression, adam, policy=FLOAT16)(state, GOOD)
