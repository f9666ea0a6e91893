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
from laws.optax_faults import ONE, Fault, bfloat16, float16, is_nan, steps

from jaxlab import losses, modifiers, optimizers, schedules
from jaxlab.core import hyper, storage, tree
from jaxlab.train import init_state, make_train_step
from jaxlab.train.step import apply_updates

FAULTS = (
    # Numbers.
    Fault(
        "in bfloat16 b2 = 0.999 rounds to 1, and a mean square never decays",
        "test_mean_squares_in_bfloat16_decay",
        faults.mean_square_stands_still,
    ),
    Fault(
        "inject_hyperparams casts b2 to the parameters' bfloat16, and the first step is NaN",
        "test_traced_numbers_keep_their_precision",
        faults.injected_numbers_are_cast,
    ),
    Fault(
        "gradients of exactly zero in float16 give NaN",
        "test_zero_gradients_in_float16_move_nothing",
        faults.zero_gradients_in_float16_are_nan,
    ),
    Fault(
        "float32 gradients of bfloat16 parameters change the state's dtypes after one step",
        "test_states_keep_their_dtypes",
        faults.state_changes_its_dtype,
    ),
    Fault(
        "apply_updates swallows small steps of bfloat16 parameters",
        "test_small_steps_arrive_on_average",
        faults.small_steps_are_swallowed,
    ),
    Fault("tree.norm sums in bfloat16 and saturates", "test_norms_are_summed_in_float32", faults.norms_saturate),
    Fault(
        "clipping of float16 gradients of 300 gives zero",
        "test_clipping_in_float16_gives_the_norm_asked_for",
        faults.clipping_in_float16_gives_zero,
    ),
    # Formulas.
    Fault(
        "rmsprop and lars apply momentum after the learning rate",
        "test_at_a_rate_of_zero_nothing_moves",
        lambda: faults.momentum_after_the_rate() and faults.momentum_of_lars_after_the_rate(),
    ),
    Fault(
        "Adafactor's decay is not multiplied by the learning rate",
        "test_decay_is_multiplied_by_the_rate",
        faults.decay_of_adafactor_knows_no_rate,
    ),
    # Wrappers.
    Fault(
        "masked passes the raw gradients of masked leaves on",
        "test_frozen_leaves_stand_still",
        faults.masked_leaves_get_raw_gradients,
    ),
    Fault(
        "MultiSteps runs the inner update at every micro-step",
        "test_the_optimizer_runs_once_for_all_micro_batches",
        faults.multi_steps_runs_the_inner_update_each_time,
    ),
    Fault(
        "one NaN poisons MultiSteps for good",
        "test_one_nan_costs_one_step",
        faults.one_nan_poisons_multi_steps,
    ),
    Fault(
        "apply_if_finite finally applies NaN",
        "test_skipping_never_gives_up",
        faults.apply_if_finite_gives_up,
    ),
    Fault("monitor breaks under scan", "test_what_is_shown_is_there_under_scan", faults.monitor_breaks_under_scan),
    Fault(
        "the states of prodigy, dog, sam, cocob and mechanize share memory with the parameters: donation fails",
        "test_states_have_memory_of_their_own",
        faults.states_share_the_parameters_memory,
    ),
    Fault(
        "flatten concatenates all leaves at every step, slow at 600 of them",
        "test_leaves_stay_apart",
        faults.leaves_are_concatenated,
    ),
    Fault(
        "clipping inside partition is by group",
        "test_clipping_sees_all_groups_and_no_frozen_leaf",
        faults.clipping_is_by_group,
    ),
    Fault(
        "peak and lengths of warm-up and cosine do not trace, nor an exponential's rate",
        "test_schedules_trace_in_every_number",
        faults.schedules_do_not_trace,
    ),
    # Names.
    Fault(
        "masks and dtypes have five names",
        "test_one_thing_has_one_name",
        faults.one_thing_has_many_names,
    ),
    Fault(
        "weight_decay is 0, 1e-4 or 1e-3 by default",
        "test_decay_is_off_by_default_but_where_it_is_the_method",
        faults.decay_has_many_defaults,
    ),
    Fault(
        "the integer label -100 silently wraps around",
        "test_a_label_that_is_no_class_is_nan_or_ignored",
        faults.labels_wrap_around,
    ),
)

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


@pytest.mark.parametrize("name", ["momentum", "rmsprop"])
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
    assert {(name, value) for name, value in defaults.items() if value} <= {("adamw", 1e-2), ("lars", 1e-4)}


def test_a_label_that_is_no_class_is_nan_or_ignored():
    loss = jax.jit(losses.cross_entropy, static_argnames="ignore_index")
    logits, label = jnp.arange(200.0)[None], jnp.array([-100])
    assert is_nan(loss(logits, label))
    assert float(loss(logits, label, ignore_index=-100)) == 0
