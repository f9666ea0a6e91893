"""Pruning: the paper's schedule and masks, exact zeros whatever the parameters are kept in, what it leaves alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from modifiers.trajectory import RATE, Inner, distance
from references import optimizers as inner

from jaxlab import modifiers, optimizers
from jaxlab.precision import Policy
from jaxlab.train import init_state, make_train_step

NEAR, FAR = 2e-6, 1e-3
SCHEDULE = {"begin": 2.0, "every": 2.0, "increases": 2.0}


class Transcription:
    """Equation 1 of the paper and its masks in float64, around the transcription of an optimizer."""

    def __init__(self, step, final, initial, begin, every, increases, power=3, mistake=None):
        self.run, self.mistake = Inner(step, learning_rate=RATE), mistake
        self.final, self.initial, self.begin, self.every, self.n = final, initial, begin, every, increases
        self.power, self.masks = power, {}

    def __call__(self, grads, params, t):
        return {name: self.one(name, g, params[name], t) for name, g in grads.items()}

    def one(self, name, g, p, t):
        if name == "bias":
            return self.run(name, g, p, t)
        mask = self.masks.get(name, np.ones(p.shape, bool))
        u = self.run(name, g * mask, p, t)
        if t in [self.begin + i * self.every for i in range(int(self.n) + 1)]:
            size = np.abs(p if self.mistake == "before the step" else p + u).ravel()
            size[~mask.ravel()] = -1
            left = 1 - (t - self.begin) / (self.n * self.every)
            shape = left ** (1 if self.mistake == "linear" else self.power)
            count = round((self.final + (self.initial - self.final) * shape) * size.size)
            mask = np.ones(size.size, bool)
            mask[np.argsort(size, kind="stable")[:count]] = False
            self.masks[name] = mask = mask.reshape(p.shape)
        return np.where(mask, u, -p)


def _against(step, tx, mistake=None, power=3):
    own = modifiers.prune(tx, 0.7, initial_sparsity=0.2, power=power, **SCHEDULE)
    return distance(own, Transcription(step, 0.7, 0.2, **SCHEDULE, power=power, mistake=mistake))


def test_steps_are_the_papers():
    assert _against(inner.adam, optimizers.adam(RATE)) < NEAR
    assert _against(inner.adam, optimizers.adam(RATE), power=0.5) < NEAR


@pytest.mark.parametrize("mistake", ["linear", "before the step"])
def test_a_mistake_is_seen(mistake):
    assert _against(inner.adam, optimizers.adam(RATE), mistake) > FAR


def _loss(params, batch, key):
    return jnp.mean((batch["x"] @ params["w"] @ params["v"] + params["b"] - batch["y"]) ** 2), {}


def _problem():
    rng = np.random.default_rng(0)
    params = {"b": jnp.zeros(3), "v": jnp.asarray(rng.standard_normal((7, 3)), jnp.float32)}
    params["w"] = jnp.asarray(rng.standard_normal((4, 7)), jnp.float32)
    return params, {"x": jnp.asarray(rng.standard_normal((8, 4)), jnp.float32), "y": jnp.ones((8, 3))}


STEPS = 9
DUE = (2, 4, 6)


def _wanted(sparsity, count):
    """Zeros of a matrix of so many weights after each step, by the formula."""
    schedule = [round((sparsity + (0.1 - sparsity) * (1 - (t - 2) / 4) ** 3) * count) for t in DUE]
    return [0 if t < 2 else schedule[min((t - 2) // 2, 2)] for t in range(1, STEPS + 1)]


def _build(hyperparams):
    tx = optimizers.adamw(0.05, weight_decay=0.1)
    return modifiers.prune(tx, hyperparams["sparsity"], initial_sparsity=0.1, **SCHEDULE)


@pytest.mark.parametrize(
    ("policy", "rounding"),
    [
        (None, "nearest"),
        (Policy(param="bfloat16", compute="bfloat16"), "nearest"),
        (Policy(param="bfloat16", compute="bfloat16"), "stochastic"),
        (Policy(param="bfloat16", compute="bfloat16"), "kahan"),
    ],
    ids=["float32", "bfloat16", "stochastic", "kahan"],
)
def test_zeros_are_exact_and_as_many_as_the_schedule_says(policy, rounding):
    params, batch = _problem()
    step = make_train_step(_loss, _build, policy=policy, rounding=rounding)
    for sparsity in (0.5, 0.9):
        numbers = {"sparsity": sparsity}
        state = init_state(params, _build, numbers, key=jax.random.key(0), policy=policy, rounding=rounding)
        found = {"v": [], "w": []}
        masks = []
        for _ in range(STEPS):
            state, _ = step(state, batch)
            for name, counts in found.items():
                counts.append(int(np.sum(np.asarray(state.params[name], np.float32) == 0)))
            masks.append(jax.device_get(state.opt_state.masks))
        for name, counts in found.items():
            wanted = _wanted(sparsity, params[name].size)
            if rounding == "kahan":
                # What a parameter had lost comes back once: it is zero a step after it was pruned.
                assert counts[-1] == wanted[-1]
                continue
            assert counts == wanted, (name, sparsity)
            # A mask only grows, and not after the last update.
            for before, after in itertools.pairwise(masks):
                assert not np.any(after[name] & ~before[name])
            np.testing.assert_array_equal(masks[5][name], masks[-1][name])
        assert not np.any(np.asarray(state.params["b"]) == 0)


def test_one_program_serves_every_sparsity_and_schedule():
    params, batch = _problem()

    def build(h):
        return modifiers.prune(optimizers.sgd(0.05), **h)

    numbers = {"sparsity": 0.5, "begin": 1.0, "every": 1.0, "increases": 0.0, "initial_sparsity": 0.0}
    step = make_train_step(_loss, build)
    for change in ({}, {"sparsity": 0.75}, {"begin": 2.0}, {"increases": 1.0, "every": 2.0}):
        state = init_state(params, build, numbers | change, key=jax.random.key(0))
        for _ in range(3):
            state, _ = step(state, batch)
        assert np.sum(np.asarray(state.params["v"]) == 0) == round((numbers | change)["sparsity"] * 21)
    assert step._cache_size() == 1


def test_the_first_cut_is_the_closed_form():
    """As PyTorch's l1_unstructured: the round(amount x size) smallest magnitudes."""
    p = np.random.default_rng(1).standard_normal((8, 9)).astype(np.float32)
    tx = modifiers.prune(optax.sgd(0.0), 0.6, begin=1, every=1, increases=0)
    updates, _ = tx.update(jnp.zeros((8, 9)), tx.init(p), p)
    bound = np.sort(np.abs(p).ravel())[round(0.6 * 72) - 1]
    np.testing.assert_array_equal(p + updates, np.where(np.abs(p) > bound, p, 0))


def test_equal_magnitudes_are_pruned_in_order():
    p = jnp.ones((2, 5))
    tx = modifiers.prune(optax.sgd(0.0), 0.3, begin=1, every=1, increases=0)
    updates, _ = tx.update(jnp.zeros((2, 5)), tx.init(p), p)
    assert (p + updates).tolist() == [[0, 0, 0, 1, 1], [1] * 5]


def test_each_layer_of_a_stack_is_a_matrix_of_its_own():
    layers = np.random.default_rng(2).standard_normal((3, 4, 5)) * np.array([0.1, 1, 10]).reshape(3, 1, 1)
    stack = {"blocks": {"kernel": jnp.asarray(layers, jnp.float32)}}
    alone = {str(i): jnp.asarray(layer, jnp.float32) for i, layer in enumerate(layers)}

    def after(params, **options):
        tx = modifiers.prune(optax.sgd(0.0), 0.5, begin=1, every=1, increases=0, **options)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        return optax.apply_updates(params, updates)

    stacked = after(stack, layouts=[("^blocks/", "brc")])["blocks"]["kernel"]
    for layer, own in zip(stacked, after(alone).values(), strict=True):
        np.testing.assert_array_equal(layer, own)
    # Together the small layer has no weights left, the large one all.
    whole = after(alone, scope="global")
    assert [int(np.sum(np.asarray(x) == 0)) for x in whole.values()] == [20, 10, 0]


def test_what_is_pruned_and_what_is_not():
    params = {"embed": {"embedding": (4, 3)}, "body": {"kernel": (3, 4), "bias": (4,)}, "head": {"kernel": (4, 2)}}
    params = jax.tree.map(jnp.ones, params, is_leaf=lambda x: isinstance(x, tuple))

    def masked(tx, **options):
        return sorted(modifiers.prune(tx, 0.5, 1, 1, 0, **options).init(params).masks)

    assert masked(optax.sgd(0.1)) == ["body/kernel"]
    assert masked(optax.sgd(0.1), layouts=[("body", "others"), ("head", "rc")]) == ["head/kernel"]
    part = modifiers.groups({"own": optax.sgd(0.1), "frozen": None}, [("body", "frozen"), ("", "own")])
    assert masked(part, layouts=[("kernel", "rc")]) == ["head/kernel"]


def test_the_gradient_of_a_pruned_weight_is_zero_for_the_optimizer_inside():
    p = jnp.array([[1.0, 3.0], [2.0, 4.0]])
    tx = modifiers.prune(optax.chain(optax.trace(0.0), optax.scale(-0.1)), 0.5, begin=1, every=1, increases=0)
    updates, state = tx.update(jnp.ones((2, 2)), tx.init(p), p)
    _, state = tx.update(jnp.full((2, 2), 7.0).at[0, 0].set(jnp.nan), state, p + updates)
    assert state.inner[0].trace.tolist() == [[0, 7], [0, 7]]


def test_what_is_pruned_stays_so_whatever_momentum_it_had():
    p = jnp.array([[1.0, 0.3], [0.35, 0.4]])
    inner = optax.chain(optax.trace(0.9), optax.scale(-1.0))
    tx = modifiers.prune(inner, 0.5, begin=1, every=1, increases=1, initial_sparsity=0.25)
    # The first weight falls to 0.1, is pruned, and its momentum would make it the largest of all.
    updates, state = tx.update(jnp.zeros((2, 2)).at[0, 0].set(0.9), tx.init(p), p)
    assert (p + updates)[0, 0] == 0
    _, state = tx.update(jnp.zeros((2, 2)), state, p + updates)
    assert state.inner[0].trace[0, 0] > 0.8
    assert state.masks[""].tolist() == [[False, False], [True, True]]


def test_a_mask_update_that_was_left_out_is_made_up_for():
    params, batch = _problem()

    def build(h):
        return modifiers.prune(optimizers.sgd(0.05), h, begin=2, every=2, increases=0)

    state = init_state(params, build, 0.5, key=jax.random.key(0))
    step = make_train_step(_loss, build)
    zeros = []
    for t in range(1, 5):
        bad = {"x": batch["x"] * jnp.nan, "y": batch["y"]}
        state, _ = step(state, bad if t == 2 else batch)
        zeros.append(int(np.sum(np.asarray(state.params["w"]) == 0)))
    assert zeros == [0, 0, 0, 14]


def test_in_a_population_the_choice_stays_a_conditional():
    """The clock is one for all members: what is not due is not computed."""
    params, _ = _problem()
    tx = modifiers.prune(optax.sgd(0.1), 0.5, begin=2, every=2, increases=0)
    many = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)
    states = jax.vmap(tx.init)(many)
    update = jax.vmap(lambda g, state, p, step: tx.update(g, state, p, step=step), in_axes=(0, 0, 0, None))
    assert " cond[" in str(jax.make_jaxpr(update)(many, states, many, jnp.int32(1)))
    _, after = jax.jit(update)(many, states, many, jnp.int32(1))
    assert after.masks["w"].sum(axis=(1, 2)).tolist() == [14, 14]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": 1.5}, r"sparsity = 1.5: accepted is a number in \[0, 1\]"),
        ({"initial_sparsity": 0.7}, "initial_sparsity = 0.7.*: accepted is at most the sparsity, 0.5"),
        ({"begin": -1}, "begin = -1"),
        ({"every": 0.5}, "every = 0.5"),
        ({"increases": -1}, "increases = -1"),
        ({"power": 0.0}, "power = 0.0"),
        ({"scope": "layer"}, "scope = 'layer': unknown"),
        ({"layouts": [("w", "rx")]}, "layout 'rx'"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        modifiers.prune(optax.sgd(0.1), **{"sparsity": 0.5, "begin": 1, "every": 1, "increases": 0} | change)


def test_other_parameters_are_refused():
    tx = modifiers.prune(optax.sgd(0.1), 0.5, 1, 1, 0)
    state = tx.init({"w": jnp.ones((2, 3))})
    other = {"w": jnp.ones((3, 2))}
    with pytest.raises(ValueError, match=r"mask of shape \(2, 3\) for leaf 'w', the parameters have \(3, 2\)"):
        tx.update(other, state, other)
    with pytest.raises(ValueError, match="no such leaf"):
        modifiers.pruned(state, {"v": jnp.ones((2, 3))})
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(other, state)
    # Without a state of pruning nothing is pruned.
    assert modifiers.pruned(optax.sgd(0.1).init(other), other)["w"].tolist() == other["w"].tolist()
