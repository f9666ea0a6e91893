"""What a step costs, by XLA's own count, beside the step that one would write by hand."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxlab.optimizers import adam
from jaxlab.train import init_state, make_train_step

WIDTH, BATCH = 512, 256


def loss_fn(params, batch, key):
    x = batch["x"]
    for layer in params:
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return jnp.mean((x - batch["y"]) ** 2), {}


def build(hyperparams):
    return adam(hyperparams["learning_rate"])


def by_hand(params, m, v, step, learning_rate, batch, safe=False):
    loss, grads = jax.value_and_grad(lambda params: loss_fn(params, batch, None)[0])(params)
    before = params, m, v
    step = step + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, grads)

    def move(m, v):
        return -learning_rate * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)

    updates = jax.tree.map(move, m, v)
    params = jax.tree.map(jnp.add, params, updates)
    if not safe:
        return params, m, v, step, loss
    results = jnp.stack([loss, *map(norm, (grads, updates, params))])
    good = jnp.all(jnp.isfinite(results))
    after = jax.tree.map(lambda new, old: jnp.where(good, new, old), (params, m, v), before)
    return *after, step, results


def norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


@pytest.fixture(scope="module")
def shapes():
    layer = {
        "kernel": jax.ShapeDtypeStruct((WIDTH, WIDTH), "float32"),
        "bias": jax.ShapeDtypeStruct((WIDTH,), "float32"),
    }
    batch = dict.fromkeys(("x", "y"), jax.ShapeDtypeStruct((BATCH, WIDTH), "float32"))
    return [layer, layer], batch


def cost_of_step(shapes, **options):
    params, batch = shapes
    key = jax.random.key(0)
    state = jax.eval_shape(lambda params: init_state(params, build, {"learning_rate": 1e-3}, key=key), params)
    return make_train_step(loss_fn, build, **options).lower(state, batch).compile().cost_analysis()


@pytest.mark.parametrize(("safe", "options"), [(False, {"skip_nonfinite": False, "norms": False}), (True, {})])
def test_a_step_costs_what_the_hand_written_one_costs_that_does_the_same(safe, options, shapes):
    """Gradient, Adam and loss alone; and with norms, and steps skipped that are not finite."""
    params, batch = shapes
    scalar = jax.ShapeDtypeStruct((), "float32")
    program = jax.jit(functools.partial(by_hand, safe=safe), donate_argnums=(0, 1, 2, 3))
    hand_written = program.lower(params, params, params, scalar, scalar, batch).compile().cost_analysis()
    step = cost_of_step(shapes, **options)
    assert step["flops"] <= 1.01 * hand_written["flops"]
    assert step["bytes accessed"] <= 1.01 * hand_written["bytes accessed"]
