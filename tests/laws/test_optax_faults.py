"""Every fault that was found in optax 0.2.8 has a test that shows jaxlab free of it.

Where a fault shows fast and reliably, another test looks whether the installed optax still has it. When that one
fails, optax has mended it: change the words here and wherever the documentation speaks of it.
"""

import inspect
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from laws import optax_faults as faults
from laws.optax_fault_table import FAULTS
from laws.optax_faults import ONE, bfloat16, float16, is_nan, steps

from jaxlab import losses, modifiers, optimizers, schedules
from jaxlab.core import hyper, storage, tree
from jaxlab.train import init_state, make_train_step
from jaxlab.train.apply import apply_updates

NAMES = optimizers.names()
DECAYING = [
    name for name in NAMES if "weight_decay" in optimizers.get(name).hyperparams and not optimizers.get(name).needs
]
BF16, F16 = jnp.ones(1, bfloat16), jnp.ones(1, float16)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.shown is not None], ids=lambda fault: fault.free)
def test_when_this_fails_optax_has_mended_it_change_the_words(fault):
    assert fault.shown(), f"optax has mended this; change the words: {fault.words}"


def test_every_fault_has_its_test_and_every_test_its_fault():
    here = {name for name, value in vars(sys.modules[__name__]).items() if inspect.isfunction(value)}
    tests = {name for name in here if name.startswith("test_") and "every_fault" not in name and "mended" not in name}
    assert {fault.free for fault in FAULTS} == tests
    shown = {
        name for name, f in vars(faults).items() if inspect.isfunction(f) and inspect.signature(f).return_annotation
    }
    assert len({fault.words for fault in FAULTS}) == len(FAULTS) == len(tests) <= len(shown)


def test_mean_squares_in_bfloat16_decay():
    tx, grads = optimizers.scale_by_adam(b2=0.99, state_dtype="bfloat16"), jnp.ones(1024, bfloat16)

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda state, _: (tx.update(0 * grads, state)[1], None), state, length=100)[0]

    _, state = jax.jit(tx.update)(grads, tx.init(grads))
    assert state.slots.v.dtype == bfloat16
    before, after = (float(jnp.mean(storage.decode(s.slots.v))) for s in (state, run(state)))
    assert after / before == pytest.approx(0.99**100, rel=0.05)


def test_traced_numbers_keep_their_precision():
    numbers = hyper.canonical({"learning_rate": 1e-3, "b2": 0.999})
    assert numbers["b2"].dtype == jnp.float32
    state = optimizers.adam(**numbers).init(BF16)
    updates, _ = jax.jit(lambda h, s: optimizers.adam(**h).update(BF16, s, BF16))(numbers, state)
    assert float(updates[0]) == pytest.approx(-1e-3, rel=1e-2)


def test_zero_gradients_in_float16_move_nothing():
    assert float(steps(optimizers.adam(1e-3), F16, [0 * F16])[0][0][0]) == 0


def test_states_keep_their_dtypes():
    tx = optimizers.adam(1e-3)
    before = jax.eval_shape(tx.init, BF16)
    _, after = jax.eval_shape(tx.update, ONE, before, BF16)
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, before)


def test_small_steps_arrive_on_average():
    params = jnp.ones(4096, bfloat16)
    after = apply_updates(params, jnp.full(4096, 1e-3), "stochastic", jnp.zeros((), jnp.int32))
    assert float(jnp.mean(after.astype(jnp.float32))) == pytest.approx(1.001, abs=2e-4)


def test_norms_are_summed_in_float32():
    assert float(jax.jit(tree.global_norm)(faults.MANY)) == 17


def test_clipping_in_float16_gives_the_norm_asked_for():
    tx = modifiers.clip_by_global_norm(optimizers.sgd(1.0), 1.0)
    updates, _ = steps(tx, jnp.ones(4), [jnp.full(4, 300, float16)])
    assert updates[0].tolist() == [-0.5] * 4


def test_sums_of_weights_are_kept_in_float32():
    tx = modifiers.schedule_free_sgd(0.1)

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda state, _: (tx.update(BF16, state, BF16)[1], None), state, length=600)[0]

    (averages,) = modifiers.averages(run(tx.init(BF16)))
    assert averages.shared.total.dtype == jnp.float32
    assert float(averages.shared.total) == pytest.approx(600 * 0.1**2, rel=1e-4)


def test_adan_is_its_authors():
    tx = optimizers.scale_by_adan(b1=0.0, b2=0.75, b3=0.0)
    directions, _ = steps(tx, ONE, [ONE, 3 * ONE])
    # The change is 2, its average, corrected, (1 - b2) 2 / (1 - b2^2).
    assert float(directions[1][0]) == pytest.approx((3 + 0.75 * 0.5 / 0.4375) / (3 + 0.75 * 2), rel=1e-5)


def test_the_first_sign_counts():
    assert float(steps(optimizers.sign_descent(0.5), ONE, [3 * ONE])[0][0][0]) == -0.5


def test_yogi_has_no_momentum_before_a_gradient():
    assert float(optimizers.scale_by_yogi().init(ONE).slots.m[0]) == 0


def test_muon_takes_coefficients_for_all_its_steps():
    triple = ((3.4445, -4.7750, 2.0315),)
    optimizers.scale_by_muon(coefficients=triple * 6, steps=5)
    with pytest.raises(ValueError, match="for steps = 5"):
        optimizers.scale_by_muon(coefficients=triple * 2, steps=5)


def test_embeddings_are_no_matrices():
    params = {"embedding": jnp.ones((8, 2)), "dense/kernel": jnp.ones((8, 2))}
    routes = optimizers.muon(0.1).init(params).routes
    assert dict(routes) == {"embedding": "others", "dense/kernel": "matrices"}


def test_stacked_kernels_are_matrices_or_an_error():
    params = {"scanned": jnp.ones((2, 3, 4))}
    with pytest.raises(ValueError, match="'scanned' of shape"):
        optimizers.muon(0.1).init(params)
    assert dict(optimizers.muon(0.1, layouts=(("scanned", "brc"),)).init(params).routes) == {"scanned": "matrices"}


def test_the_fallback_is_what_its_name_says():
    gradients = [{"bias": ONE}, {"bias": 3 * ONE}]
    found, _ = steps(optimizers.muon(0.1, fallback_learning_rate=0.5, fallback="adam"), gradients[0], gradients)
    wanted, _ = steps(optimizers.adam(0.5, b2=0.95), gradients[0], gradients)
    assert float(found[1]["bias"][0]) == pytest.approx(float(wanted[1]["bias"][0]), rel=1e-6)


def test_sam_stands_still_without_a_gradient():
    tx = modifiers.sam(optimizers.sgd(0.5))
    updates, _ = tx.update(0 * ONE, tx.init(ONE), ONE, grad_fn=lambda params: 0 * params)
    assert float(updates[0]) == 0


def test_evaluation_parameters_are_found_in_a_chain():
    tx = optax.chain(optax.clip(1.0), modifiers.schedule_free_sgd(0.5))
    updates, state = tx.update(ONE, tx.init(ONE), ONE)
    # After one step the average is the one point that there was.
    assert modifiers.evaluation_params(state, ONE + updates).tolist() == [0.5]


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "lars"])
def test_at_a_rate_of_zero_nothing_moves(name):
    settings = {"momentum": 0.9} if name == "rmsprop" else {}
    tx = optimizers.get(name).factory(lambda step: jnp.where(step < 1, 1.0, 0.0), **settings)
    first, second = steps(tx, ONE, [ONE, ONE])[0]
    assert float(first[0]) != 0 == float(second[0])


@pytest.mark.parametrize("name", DECAYING)
def test_decay_is_multiplied_by_the_rate(name):
    def decayed(rate):
        matrix = jnp.ones((1, 1))
        tx = optimizers.get(name).factory(rate, weight_decay=0.125)
        return float(steps(tx, 4 * matrix, [0 * matrix])[0][0][0, 0])

    assert decayed(0.5) == 2 * decayed(0.25) <= 0


def test_frozen_leaves_stand_still():
    params = {"a": ONE, "b": ONE}
    tx = modifiers.groups({"fast": optimizers.sgd(0.5), "frozen": None}, [("b", "frozen"), ("", "fast")])
    updates, _ = steps(tx, params, [params])
    assert (float(updates[0]["a"][0]), float(updates[0]["b"][0])) == (-0.5, 0)


def _training(calls: list):
    """Steps on four micro-batches, with an optimizer that notes its calls; the loss is as much as the batch says."""

    def build(hyperparams):
        inner = optimizers.adam(hyperparams["learning_rate"])

        def update(grads, state, params=None, **extra):
            jax.debug.callback(lambda: calls.append(1))
            return inner.update(grads, state, params, **extra)

        return optax.GradientTransformationExtraArgs(inner.init, update)

    def loss_fn(params, batch, key):
        return jnp.mean(params["w"] * batch), {}

    state = init_state({"w": jnp.ones(())}, build, {"learning_rate": 0.5}, key=jax.random.key(0))
    return state, make_train_step(loss_fn, build, accumulate=4)


@pytest.fixture(scope="module")
def trained():
    """The calls of the optimizer in a good step, then the parameter after a bad one and after another good one."""
    calls: list = []
    state, step = _training(calls)
    state, _ = step(state, jnp.ones(4))
    jax.effects_barrier()
    counted, seen = len(calls), [float(state.params["w"])]
    for batch in (jnp.array([1.0, 1.0, jnp.nan, 1.0]), jnp.ones(4)):
        state, _ = step(state, batch)
        seen.append(float(state.params["w"]))
    return counted, seen, int(state.skipped)


def test_the_optimizer_runs_once_for_all_micro_batches(trained):
    assert trained[0] == 1


def test_one_nan_costs_one_step(trained):
    _, seen, skipped = trained
    np.testing.assert_allclose(seen, [0.5, 0.5, 0.0], atol=1e-6)
    assert skipped == 1


def test_skipping_never_gives_up():
    updates, state = steps(modifiers.skip_nonfinite(optimizers.sgd(0.5)), ONE, [ONE * jnp.nan] * 20 + [ONE])
    assert all(float(u[0]) == 0 for u in updates[:-1])
    assert float(updates[-1][0]) == -0.5
    assert int(state.skipped) == 20


def test_what_is_shown_is_there_under_scan():
    tx = optimizers.sgd(schedules.exponential(1.0, 0.5))

    def step(state, g):
        state = tx.update(g, state)[1]
        return state, schedules.effective_learning_rate(state)

    assert jax.lax.scan(step, tx.init(ONE), jnp.ones((3, 1)))[1].tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("name", NAMES)
def test_states_have_memory_of_their_own(name):
    """That donation then works is a law of all transforms."""
    state = optimizers.get(name).factory(0.1).init(ONE)
    places = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((ONE, state)) if x.size]
    assert len(set(places)) == len(places)


def test_leaves_stay_apart():
    assert "concatenate" not in faults.lowered(optimizers.adam(0.1))


def test_clipping_sees_all_groups_and_no_frozen_leaf():
    params = {"a": 3 * ONE, "b": 4 * ONE, "frozen": 1e6 * ONE}
    parts = {"x": optimizers.sgd(1.0), "y": optimizers.sgd(1.0), "none": None}
    tx = modifiers.clip_by_global_norm(modifiers.groups(parts, [("a", "x"), ("b", "y"), ("", "none")]), 1.0)
    updates = steps(tx, params, [params])[0][0]
    assert {name: round(float(u[0]), 6) for name, u in updates.items()} == {"a": -0.6, "b": -0.8, "frozen": 0}


def test_schedules_trace_in_every_number():
    @jax.jit
    def rates(peak, warmup_steps, total_steps, decay_rate):
        cosine = schedules.warmup(schedules.cosine(peak, total_steps), warmup_steps)
        return cosine(2), schedules.exponential(peak, decay_rate)(2)

    assert [float(rate) for rate in rates(1.0, 4.0, 20.0, 0.5)] == pytest.approx([0.5, 0.25], abs=1e-2)


def test_one_thing_has_one_name():
    arguments = {name for each in NAMES for name in inspect.signature(optimizers.get(each).factory).parameters}
    assert {name for name in arguments if "mask" in name} == {"decay_mask"}
    assert {name for name in arguments if "dtype" in name} <= {"state_dtype", "compute_dtype"}


def test_decay_is_off_by_default_but_where_it_is_the_method():
    defaults = {name: optimizers.get(name).hyperparams["weight_decay"] for name in DECAYING}
    published = {("adamw", 1e-2), ("lars", 1e-4), ("soap", 1e-2)}
    assert {(name, value) for name, value in defaults.items() if value} <= published


def test_a_label_that_is_no_class_is_nan_or_ignored():
    loss = jax.jit(losses.cross_entropy, static_argnames="ignore_index")
    logits, label = jnp.arange(200.0)[None], jnp.array([-100])
    assert is_nan(loss(logits, label))
    assert float(loss(logits, label, ignore_index=-100)) == 0
