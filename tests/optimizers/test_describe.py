"""What an optimizer is said to do with each leaf, and to cost, is what it does and costs."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxlab import modifiers, optimizers
from jaxlab.core import cost, storage
from jaxlab.core.matrixwise import matrixwise
from jaxlab.core.partition import partition
from jaxlab.optimizers import describe
from jaxlab.sweep.cost import step_cost

SHAPES = {"bias": (4,), "kernel": (4, 8), "scale": ()}
PARAMS = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in SHAPES.items()}


def bytes_by_leaf(description):
    return {leaf.name: leaf.state_bytes for leaf in description.leaves}


@pytest.mark.parametrize(
    ("tx", "each"),
    [
        (optimizers.sgd(0.1), 0),
        (optimizers.momentum(0.1), 4),
        (optimizers.adam(0.1), 8),
        (optimizers.adam(0.1, state_dtype="bfloat16"), 4),
        (optax.adam(0.1), 8),
    ],
    ids=["sgd", "momentum", "adam", "adam in bfloat16", "optax.adam"],
)
def test_state_follows_each_leaf(tx, each):
    found = describe(tx, PARAMS)
    assert bytes_by_leaf(found) == {"bias": 4 * each, "kernel": 32 * each, "scale": each}
    assert found.params == 37
    # The whole is what an init really allocates: here the counts and the rate besides.
    state = tx.init(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), PARAMS))
    assert found.state_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert 0 <= found.shared_bytes <= 16


def test_a_single_array_is_a_tree_of_one_leaf():
    found = describe(optimizers.adam(0.1), jnp.zeros((3, 4)))
    assert bytes_by_leaf(found) == {"": 96}
    assert found.shared_bytes == 12


def test_trees_of_lists_and_tuples_are_no_chains():
    found = describe(optimizers.adam(0.1), (jnp.zeros(2), [jnp.zeros(()), jnp.zeros((1, 3))]))
    assert bytes_by_leaf(found) == {"0": 16, "1/0": 8, "1/1": 24}


def test_a_factored_state_is_that_of_its_leaf():
    found = describe(optimizers.adafactor(0.1), {"kernel": jnp.zeros((256, 512)), "bias": jnp.zeros(512)})
    # What a leaf has no use for is kept as a single number.
    assert bytes_by_leaf(found) == {"bias": 4 * (512 + 2), "kernel": 4 * (256 + 512 + 1)}


def test_blocks_of_low_bit_state_are_those_of_their_leaf():
    found = describe(optimizers.adam(0.1, state_dtype="int8"), {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)})
    # A byte for each value, and one for the scale of each 32.
    assert bytes_by_leaf(found) == {"bias": 2 * (64 + 2), "kernel": 2 * (64 * 64 + 64 * 2)}
    assert found.shared_bytes == 12


class Factors(NamedTuple):
    """Of a matrix two: one for its rows, one for its columns."""

    left: Any
    right: Any


@pytest.mark.parametrize("block_size", [None, 4, 3])
def test_stacks_of_matrices_are_shared_out(block_size):
    def slots(shape):
        left, right = (storage.Slot(jnp.zeros((n, n)), axes=None) for n in shape.shape)
        return Factors(left, right)

    shapes = {"a/kernel": (4, 6), "b/kernel": (4, 6), "blocks/kernel": (3, 4, 4), "small": (2, 2)}
    params = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    tx = matrixwise(lambda m, s: (m.g, s), slots=slots, rules=[("blocks", "brc")], block_size=block_size)
    found = describe(tx, params)
    blocks = {None: [(4, 6)], 4: [(4, 4), (4, 2)], 3: [(3, 3), (3, 3), (1, 3), (1, 3)]}[block_size]
    square = [(4, 4)] if block_size != 3 else [(3, 3), (3, 1), (1, 3), (1, 1)]
    each = {"a/kernel": (1, blocks), "b/kernel": (1, blocks), "blocks/kernel": (3, square), "small": (1, [(2, 2)])}
    wanted = {name: 4 * n * sum(r * r + c * c for r, c in sizes) for name, (n, sizes) in each.items()}
    assert bytes_by_leaf(found) == wanted
    assert found.shared_bytes == 4


def test_stacks_of_several_formats_are_shared_out():
    tx = optimizers.muon(0.1, state_dtype=(("a/", "float32"), ("embed", "bfloat16"), ("", "int8")))
    params = {"a/kernel": jnp.zeros((8, 32)), "b/kernel": jnp.zeros((8, 32)), "embed": jnp.zeros((4, 8))}
    assert bytes_by_leaf(describe(tx, params)) == {"a/kernel": 4 * 256, "b/kernel": 256 + 8, "embed": 2 * 2 * 32}


def test_state_of_the_whole_tree_belongs_to_no_leaf():
    found = describe(optimizers.lbfgs(0.1, memory_size=3, line_search="none"), PARAMS)
    assert sum(bytes_by_leaf(found).values()) + found.shared_bytes == found.state_bytes >= 2 * 3 * 37 * 4


def test_nothing_is_allocated():
    huge = {"kernel": jax.ShapeDtypeStruct((1 << 20, 1 << 20), jnp.bfloat16)}
    found = describe(optimizers.adamw(0.1), huge)
    assert found.state_bytes == 2**43 + found.shared_bytes


def test_parameters_of_a_model_have_the_names_that_rules_see():
    params = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param)
    assert bytes_by_leaf(describe(optimizers.adam(0.1), params)) == {"bias": 24, "kernel": 48}


def test_arithmetic_and_traffic_are_those_of_the_formula():
    def each(tx):
        cost = describe(tx, jnp.zeros((64, 64))).as_dict()["cost"]
        return {name: value / 64**2 for name, value in cost.items()}

    gradient_descent, adam = each(optimizers.sgd(0.1)), each(optimizers.adam(0.1))
    assert round(gradient_descent["flops"]) == 1
    assert round(gradient_descent["least_bytes"]) == 8
    # Two averages of three operations each, a square, two corrections, a root, a sum, a quotient, the rate.
    assert 9 <= adam["flops"] <= 16
    # Reads gradient and moments, writes update and moments.
    assert round(adam["least_bytes"]) == 24
    assert adam["bytes_accessed"] >= 24
    assert adam["temp_bytes"] <= 8.1


def test_what_a_step_calls_is_counted_and_stands_in():
    found = describe(optimizers.newton(0.1), PARAMS)
    assert set(found.calls) == {"value_fn", "hvp_fn"}
    assert set(found.stand_ins) == set(found.calls)
    assert "hvp_fn, here by a stand-in: the model's own cost comes on top" in str(found)
    residuals = describe(optimizers.gauss_newton(0.1), PARAMS)
    assert "residual_fn" in residuals.stand_ins
    assert dict(describe(modifiers.sam(optax.sgd(0.1)), PARAMS).calls) == {"grad_fn": 1}


def test_a_function_of_the_caller_is_compiled_in():
    calls = []

    def hvp_fn(params, vector):
        calls.append(params)
        return jax.tree.map(lambda v: 2 * v, vector)

    found = describe(optimizers.newton(0.1), PARAMS, hvp_fn=hvp_fn)
    assert found.calls["hvp_fn"] == len(calls) > 0
    assert found.stand_ins == ("value_fn",)
    assert "hvp_fn\n" in f"{found}\n"


def test_numbers_of_the_caller_are_arguments():
    seen = []

    def update(grads, state, params=None, *, value, key, step, temperature, **extra):
        seen.append((temperature.shape, value.dtype))
        return jax.tree.map(lambda g: g * temperature, grads), state

    tx = optax.GradientTransformationExtraArgs(lambda params: (), update)
    describe(tx, PARAMS, temperature=jnp.ones(()))
    assert seen == [((), jnp.float32)]


def test_routes_are_those_of_the_partition_and_of_those_within():
    inner = partition(
        {"fast": optimizers.momentum(1.0), "slow": optimizers.adam(0.1)}, [("kernel", "slow"), ("", "fast")]
    )
    tx = partition({"all but scales": inner, "frozen": None}, [("scale", "frozen"), ("", "all but scales")])
    found = describe(tx, PARAMS)
    assert found.routes == {"bias": "all but scales/fast", "kernel": "all but scales/slow", "scale": "frozen"}
    assert bytes_by_leaf(found) == {"bias": 16, "kernel": 256, "scale": 0}


def test_leaves_alike_share_a_row():
    blocks = {f"block_{i}": {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)} for i in range(50)}
    lines = str(describe(optax.sgd(0.1, momentum=0.9), blocks)).splitlines()
    assert lines[1].split() == ["all", "50", "float32[8]", "400", "1,600", "4.00", "block_*/bias"]
    assert lines[2].split() == ["all", "50", "float32[8,8]", "3,200", "12,800", "4.00", "block_*/kernel"]
    assert lines[3].split() == ["all", "100", "3,600", "14,400", "4.00"]
    assert len(lines) < 12
    assert all(len(line) <= 120 for line in lines)


def test_names_without_a_pattern_are_counted():
    text = str(describe(optax.sgd(0.1), {"a": jnp.zeros(2), "b": jnp.zeros(2), "c": jnp.zeros(2)}))
    assert "a and 2 more" in text


def test_data_are_json():
    found = describe(optimizers.adam(0.1), PARAMS)
    data = json.loads(json.dumps(found.as_dict()))
    assert data["leaves"][1] == {
        "name": "kernel",
        "shape": [4, 8],
        "dtype": "float32",
        "route": "all",
        "params": 32,
        "state_bytes": 256,
    }
    assert data["cost"]["flops"] == found.cost.flops
    assert data["params"] == 37


def test_an_empty_tree_costs_nothing():
    found = describe(optimizers.adam(0.1), {})
    assert (found.leaves, found.params) == ((), 0)
    assert str(found)


def test_four_bits_are_half_a_byte():
    assert cost.bytes_of(jax.ShapeDtypeStruct((7,), jnp.int4)) == 4
    assert cost.bytes_of([np.zeros(3, np.uint8), jax.eval_shape(lambda: jax.random.key(0))]) == 3 + 8


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="tx = 'adam': accepted is an optax transform"):
        describe("adam", PARAMS)
    with pytest.raises(TypeError, match="params hold 3: accepted are arrays"):
        describe(optimizers.adam(0.1), {"a": 3})
    with pytest.raises(ValueError, match="at most 4096"):
        describe(optimizers.newton(0.1), jnp.zeros((65, 64)))


COSTS = {"gradient_descent": (0, 1, 8), "momentum": (4, 3, 16), "lion": (4, 10, 20), "adamw": (8, 14, 28)}


@pytest.mark.parametrize("name", COSTS)
def test_cards_say_what_was_measured(name):
    card = optimizers.get(name).cost
    state, flops, least = COSTS[name]
    assert (card.state_bytes, dict(card.calls)) == (state, {})
    assert card.least_bytes == pytest.approx(least, abs=1e-3)
    # What the compiler makes of a formula may change a little.
    assert flops == pytest.approx(card.flops, rel=0.3)
    assert optimizers.get(name).cost is card


def test_cards_of_dense_methods_are_measured_on_a_small_matrix():
    card = optimizers.get("newton").cost
    assert card.calls["hvp_fn"] >= 1
    assert card.flops is not None
    assert card.flops > 64 * 64


def test_the_step_of_a_task_is_counted_by_the_same():
    build = optimizers.Recipe("adam").build
    found = step_cost("digits_mlp", build, {"learning_rate": 1e-3}, batch_size=8)
    task_params = found.params
    alone = describe(optimizers.adam(1e-3), jax.ShapeDtypeStruct((task_params,), jnp.float32))
    assert found.state_bytes == alone.state_bytes
