"""The compiled step: one executable, its own memory, exact semantics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxlab
from jaxlab.precision import Policy
from jaxlab.train import init_state, make_train_step
from jaxlab.train.apply import apply_compensated

KEY = jax.random.key(0)
BF16 = jnp.dtype(jnp.bfloat16)


def quadratic(params, batch, key):
    residual = batch["x"] @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(residual**2), {"mae": jnp.mean(jnp.abs(residual))}


class Squares:
    """A loss that tells its residuals."""

    def residuals(self, params, batch, key):
        return batch["x"] @ params["w"] + params["b"] - batch["y"]

    def __call__(self, params, batch, key):
        return quadratic(params, batch, key)


def sgd(hyperparams):
    return jaxlab.optimizers.sgd(hyperparams["learning_rate"])


def adam(hyperparams):
    return jaxlab.optimizers.adam(hyperparams["learning_rate"], b1=hyperparams["b1"])


@pytest.fixture
def params():
    return {"w": jnp.arange(3.0), "b": jnp.ones(())}


@pytest.fixture
def batch():
    x = jax.random.normal(jax.random.key(1), (8, 3))
    return {"x": x, "y": x @ jnp.array([1.0, -2.0, 0.5]) + 3.0}


def closed_form_gradient(params, batch):
    x, y = np.asarray(batch["x"], np.float64), np.asarray(batch["y"], np.float64)
    residual = x @ np.asarray(params["w"], np.float64) + float(params["b"]) - y
    return {"w": 2 * x.T @ residual / len(y), "b": 2 * residual.mean()}, float((residual**2).mean())


def test_one_step_is_the_closed_form(params, batch):
    grad, loss = closed_form_gradient(params, batch)
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY)
    state, metrics = make_train_step(quadratic, sgd)(state, batch)
    np.testing.assert_allclose(state.params["w"], np.arange(3.0) - 0.1 * grad["w"], rtol=1e-5)
    np.testing.assert_allclose(state.params["b"], 1 - 0.1 * grad["b"], rtol=1e-5)
    norm = np.sqrt((grad["w"] ** 2).sum() + grad["b"] ** 2)
    assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert metrics["update_norm"] == pytest.approx(0.1 * norm, rel=1e-5)
    moved = np.concatenate([np.asarray(state.params["w"]), [float(state.params["b"])]])
    assert metrics["param_norm"] == pytest.approx(np.linalg.norm(moved), rel=1e-5)
    assert metrics["learning_rate"] == pytest.approx(0.1)
    assert set(metrics) == {"loss", "mae", "grad_norm", "update_norm", "param_norm", "learning_rate", "skipped"}


def test_donation_leaves_the_callers_arrays_alone(params, batch):
    hyperparams = {"learning_rate": jnp.float32(0.1)}
    state = init_state(params, sgd, hyperparams, key=KEY, ema_decay=0.9)
    step = make_train_step(quadratic, sgd)
    first = state
    state, _ = step(state, batch)
    state, _ = step(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.params))
    alive = jax.tree.leaves((params, hyperparams, batch))
    assert not any(leaf.is_deleted() for leaf in alive)
    assert not KEY.is_deleted()


@pytest.mark.parametrize("name", jaxlab.optimizers.names())
def test_the_program_writes_the_whole_state_in_place(name, params, batch):
    build = jaxlab.optimizers.Recipe(name).build
    state = init_state(params, build, {"learning_rate": 0.1}, key=KEY, ema_decay=0.9)
    compiled = make_train_step(Squares(), build).lower(state, batch).compile()
    # The hyperparameters and the key pass through unchanged; they, too, keep their memory.
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state._replace(key=jax.random.key_data(state.key))))
    assert compiled.memory_analysis().alias_size_in_bytes == state_bytes
    assert "callback" not in compiled.as_text()


def test_accumulation_is_the_whole_batch_and_runs_the_optimizer_once(params, batch):
    hyperparams = {"learning_rate": 0.1, "b1": 0.9}
    results, metrics = [], {}
    for accumulate in (1, 4):
        state = init_state(params, adam, hyperparams, key=KEY)
        step = make_train_step(quadratic, adam, accumulate=accumulate)
        for _ in range(3):
            state, metrics = step(state, batch)
        assert optax.tree_utils.tree_get(state.opt_state[0], "count") == 3
        results.append((state.params, metrics))
    for whole, cut in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(whole, cut, rtol=2e-5)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 1e30])
def test_a_bad_batch_changes_nothing_but_counters(bad, params, batch):
    state = init_state(params, adam, {"learning_rate": 0.1, "b1": 0.9}, key=KEY, ema_decay=0.5)
    step = make_train_step(quadratic, adam)
    state, _ = step(state, batch)
    before = jax.device_get(state._replace(key=None))
    state, metrics = step(state, {**batch, "x": batch["x"].at[0, 0].set(bad)})
    after = jax.device_get(state._replace(key=None))
    assert after.step == before.step + 1
    assert after.skipped == metrics["skipped"] == 1
    same = before._replace(step=after.step, skipped=after.skipped)
    jax.tree.map(np.testing.assert_array_equal, after, same)
    state, metrics = step(state, batch)
    assert metrics["skipped"] == 1
    assert jnp.isfinite(metrics["loss"])


def test_an_update_that_overflows_the_parameters_is_skipped():
    """float16 ends at 65504."""
    state = init_state(jnp.array([60000.0, 1.0]), sgd, {"learning_rate": 1.0}, key=KEY, policy=Policy(param="float16"))
    step = make_train_step(lambda p, batch, key: (jnp.sum(p * batch), {}), sgd, policy=Policy(param="float16"))
    state, metrics = step(state, jnp.array([-10000.0, 0.0], jnp.float16))
    assert metrics["skipped"] == 1
    np.testing.assert_array_equal(state.params, jnp.array([60000.0, 1.0], jnp.float16))


def test_nonfinite_steps_pass_when_asked(params, batch):
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY)
    step = make_train_step(quadratic, sgd, skip_nonfinite=False)
    state, metrics = step(state, {**batch, "x": batch["x"].at[0, 0].set(jnp.nan)})
    assert jnp.isnan(state.params["b"])
    assert metrics["skipped"] == 0


def test_the_closures_are_the_losss_value_gradient_and_curvature(params, batch):
    """A transform that reads all of them, against closed forms, with and without accumulation."""
    seen = {}

    def spy(hyperparams):
        def update(updates, state, params, *, value, grad, value_fn, grad_fn, hvp_fn, **rest):
            ones = jax.tree.map(jnp.ones_like, params)
            result = {
                "value": value,
                "grad": grad,
                "value_fn": value_fn(ones),
                "grad_fn": grad_fn(ones),
                "hvp": hvp_fn(params, ones),
                "each": rest["per_example_grad_fn"](params),
                "residuals": rest["residual_fn"](params),
                "random": jax.random.uniform(rest["key"]),
                "step": rest["step"],
            }
            return updates, result

        def init(params):
            each = jax.tree.map(lambda p: jnp.zeros((8, *p.shape)), params)
            scalars = dict.fromkeys(("value", "value_fn", "random"), 0.0)
            trees = dict.fromkeys(("grad", "grad_fn", "hvp"), params)
            return {**scalars, **trees, "each": each, "residuals": jnp.zeros(8), "step": 0}

        return optax.GradientTransformationExtraArgs(init, update)

    ones = {"w": jnp.ones(3), "b": jnp.ones(())}
    grad, loss = closed_form_gradient(params, batch)
    grad_at_ones, loss_at_ones = closed_form_gradient(ones, batch)
    x = np.concatenate([np.asarray(batch["x"], np.float64), np.ones((8, 1))], axis=1)
    hessian_ones = 2 * x.T @ x / 8 @ np.ones(4)
    for accumulate in (1, 2):
        state = init_state(params, spy, {}, key=KEY)
        seen, _ = make_train_step(Squares(), spy, accumulate=accumulate)(state, batch)
        seen = seen.opt_state
        assert jnp.mean(jnp.square(seen["residuals"])) == pytest.approx(loss, rel=1e-5)
        assert seen["value"] == pytest.approx(loss, rel=1e-5)
        assert seen["value_fn"] == pytest.approx(loss_at_ones, rel=1e-5)
        for name in ("w", "b"):
            np.testing.assert_allclose(seen["grad"][name], grad[name], rtol=1e-5)
            np.testing.assert_allclose(seen["grad_fn"][name], grad_at_ones[name], rtol=1e-5)
            np.testing.assert_allclose(seen["each"][name].mean(0), grad[name], rtol=1e-5)
        np.testing.assert_allclose(seen["hvp"]["w"], hessian_ones[:3], rtol=1e-5)
        np.testing.assert_allclose(seen["hvp"]["b"], hessian_ones[3], rtol=1e-5)
        assert 0 < seen["random"] < 1


def test_a_loss_without_residuals_says_so(params, batch):
    def asks(hyperparams):
        inner = sgd(hyperparams)
        return optax.GradientTransformationExtraArgs(
            inner.init, lambda u, s, p=None, *, residual_fn, **rest: inner.update(residual_fn(p), s)
        )

    state = init_state(params, asks, {"learning_rate": 0.1}, key=KEY)
    with pytest.raises(ValueError, match="no method residuals"):
        make_train_step(quadratic, asks)(state, batch)


def test_unused_closures_cost_nothing(params, batch):
    """The program of an optimizer that takes them and of one that cannot are the same size."""

    def plain(hyperparams):
        full = sgd(hyperparams)
        return optax.GradientTransformation(full.init, lambda u, s, p=None: full.update(u, s, p))

    flops = []
    for build in (sgd, plain):
        state = init_state(params, build, {"learning_rate": 0.1}, key=KEY)
        compiled = make_train_step(quadratic, build).lower(state, batch).compile()
        flops.append(compiled.cost_analysis()["flops"])
    assert flops[0] == flops[1]


def test_model_state_is_carried_through_micro_batches(params, batch):
    def counting(params, model_state, batch, key):
        loss, metrics = quadratic(params, batch, key)
        return loss, (metrics, {"seen": model_state["seen"] + batch["y"].shape[0]})

    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY, model_state={"seen": jnp.zeros((), jnp.int32)})
    step = make_train_step(counting, sgd, has_state=True, accumulate=4)
    state, _ = step(state, batch)
    assert state.model_state["seen"] == 8


def test_ema_follows_its_recurrence(params, batch):
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY, ema_decay=0.75)
    step = make_train_step(quadratic, sgd)
    expected = np.arange(3.0)
    for _ in range(3):
        state, _ = step(state, batch)
        expected = 0.75 * expected + 0.25 * np.asarray(state.params["w"], np.float64)
    np.testing.assert_allclose(state.ema.params["w"], expected, rtol=1e-6)


def test_bfloat16_policy_keeps_float32_parameters_and_computes_in_bfloat16(params, batch):
    seen = []

    def loss(params, batch, key):
        seen.append((params["w"].dtype, batch["x"].dtype))
        return quadratic(params, batch, key)

    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY, policy="bfloat16")
    state, metrics = make_train_step(loss, sgd, policy="bfloat16")(state, batch)
    assert set(seen) == {(jnp.dtype("bfloat16"), jnp.dtype("bfloat16"))}
    assert state.params["w"].dtype == metrics["loss"].dtype == metrics["mae"].dtype == jnp.float32


def test_stochastic_rounding_and_compensation_let_small_steps_arrive():
    """bfloat16 parameters at 1 with steps of 1/1024, an eighth of their spacing."""

    def loss(params, batch, key):
        return jnp.sum(params) * batch, {}

    ends = {}
    for rounding in ("nearest", "stochastic", "kahan"):
        params = jnp.ones(4096, jnp.bfloat16)
        state = init_state(params, sgd, {"learning_rate": 1 / 1024}, key=KEY, rounding=rounding)
        step = make_train_step(loss, sgd, rounding=rounding)
        for _ in range(64):
            state, _ = step(state, jnp.float32(-1.0))
        assert state.params.dtype == jnp.bfloat16
        ends[rounding] = float(jnp.mean(state.params.astype(jnp.float32)))
    assert ends["nearest"] == 1.0
    assert ends["stochastic"] == pytest.approx(1 + 64 / 1024, abs=2e-3)
    assert ends["kahan"] == 1 + 64 / 1024


def test_compensated_parameters_stay_within_half_a_place_of_the_sum():
    """Of 300 random steps, each below a bfloat16's spacing; float32 parameters beside them carry nothing."""
    rng = np.random.default_rng(0)
    steps = (1e-3 * rng.standard_normal((300, 64))).astype(np.float32)
    start = {"low": jnp.ones(64, jnp.bfloat16), "half": jnp.ones(64, jnp.float16), "full": jnp.ones(64)}
    state = init_state(start, sgd, {"learning_rate": 1.0}, key=KEY, rounding="kahan")
    assert jax.tree.map(lambda c: c.dtype, state.compensation) == {"low": BF16, "half": jnp.float16, "full": None}

    def run(params, lost):
        def one(carry, u):
            return apply_compensated(carry[0], dict.fromkeys(start, u), carry[1]), None

        return jax.lax.scan(one, (params, lost), steps)[0]

    params, lost = jax.jit(run)(state.params, state.compensation)
    exact = 1 + steps.astype(np.float64).sum(0)
    kept = np.asarray(params["low"], np.float64)
    assert np.abs(kept - exact).max() <= 2.0**-8 * 1.05
    # What waits makes up for it, to the rounding of 300 bfloat16 remainders of at most 2^-8.
    assert np.abs(kept + np.asarray(lost["low"], np.float64) - exact).max() < 300**0.5 * 2.0**-17 * 5
    np.testing.assert_allclose(params["full"], exact, rtol=1e-5)
    assert lost["full"] is None


def test_a_skipped_step_changes_no_compensation():
    def loss(params, batch, key):
        return jnp.sum(params.astype(jnp.float32)) * batch, {}

    state = init_state(jnp.ones(8, jnp.bfloat16), sgd, {"learning_rate": 1e-3}, key=KEY, rounding="kahan")
    step = make_train_step(loss, sgd, rounding="kahan")
    state, _ = step(state, jnp.float32(1))
    before = np.asarray(state.compensation, np.float32)
    assert np.all(before == np.float32(jnp.bfloat16(-1e-3)))
    state, _ = step(state, jnp.float32(np.nan))
    np.testing.assert_array_equal(np.asarray(state.compensation, np.float32), before)
    assert int(state.skipped) == 1


def test_a_state_made_for_another_rounding_is_refused(params, batch):
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY)
    with pytest.raises(ValueError, match=r"init_state\(..., rounding='kahan'\)"):
        make_train_step(quadratic, sgd, rounding="kahan")(state, batch)
    with pytest.raises(ValueError, match="rounding = 'kahn': unknown, did you mean 'kahan'"):
        init_state(params, sgd, {"learning_rate": 0.1}, key=KEY, rounding="kahn")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, b, k: p["b"], r"loss_fn returned .* accepted is \(loss, metrics\)"),
        (lambda p, b, k: (p["w"], {}), r"loss of shape \(3,\): accepted is a scalar"),
        (lambda p, b, k: (p["b"], {"grad_norm": p["b"]}), "grad_norm.*the step's own"),
        (lambda p, b, k: (p["b"], {"x": p["w"]}), r"metric 'x' of shape \(3,\)"),
        (lambda p, b, k: (p["b"], 3.0), "metrics of type float"),
    ],
)
def test_a_loss_of_the_wrong_form_is_named(loss, message, params, batch):
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY)
    with pytest.raises((TypeError, ValueError), match=message):
        make_train_step(loss, sgd)(state, batch)


def test_bad_arguments_are_refused_before_tracing(params, batch):
    with pytest.raises(ValueError, match=r"learning_rate = -1\.0: accepted is a number in"):
        init_state(params, sgd, {"learning_rate": -1.0}, key=KEY)
    with pytest.raises(TypeError, match=r"accepted is a typed key"):
        init_state(params, sgd, {"learning_rate": 0.1}, key=jnp.zeros(2, jnp.uint32))
    for take in (lambda tx: init_state(params, tx, {}, key=KEY), lambda tx: make_train_step(quadratic, tx)):
        with pytest.raises(TypeError, match=r"build is a GradientTransformation.*: accepted is a function of the"):
            take(sgd({"learning_rate": 0.1}))
    with pytest.raises(ValueError, match="accumulate = 0: accepted is a whole number of at least 1"):
        make_train_step(quadratic, sgd, accumulate=0)
    with pytest.raises(ValueError, match="did you mean 'stochastic'"):
        make_train_step(quadratic, sgd, rounding="stochastik")
    with pytest.raises(ValueError, match="did you mean 'bfloat16'"):
        make_train_step(quadratic, sgd, policy="bfloat17")
    state = init_state(params, sgd, {"learning_rate": 0.1}, key=KEY)
    with pytest.raises(ValueError, match="accumulate = 3: accepted is a divisor of the batch size, 8"):
        make_train_step(quadratic, sgd, accumulate=3)(state, batch)
