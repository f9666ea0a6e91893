"""A transform is a pure function: however it is run, it says the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from laws import subjects
from laws.subjects import DISTINCT, assert_near, stand_trial

from jaxlab import modifiers
from jaxlab.core import hyper
from jaxlab.schedules.learning_rate import LearningRateState

every = stand_trial(DISTINCT)

# RAdam's first five steps are plain momentum; of two measurements, four steps apart, the second is after eight.
GRADIENTS = [subjects.gradients(seed) for seed in range(8)]


@every
def test_jit_equals_eager(subject):
    tx, params = subject.transform(), subjects.parameters()
    state = tx.init(params)
    compiled, compiled_state = subjects.run(subject, GRADIENTS[:2])
    for grads, wanted in zip(GRADIENTS, compiled, strict=False):
        updates, state = tx.update(grads, state, params)
        assert_near(updates, wanted, subject.low_bit, subject.amplified)
    assert_near(state, compiled_state, subject.low_bit, subject.amplified)


@every
def test_scan_equals_loop(subject):
    tx = subject.transform()

    @jax.jit
    def scan(state, stacked, params):
        def step(state, grads):
            updates, state = tx.update(grads, state, params)
            return state, updates

        return jax.lax.scan(step, state, stacked)

    def stack(trees):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    params = subjects.parameters()
    state, updates = scan(tx.init(params), stack(GRADIENTS), params)
    wanted, wanted_state = subjects.run(subject, GRADIENTS)
    assert_near(updates, stack(wanted), subject.low_bit, subject.amplified)
    assert_near(state, wanted_state, subject.low_bit, subject.amplified)


def _members(subject) -> list[dict]:
    """Three recipes: smaller numbers stay inside every range that a hyperparameter has."""
    return [{name: value * factor for name, value in subject.hyperparams.items()} for factor in (1.0, 0.9, 0.7)]


@every
def test_vmap_over_hyperparameters_equals_loop(subject):
    members = jax.tree.map(lambda *values: jnp.stack(values), *map(hyper.canonical, _members(subject)))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None))
    def two_steps(hyperparams, grads, params):
        tx = subject.build(hyperparams)
        first, state = tx.update(grads[0], tx.init(params), params)
        second, state = tx.update(grads[1], state, params)
        return [first, second]

    batched = two_steps(members, GRADIENTS[:2], subjects.parameters())
    for i, numbers in enumerate(_members(subject)):
        alone = subjects.run(subject, GRADIENTS[:2], numbers)[0]
        assert_near(jax.tree.map(lambda leaf, i=i: leaf[i], batched), alone, subject.low_bit, subject.amplified)


@every
def test_one_compilation_for_all_hyperparameters(subject):
    for name, value in subject.hyperparams.items():
        for other in (value, np.float64(value / 2), np.float32(value / 3), jnp.asarray(value / 4)):
            subjects.run(subject, GRADIENTS[:1], {**subject.hyperparams, name: other})
    assert len(subjects.program(subject).traces) == 1


@every
def test_every_hyperparameter_counts(subject):
    """Not one of them is a constant of the compiled program: each shows in the updates, or in what is to be evaluated
    or read in place of them."""

    def shown(hyperparams=None):
        updates, state = subjects.run(subject, GRADIENTS, hyperparams)
        return (
            updates,
            modifiers.evaluation_params(state, subjects.parameters()),
            modifiers.tracked_noise_scale(state),
        )

    ordinary = shown()
    for name, value in subject.hyperparams.items():
        # An eps is far below the gradients, a least scale below the parameters: it takes more than a factor to show.
        changed = value / 2 if value > 1e-3 else 10.0
        other = shown({**subject.hyperparams, name: changed})
        same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), ordinary, other)
        assert not all(jax.tree.leaves(same)), name


@every
def test_init_needs_shapes_only(subject):
    params = subjects.parameters()

    def init(hyperparams, params):
        return subject.build(hyperparams).init(params)

    state = subject.transform().init(params)
    shapes = jax.eval_shape(init, hyper.canonical(subject.hyperparams), params)
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    for shape, leaf in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True):
        assert (shape.shape, shape.dtype, shape.weak_type) == (leaf.shape, leaf.dtype, leaf.weak_type)


@every
def test_donation_straight_from_an_eager_init(subject):
    """State and parameters of a fresh init share no buffer, and all of both is used again."""
    tx = optax.chain(optax.ema(0.5, accumulator_dtype=jnp.float32), subject.transform())
    params = subjects.parameters()
    state = tx.init(params)
    assert len({leaf.unsafe_buffer_pointer() for leaf in _arrays((state, params))}) == len(_arrays((state, params)))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(state, params, grads):
        updates, state = tx.update(grads, state, params)
        return state, optax.apply_updates(params, updates)

    start = (state, params)
    for grads in GRADIENTS[:2]:
        state, params = step(state, params, grads)
    # A rate that the last step used is only written: the one kind of input that no program reads.
    homes = jax.tree.leaves(start[0], is_leaf=_is_home)
    rates = [id(home.learning_rate) for home in homes if _is_home(home)]
    assert all(leaf.is_deleted() for leaf in _arrays(start) if id(leaf) not in rates)


def _is_home(part) -> bool:
    return isinstance(part, LearningRateState)


def _arrays(tree) -> list[jax.Array]:
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.size]


@every
def test_round_trip_through_bytes(subject):
    """What a checkpoint does: the leaves alone, put back into the structure of a fresh state, go on to the bit."""
    numbers, params = hyper.canonical(subject.hyperparams), subjects.parameters()
    step = subjects.program(subject).step
    _, state = subjects.run(subject, GRADIENTS[:3])
    stored = [(leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(state)]
    leaves = [jnp.asarray(np.frombuffer(raw, dtype).reshape(shape)) for dtype, shape, raw in stored]
    restored = jax.tree.unflatten(jax.tree.structure(subject.transform().init(params)), leaves)
    for grads in GRADIENTS[3:]:
        wanted, state = step(numbers, grads, state, params)
        updates, restored = step(numbers, grads, restored, params)
        jax.tree.map(np.testing.assert_array_equal, (updates, restored), (wanted, state))
    assert len(subjects.program(subject).traces) == 1
