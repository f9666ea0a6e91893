"""What is wrong or surprising in optax 0.2.8, each as a function that is true as long as it is so."""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax import contrib

bfloat16, float16 = jnp.bfloat16, jnp.float16
ONE = jnp.ones(1)
# The first has the square 256, at which adding one to a bfloat16 changes nothing.
MANY = [jnp.full((), 16, bfloat16)] + [jnp.ones((), bfloat16)] * 33


@dataclasses.dataclass(frozen=True)
class Fault:
    """One line of the table.

    Attributes:
      words: what is wrong in optax.
      free: the test that shows jaxlab free of it.
      shown: whether the installed optax still has it; None where that is not to be seen fast and reliably.
    """

    words: str
    free: str
    shown: Callable[[], bool] | None = None


def steps(tx, params, gradients):
    """All updates and the last state, one compiled step."""
    state, updates, update = tx.init(params), [], jax.jit(tx.update)
    for g in gradients:
        u, state = update(g, state, params)
        updates.append(u)
    return updates, state


def raises(kind: type[Exception], function: Callable[[], object]) -> bool:
    try:
        function()
    except kind:
        return True
    return False


def is_nan(x) -> bool:
    return bool(jnp.all(jnp.isnan(x)))


def mean_square_stands_still() -> bool:
    ones = jnp.ones(1, bfloat16)
    _, before = steps(optax.scale_by_adam(b2=0.999), ones, [ones])
    _, after = steps(optax.scale_by_adam(b2=0.999), ones, [ones] + [0 * ones] * 20)
    return bool(after.nu == before.nu)


def injected_numbers_are_cast() -> bool:
    ones = jnp.ones(1, bfloat16)
    updates, state = steps(optax.inject_hyperparams(optax.adam)(learning_rate=1e-3), ones, [ones])
    return is_nan(updates[0]) and float(state.hyperparams["b2"]) == 1


def zero_gradients_in_float16_are_nan() -> bool:
    ones = jnp.ones(1, float16)
    return is_nan(steps(optax.adam(1e-3), ones, [0 * ones])[0][0])


def state_changes_its_dtype() -> bool:
    tx, params = optax.adam(1e-3), jnp.ones(1, bfloat16)
    before = tx.init(params)
    _, after = jax.eval_shape(tx.update, ONE, before, params)
    return [x.dtype for x in jax.tree.leaves(after)] != [x.dtype for x in jax.tree.leaves(before)]


def small_steps_are_swallowed() -> bool:
    return bool(optax.apply_updates(jnp.ones(1, bfloat16), jnp.full(1, 1e-3)) == 1)


def norms_saturate() -> bool:
    return float(jax.jit(optax.tree.norm)(MANY)) == 16


def clipping_in_float16_gives_zero() -> bool:
    tx = optax.clip_by_global_norm(1.0)
    return float(steps(tx, jnp.ones(4), [jnp.full(4, 300, float16)])[0][0][0]) == 0


def weight_sum_saturates() -> bool:
    tx, ones = contrib.schedule_free_sgd(0.1), jnp.ones(1, bfloat16)

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda state, _: (tx.update(ones, state, ones)[1], None), state, length=600)[0]

    # The sum of 600 squared rates.
    return tx.init(ones).weight_sum.dtype == bfloat16 and float(run(tx.init(ones)).weight_sum) < 5.9


def adan_takes_one_minus_b2() -> bool:
    updates, _ = steps(optax.adan(1.0, b1=0.0, b2=0.75, b3=0.0, eps_root=0.0), ONE, [ONE, 3 * ONE])
    # The paper's b2 and optax's are one another's complement: here n is (g + (1 - b2) (g - g before))^2, b2 = 3/4.
    return bool(jnp.allclose(updates[1] * (3 + 0.25 * 2), -(3 + 0.25 * 0.5 / 0.4375), rtol=1e-3))


def first_step_of_rprop_is_zero() -> bool:
    return float(steps(optax.rprop(0.1), ONE, [ONE])[0][0][0]) == 0


def _moves_at_a_rate_of_zero(optimizer) -> bool:
    tx = optimizer(lambda step: jnp.where(step < 1, 1.0, 0.0))
    return float(steps(tx, ONE, [ONE, ONE])[0][1][0]) != 0


def momentum_after_the_rate() -> bool:
    return _moves_at_a_rate_of_zero(functools.partial(optax.rmsprop, momentum=0.9))


def momentum_of_lars_after_the_rate() -> bool:
    return _moves_at_a_rate_of_zero(optax.lars)


def yogi_begins_with_momentum() -> bool:
    return float(optax.scale_by_yogi().init(ONE).mu[0]) != 0


def _muon(**settings):
    return steps(contrib.scale_by_muon(**settings), jnp.eye(2), [jnp.eye(2)])


def enough_coefficients_are_refused() -> bool:
    coefficients = ((3.4445, -4.7750, 2.0315),)
    refused = raises(ValueError, lambda: _muon(ns_coeffs=coefficients * 6, ns_steps=5))
    return refused and not raises(ValueError, lambda: _muon(ns_coeffs=coefficients * 2, ns_steps=5))


def _muon_routes() -> dict:
    params = {"embedding": jnp.ones((8, 2)), "scanned": jnp.ones((2, 3, 4)), "bias": ONE}
    state = contrib.muon(1e-3).init(params)
    return {name: state.inner_states["adam"].inner_state[0].mu[name] for name in params}


def embeddings_go_to_muon() -> bool:
    return isinstance(_muon_routes()["embedding"], optax.MaskedNode)


def stacked_kernels_go_to_adam() -> bool:
    return not isinstance(_muon_routes()["scanned"], optax.MaskedNode)


def muon_falls_back_to_nadam() -> bool:
    gradients = [ONE, 3 * ONE]
    found = steps(contrib.muon(1.0, adam_b2=0.999), ONE, gradients)[0][1]
    wanted = steps(optax.nadam(1.0, b2=0.999), ONE, gradients)[0][1]
    return bool(jnp.allclose(found, wanted, rtol=1e-6))


def masked_leaves_get_raw_gradients() -> bool:
    params = {"a": ONE, "b": ONE}
    return float(steps(optax.masked(optax.sgd(0.1), {"a": True, "b": False}), params, [params])[0][0]["b"][0]) == 1


def multi_steps_runs_the_inner_update_each_time() -> bool:
    calls = []

    def update(grads, state, params=None):
        jax.debug.callback(lambda: calls.append(1))
        return grads, state

    steps(optax.MultiSteps(optax.GradientTransformation(lambda params: (), update), 4), ONE, [ONE] * 3)
    jax.effects_barrier()
    return len(calls) == 3


def one_nan_poisons_multi_steps() -> bool:
    return is_nan(steps(optax.MultiSteps(optax.sgd(0.1), 2), ONE, [ONE * jnp.nan] + [ONE] * 3)[0][3])


def apply_if_finite_gives_up() -> bool:
    return is_nan(steps(optax.apply_if_finite(optax.sgd(0.1), 2), ONE, [ONE * jnp.nan] * 3)[0][2])


def monitor_breaks_under_scan() -> bool:
    tx = optax.chain(optax.monitor({"norm": optax.tree.norm}), optax.sgd(0.1))
    return raises(TypeError, lambda: jax.lax.scan(lambda s, g: (tx.update(g, s)[1], None), tx.init(ONE), ONE[None]))


def sam_makes_nan_of_zero() -> bool:
    tx = contrib.sam(optax.sgd(0.1), optax.chain(contrib.normalize(), optax.sgd(0.05)))
    return is_nan(steps(tx, ONE, [0 * ONE])[0][0])


def evaluation_parameters_fail_inside_a_chain() -> bool:
    state = optax.chain(optax.clip(1.0), contrib.schedule_free_sgd(0.1)).init(ONE)
    return raises(AttributeError, lambda: contrib.schedule_free_eval_params(state, ONE))


def states_share_the_parameters_memory() -> bool:
    sgd = optax.sgd(0.1)
    all_of = (contrib.prodigy(), contrib.dog(1.0), contrib.sam(sgd, sgd), contrib.cocob(), contrib.mechanize(sgd))
    places = [{x.unsafe_buffer_pointer() for x in jax.tree.leaves(tx.init(ONE)) if x.size} for tx in all_of]
    return all(ONE.unsafe_buffer_pointer() in held for held in places)


def leaves_are_concatenated() -> bool:
    return "concatenate" in lowered(optax.flatten(optax.adam(0.1)))


def lowered(tx) -> str:
    """The program of a step with many leaves."""
    params = {str(i): ONE for i in range(9)}
    return jax.jit(tx.update).lower(params, tx.init(params), params).as_text()


def clipping_is_by_group() -> bool:
    clip, params = optax.clip_by_global_norm(1.0), {"a": 3 * ONE, "b": 4 * ONE}
    updates = steps(optax.partition({"x": clip, "y": clip}, {"a": "x", "b": "y"}), params, [params])[0][0]
    return float(updates["a"][0]) == float(updates["b"][0]) == 1


def schedules_do_not_trace() -> bool:
    cosine, exponential = optax.schedules.warmup_cosine_decay_schedule, optax.schedules.exponential_decay
    attempts = (
        lambda x: cosine(0.0, x, 5, 20),
        lambda x: cosine(0.0, 1.0, x, 20),
        lambda x: cosine(0.0, 1.0, 5, x),
        lambda x: exponential(1.0, 10, x),
    )
    refuses = jax.errors.TracerBoolConversionError
    return all(raises(refuses, lambda build=build: jax.eval_shape(lambda x: build(x)(3), ONE[0])) for build in attempts)


def _arguments(part: str) -> dict[str, set]:
    """The optimizers' arguments whose name has this part, with their defaults."""
    functions = [getattr(module, name) for module in (optax, contrib) for name in dir(module) if name.islower()]
    signatures = [inspect.signature(f).parameters for f in functions if inspect.isfunction(f)]
    found = [p for one in signatures if "learning_rate" in one for p in one.values() if part in p.name]
    return {p.name: {q.default for q in found if q.name == p.name} for p in found}


def one_thing_has_many_names() -> bool:
    return len(_arguments("mask")) >= 2 and len(_arguments("dtype")) >= 3


def decay_has_many_defaults() -> bool:
    return {0.0, 1e-4, 1e-3} <= _arguments("weight_decay")["weight_decay"]


def decay_of_adafactor_knows_no_rate() -> bool:
    def decayed(rate):
        tx = optax.adafactor(rate, multiply_by_parameter_scale=False, weight_decay_rate=0.1)
        return steps(tx, ONE, [0 * ONE])[0][0]

    return bool(jnp.allclose(decayed(1e-1), decayed(1e-3)))


def labels_wrap_around() -> bool:
    loss = jax.jit(optax.softmax_cross_entropy_with_integer_labels)
    ignored, other = loss(jnp.arange(400.0).reshape(2, 200), jnp.array([-100, 100]))
    return float(ignored) == float(other)
