"""What a step and a first state refuse, before anything is compiled."""

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxlab.precision import Phases, Policy
from jaxlab.sharding import Layout, feed, make_mesh
from jaxlab.train import abstract_state, init_run, init_state, make_train_step

KEY, RATE = jax.random.key(0), {"learning_rate": 0.1}
PARAMS = {"w": jnp.ones((8, 2)), "b": jnp.zeros(2)}
BATCH = {"x": jnp.ones((16, 8)), "y": jnp.ones((16, 2))}


def build(hyperparams):
    return optax.sgd(hyperparams["learning_rate"])


def loss(params, batch, key):
    return jnp.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2), {}


def with_state(after):
    return lambda params, before, batch, key: (loss(params, batch, key)[0], ({}, after(before)))


def begin(params=PARAMS, **options):
    return init_state(params, build, RATE, key=KEY, **options)


def step(state, batch=BATCH, loss=loss, **options):
    return make_train_step(loss, build, **options)(state, batch)


@pytest.mark.parametrize(
    ("leaf", "dtype"),
    [(jnp.arange(3), "int32"), (jnp.ones(2, bool), "bool"), (KEY, "key<fry>"), (jnp.ones(2, complex), "complex64")],
)
def test_parameters_without_a_gradient_are_named(leaf, dtype):
    layout = Layout("data=-1")
    for options in ({}, {"layout": layout}):
        with pytest.raises(TypeError, match=f"parameter 'n' has type {dtype}: accepted are floating arrays; what is"):
            begin({**PARAMS, "n": leaf}, **options)
    with pytest.raises(TypeError, match=f"parameter 'n' has type {dtype}"):
        init_run(lambda key: {**PARAMS, "n": leaf}, build, RATE, key=KEY, layout=layout)


def test_what_is_no_layout_no_key_and_no_init_is_named():
    for layout in ("data=8", make_mesh("data=8")):
        for take in (
            lambda layout: begin(layout=layout),
            lambda layout: make_train_step(loss, build, layout=layout),
            lambda layout: abstract_state(lambda key: PARAMS, build, RATE, key=KEY, layout=layout),
            lambda layout: feed(lambda numbers: numbers, [0], layout),
        ):
            with pytest.raises(TypeError, match=r"layout = .*: accepted is a jaxlab.sharding.Layout, such as"):
                take(layout)
    with pytest.raises(TypeError, match="key = 0: accepted is a typed key"):
        init_run(lambda key: PARAMS, build, RATE, key=0)
    with pytest.raises(TypeError, match="init is a dict: accepted is a function of a key"):
        init_run(PARAMS, build, RATE, key=KEY)


def test_numbers_of_the_host_are_parameters_under_a_layout_too():
    state = begin({"w": PARAMS["w"], "b": 0.0}, layout=Layout("data=-1"))
    assert state.params["b"].dtype == jnp.float32


def test_a_step_takes_states_alone():
    for policy in (None, Phases({0: "float32"})):
        with pytest.raises(TypeError, match="state is a dict: accepted is what init_state and init_run return"):
            step(PARAMS, policy=policy)


def test_a_state_of_another_policy_is_refused():
    with pytest.raises(ValueError, match=r"policy = parameters bfloat16.*: accepted is a state .* not 'b' in float32"):
        step(begin(policy="float32"), policy=Policy("bfloat16", "bfloat16"))
    with pytest.raises(ValueError, match="not 'b' in bfloat16"):
        step(begin(policy=Policy("bfloat16")), policy="float32")


def test_stochastic_rounding_is_for_bfloat16_alone():
    policy = Policy("float16", "float16")
    with pytest.raises(ValueError, match="accepted are bfloat16 parameters, not 'b', float16; 'kahan' takes both"):
        step(begin(policy=policy), policy=policy, rounding="stochastic")


def test_a_later_phase_is_checked_at_the_beginning():
    later = Policy("float32", "bfloat16", "float32", exceptions=[("haed", "float32")])
    with pytest.raises(ValueError, match="'haed' matches no parameter; the parameters are b, w"):
        begin(policy=Phases({0: "bfloat16", 900: later}))


def test_a_state_that_was_given_away_is_named():
    layout = Layout("data=-1")
    take, state = make_train_step(loss, build, layout=layout), begin(layout=layout)
    take(state, BATCH)
    with pytest.raises(ValueError, match="given away to a step before: accepted is the state that the step returned"):
        take(state, BATCH)


@pytest.mark.parametrize("after", [lambda before: {}, lambda before: {"mean": jnp.zeros(())}])
def test_a_model_state_of_another_form_is_refused(after):
    state = begin(model_state={"mean": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"loss_fn returned a model_state of shapes .*: accepted are {'mean': \(2,\)}"):
        step(state, loss=with_state(after), has_state=True)


@pytest.mark.parametrize("more", [{"n": jnp.float32(3)}, {"n": 3}, {"n": jnp.ones(8)}, {"n": KEY}])
def test_micro_batches_are_cut_from_leaves_with_the_same_examples(more):
    with pytest.raises(ValueError, match="accumulate = 2: accepted are leaves of the batch with one and the same"):
        step(begin(), {**BATCH, **more}, accumulate=2)
