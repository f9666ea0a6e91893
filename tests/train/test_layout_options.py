"""Whatever a training step offers, under layouts: it means what it means on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train.problems import RECIPES, assert_equal_trees, mean_square, problem, shares

import jaxlab
from jaxlab.precision import Policy
from jaxlab.train import init_run, init_state, make_run, make_train_step, set_hyperparams

KEY = jax.random.key(1)
ADAM, RATES = RECIPES["adam"]
KINDS = ["auto", "explicit"]
BF16 = jnp.dtype(jnp.bfloat16)
MIXED = "data=2,fsdp=2,tensor=2"


def train(build, hyperparams, layout, *, steps=5, params=None, loss=None, batch=None, state=None, step=None):
    """The MLP's state and last metrics after some steps; ``state`` and ``step`` are options of theirs."""
    one = problem("mlp")
    params = one.params() if params is None else params
    now = init_state(params, build, hyperparams, key=KEY, layout=layout, **(state or {}))
    run = make_train_step(loss or one.loss, build, layout=layout, **(step or {}))
    metrics = {}
    for _ in range(steps):
        now, metrics = run(now, one.batch if batch is None else batch)
    return now, metrics


def assert_layout_changes_nothing(layout, *arguments, rtol=1e-10, atol=1e-12, **options):
    wanted, wanted_metrics = train(*arguments, None, **options)
    found, metrics = train(*arguments, layout, **options)
    assert_equal_trees(found, wanted, rtol=rtol, atol=atol)
    assert_equal_trees(metrics, wanted_metrics, rtol=rtol, atol=atol)
    return found


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_and_averages(kind):
    layout = problem("mlp").layout(MIXED, None, kind)
    found = assert_layout_changes_nothing(
        layout, ADAM, RATES, state={"ema_decay": 0.9}, step={"accumulate": 2}, rtol=1e-9
    )
    assert shares(found.ema.params["dense_0"]["kernel"]) == 8
    assert shares(found.params["dense_0"]["kernel"]) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_kahans_memory_is_shared_and_rounds_alike(kind):
    # In bfloat16 parameters jump: those of one device and eight are equal to the bit but where a sum of float32 lies
    # on the edge between two; nearly all agree.
    layout = problem("mlp").layout("data=8", 1, kind)
    policy = Policy(param="bfloat16", compute="float32", output="float32")
    options = {
        "state": {"rounding": "kahan", "policy": policy},
        "step": {"rounding": "kahan", "policy": policy},
    }
    wanted, _ = train(ADAM, RATES, None, **options)
    found, _ = train(ADAM, RATES, layout, **options)
    for one, other in zip(jax.tree.leaves(found.params), jax.tree.leaves(wanted.params), strict=True):
        assert one.dtype == BF16
        assert np.mean(np.asarray(one) == np.asarray(other)) > 0.9
    assert {shares(leaf) for leaf in jax.tree.leaves(found.compensation)} == {8}
    assert {shares(leaf) for leaf in jax.tree.leaves(found.params)} == {1}


@pytest.mark.parametrize(("policy", "kind"), [("bfloat16", "explicit"), ("float16", "auto")])
def test_low_precision_computes_on_shared_parameters(policy, kind):
    layout = problem("mlp").layout("data=4,tensor=2", 3, kind)
    options = {"state": {"policy": policy}, "step": {"policy": policy}}
    wanted, wanted_metrics = train(ADAM, RATES, None, **options)
    found, metrics = train(ADAM, RATES, layout, **options)
    assert float(metrics["loss"]) == pytest.approx(float(wanted_metrics["loss"]), rel=0.02)
    assert metrics["skipped"] == wanted_metrics["skipped"] == 0
    assert shares(found.params["dense_0"]["kernel"]) == 8
    if policy == "float16":
        assert found.loss_scale.scale == wanted.loss_scale.scale


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", KINDS)
def test_batch_statistics_are_those_of_the_whole_batch(kind):
    one = problem("mlp")

    def loss(params, statistics, batch, key):
        predicted = one.model.apply(params, batch["x"])
        mean = 0.9 * statistics["mean"] + 0.1 * predicted.mean(0)
        return mean_square(predicted - mean, batch["y"]), ({}, {"mean": mean})

    statistics = {"mean": jnp.zeros(8)}
    options = {"loss": loss, "state": {"model_state": statistics}, "step": {"has_state": True}}
    found = assert_layout_changes_nothing(one.layout("data=8", 3, kind), ADAM, RATES, **options)
    assert found.model_state["mean"].is_fully_replicated


def sam(hyperparams):
    return jaxlab.modifiers.sam(ADAM(hyperparams), rho=0.05)


def private(hyperparams):
    return jaxlab.modifiers.private(ADAM(hyperparams), clip_norm=1.0, noise_multiplier=0.0, microbatch=16)


def adahessian(hyperparams):
    return jaxlab.optimizers.adahessian(hyperparams["learning_rate"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("build", [sam, private, adahessian])
def test_second_gradients_curvature_and_gradients_of_single_examples(build, kind):
    assert_layout_changes_nothing(problem("mlp").layout(MIXED, None, kind), build, RATES, steps=3, rtol=1e-8)


def by_residuals(hyperparams):
    """Steps along the gradient, as long as the mean square of the residuals says."""

    def update(grads, state, params, *, residual_fn, **extra):
        length = hyperparams["learning_rate"] * jnp.mean(residual_fn(params) ** 2)
        return jax.tree.map(lambda g: -length * g, grads), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


class Residuals:
    def residuals(self, params, batch, key):
        return problem("mlp").model.apply(params, batch["x"]) - batch["y"]

    def __call__(self, params, batch, key):
        return problem("mlp").loss(params, batch, key)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("kind", "accumulate"), [("auto", 1), ("explicit", 2)])
def test_residuals_of_the_whole_batch(kind, accumulate):
    layout = problem("mlp").layout("data=8", 1, kind)
    options = {"loss": Residuals(), "step": {"accumulate": accumulate}, "steps": 2}
    assert_layout_changes_nothing(layout, by_residuals, RATES, **options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_steps_is_one_program(kind):
    one = problem("mlp")
    options = {"batch_size": 16, "steps": 4}
    states = []
    for layout in (None, one.layout(MIXED, None, kind)):
        state = init_state(one.params(), ADAM, RATES, key=KEY, layout=layout)
        state, _ = make_run(one.loss, ADAM, layout=layout, **options)(state, one.batch)
        states.append(state)
    assert_equal_trees(states[1], states[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_begins_in_its_layout_with_the_parameters_of_one_device(kind):
    one = problem("mlp")
    layout = one.layout("data=8", 3, kind)
    wanted = init_run(one.model.init, ADAM, RATES, key=KEY)
    found = init_run(one.model.init, ADAM, RATES, key=KEY, layout=layout)
    assert_equal_trees(found, wanted, rtol=1e-6, atol=1e-7)
    assert {shares(leaf) for leaf in jax.tree.leaves(found.params)} == {8}
    places = layout.state_shardings(ADAM(RATES).init, found.params)
    for leaf, place in zip(jax.tree.leaves(found.opt_state), jax.tree.leaves(places), strict=True):
        assert leaf.sharding.is_equivalent_to(place, leaf.ndim)
        assert not leaf.ndim or shares(leaf) == 8


def test_a_rate_changed_in_a_state_that_is_laid_out_takes_effect_without_compiling():
    one, traced = problem("mlp"), []

    def loss(*arguments):
        traced.append(1)
        return one.loss(*arguments)

    layout = one.layout("data=8", 1, "auto")
    step = make_train_step(loss, ADAM, layout=layout)
    state, _ = step(init_state(one.params(), ADAM, RATES, key=KEY, layout=layout), one.batch)
    before = len(traced)
    state, metrics = step(set_hyperparams(state, ADAM, {"learning_rate": 0.25}), one.batch)
    assert metrics["learning_rate"] == 0.25
    assert state.hyperparams["learning_rate"].sharding == layout.everywhere
    assert len(traced) == before > 0


FOREIGN = {
    "adamw": lambda h: optax.adamw(h["learning_rate"]),
    "adafactor": lambda h: optax.adafactor(h["learning_rate"], min_dim_size_to_factor=4),
    "muon": lambda h: optax.contrib.muon(h["learning_rate"]),
    # Its own line search takes no extra argument that it does not know.
    "lbfgs": lambda h: optax.lbfgs(h["learning_rate"], memory_size=3, linesearch=None),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FOREIGN)
def test_transforms_of_optax(name, kind):
    layout = problem("mlp").layout("data=8", 1, kind)
    assert_layout_changes_nothing(layout, FOREIGN[name], RATES, steps=3, rtol=1e-7, atol=1e-9)
