"""A leaf that waits its turn is, at its turn, in the hands of an optimizer that has just begun."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxlab import modifiers, optimizers, schedules
from jaxlab.core import tree

DEPTHS = (("embed", 0), (r"block_(\d)", 1), ("", None))
STARTS = {"embed": 6, "block_0": 4, "block_1": 2, "head": 0}
EVERY, STEPS = 2, 8


def _params():
    rng = np.random.default_rng(0)
    shapes = {"embed": (5, 3), "block_0": (3, 4), "block_1": (4, 3), "head": (3, 2)}
    return {
        name: {"kernel": jnp.asarray(rng.standard_normal(s), jnp.float32), "bias": jnp.ones(s[1])}
        for name, s in shapes.items()
    }


def _gradients(step):
    rng = np.random.default_rng(step + 1)
    return jax.tree.map(lambda p: jnp.asarray(rng.standard_normal(p.shape), jnp.float32), _params())


def _run(tx, steps=STEPS, **extra):
    """The updates and parameters of each step, and the last state."""
    params = _params()
    state, update, seen = tx.init(params), jax.jit(tx.update), []
    for step in range(steps):
        updates, state = update(_gradients(step), state, params, **extra)
        seen.append((updates, params))
        params = optax.apply_updates(params, updates)
    return seen, state


OPTIMIZERS = {
    "adam": lambda: optimizers.adam(0.1),
    "adamw": lambda: optimizers.adamw(0.1, weight_decay=0.3),
    "muon": lambda: optimizers.muon(0.1, layouts=[("kernel", "rc")]),
    "optax": lambda: optax.adamw(0.1, weight_decay=0.3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_depth_is_trained_as_by_an_optimizer_that_begins_at_its_turn(name):
    """Moments and their debiasing: the same steps as those of a fresh one that sees this group alone."""
    make = OPTIMIZERS[name]
    seen, _ = _run(modifiers.gradual_unfreezing(make(), DEPTHS, EVERY))
    for group in ("block_0", "embed"):
        tx, start, state = make(), STARTS[group], None
        for step, (updates, params) in enumerate(seen):
            if step < start:
                assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates[group])), (group, step)
                continue
            # Under its own name, by which Muon tells what is a head.
            own = {group: params[group]}
            state = tx.init(own) if step == start else state
            wanted, state = tx.update({group: _gradients(step)[group]}, state, own)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), updates[group], wanted[group]
            )


def test_the_state_of_who_waits_is_that_before_the_first_step():
    tx = modifiers.gradual_unfreezing(optimizers.adam(0.1), DEPTHS, EVERY)
    before = tx.init(_params())
    _, after = _run(tx, 3)
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), before.inner.inner, after.inner.inner)
    moved = {turn: any(jax.tree.leaves(own[0])) for turn, own in changed.items()}
    assert moved == {"0": True, "1": True, "2": False, "3": False}
    assert {turn: int(own[0].count) for turn, own in after.inner.inner.items()} == {"0": 3, "1": 1, "2": 0, "3": 0}


@pytest.mark.parametrize("make", [optimizers.sgd, optax.sgd], ids=["jaxlab", "optax"])
def test_a_schedule_goes_on_for_who_waits(make):
    seen, _ = _run(modifiers.gradual_unfreezing(make(lambda step: 0.1 * (step + 1)), DEPTHS, EVERY))
    for group, start in STARTS.items():
        for step, (updates, _) in enumerate(seen):
            rate = 0.1 * (step + 1) if step >= start else 0.0
            wanted = jax.tree.map(lambda g, rate=rate: -rate * g, _gradients(step)[group])
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates[group], wanted)


def test_a_loss_driven_rate_goes_on_for_who_waits():
    rate = schedules.reduce_on_plateau(0.1, factor=0.5, patience=0.0, every=1.0)
    seen, _ = _run(modifiers.gradual_unfreezing(optimizers.sgd(rate), DEPTHS, EVERY), 5, value=jnp.ones(()))
    updates, _ = seen[-1]
    rates = [float(-(updates[g]["bias"] / _gradients(4)[g]["bias"])[0]) for g in ("head", "block_1", "block_0")]
    assert rates[0] < 0.05
    np.testing.assert_allclose(rates, rates[0], rtol=1e-6)


def test_who_waits_is_in_no_norm_and_blocks_nothing():
    inner = modifiers.gradual_unfreezing(optimizers.sgd(1.0), DEPTHS, EVERY)
    params, grads = _params(), _gradients(0)
    wild = grads | {"embed": jax.tree.map(lambda g: 1e6 * g, grads["embed"])}
    clip = modifiers.clip_by_global_norm(inner, 0.5)
    updates, _ = clip.update(wild, clip.init(params), params)
    assert float(tree.global_norm(updates)) == pytest.approx(0.5, rel=1e-5)
    assert not np.any(updates["embed"]["kernel"])

    broken = grads | {"embed": jax.tree.map(lambda g: jnp.nan * g, grads["embed"])}
    skip = modifiers.skip_nonfinite(inner)
    updates, state = skip.update(broken, skip.init(params), params)
    assert int(state.skipped) == 0
    np.testing.assert_array_equal(updates["head"]["kernel"], -grads["head"]["kernel"])


def test_a_decay_outside_spares_who_waits():
    tx = modifiers.cautious_decay(modifiers.gradual_unfreezing(optimizers.momentum(0.1), DEPTHS, EVERY), 1.0)
    for step, (updates, _) in enumerate(_run(tx)[0]):
        moves = {group: any(map(np.any, jax.tree.leaves(updates[group]))) for group in STARTS}
        assert moves == {group: step >= start for group, start in STARTS.items()}


def test_the_turns_are_one_traced_number():
    """Members of a population that unfreeze at different steps, in one program."""

    def moved(every):
        tx = modifiers.gradual_unfreezing(optimizers.sgd(0.1), DEPTHS, every)
        params = _params()

        def step(state, _):
            updates, state = tx.update(params, state, params)
            return state, {group: jnp.any(updates[group]["kernel"] != 0) for group in STARTS}

        return jax.lax.scan(step, tx.init(params), length=STEPS)[1]

    seen = jax.jit(jax.vmap(moved))(jnp.array([0.0, 1.0, 2.5]))
    firsts = {group: [int(np.argmax(row)) for row in flags] for group, flags in seen.items()}
    assert firsts == {"head": [0, 0, 0], "block_1": [0, 1, 3], "block_0": [0, 2, 5], "embed": [0, 3, 0]}
    assert not np.any(seen["embed"][2])


@pytest.mark.parametrize(
    ("depths", "every", "error", "message"),
    [
        (DEPTHS, -1.0, ValueError, r"every = -1\.0: accepted is a number in \[0, inf\)"),
        ("embed", 2, TypeError, "depths = 'embed': accepted are"),
        ([("embed", -1)], 2, ValueError, "depths.'embed'. = -1"),
        ([("embed", 0)], 2, ValueError, "no rule matches 'block_0/bias'"),
    ],
)
def test_bad_arguments_are_refused(depths, every, error, message):
    with pytest.raises(error, match=message):
        modifiers.gradual_unfreezing(optimizers.sgd(0.1), depths, every).init(_params())
