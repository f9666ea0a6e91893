"""A whole run is a scan of steps: cut anywhere, saved anywhere, it ends with the same bits."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxlab
from jaxlab.train import Checkpoints, fit, init_state, make_run, make_train_step
from jaxlab.train import data as examples_of

BUILD = jaxlab.optimizers.Recipe("adam", "cosine", {"state_dtype": "bfloat16"}).build
NUMBERS = {"learning_rate": 0.05, "total_steps": 12}
DATA = {"x": jax.random.normal(jax.random.key(5), (10, 3)), "y": jnp.arange(10.0)}


def loss_fn(params, batch, key):
    keep = jax.random.bernoulli(key, 0.5, batch["x"].shape)
    return jnp.mean((jnp.sum(keep * batch["x"] * params["w"], axis=-1) - batch["y"]) ** 2), {}


def fresh():
    return init_state({"w": jnp.ones(3)}, BUILD, NUMBERS, key=jax.random.key(7), ema_decay=0.9)


def bits(state):
    return jax.device_get(jax.tree.leaves(state._replace(key=jax.random.key_data(state.key))))


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, bits(one), bits(other))


@pytest.fixture(scope="module")
def stretch():
    return make_run(loss_fn, BUILD, batch_size=4, steps=3, total_steps=12)


@pytest.fixture(scope="module")
def uninterrupted(stretch):
    state, states = fresh(), []
    for _ in range(4):
        state, _ = stretch(state, DATA)
        states.append(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state))
    return states


def test_the_scan_is_the_loop_over_the_step(stretch):
    step = make_train_step(loss_fn, BUILD)
    looped = fresh()
    losses = []
    for number in range(3):
        chosen = examples_of.batch_indices(looped.key, number, examples=10, batch_size=4)
        looped, metrics = step(looped, examples_of.take(DATA, chosen))
        losses.append(float(metrics["loss"]))
    scanned, metrics = stretch(fresh(), DATA)
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-6)
    np.testing.assert_allclose(scanned.params["w"], looped.params["w"], rtol=1e-6)


def test_one_long_run_is_its_stretches(uninterrupted):
    whole, _ = make_run(loss_fn, BUILD, batch_size=4, steps=12)(fresh(), DATA)
    assert_same_bits(whole, uninterrupted[-1])


def test_resumed_from_any_checkpoint_it_ends_bitwise_equal(stretch, uninterrupted, tmp_path):
    with Checkpoints(tmp_path / "run", keep=4) as checkpoints:
        for state in uninterrupted:
            checkpoints.save(int(state.step), state, note={"steps": int(state.step)})
    with Checkpoints(tmp_path / "run", keep=4) as checkpoints:
        assert checkpoints.steps() == [3, 6, 9, 12]
        for saved in (3, 6, 9, None):
            state = checkpoints.restore(fresh(), saved)
            while int(state.step) < 12:
                state, _ = stretch(state, DATA)
            assert_same_bits(state, uninterrupted[-1])
        assert checkpoints.note(6) == {"steps": 6}


def test_only_the_newest_are_kept_and_an_unfit_state_is_named(uninterrupted, tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        with pytest.raises(FileNotFoundError, match="no checkpoint in"):
            checkpoints.restore(fresh())
        for state in uninterrupted:
            checkpoints.save(int(state.step), state)
        assert checkpoints.steps() == [9, 12]
        with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 3 .* there are \[9, 12\]"):
            checkpoints.restore(fresh(), 3)
        wider = init_state({"w": jnp.ones(4)}, BUILD, NUMBERS, key=jax.random.key(7), ema_decay=0.9)
        with pytest.raises(ValueError, match=r"'ema/params/w' is float32\[3\] there, float32\[4\] here"):
            checkpoints.restore(wider)
        with pytest.raises(ValueError, match=r"'ema/decay' is .* there, nothing here"):
            checkpoints.restore(fresh()._replace(ema=None))


def test_a_checkpoint_is_never_written_over_nor_ambiguous(uninterrupted, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(6, uninterrupted[1])
        with pytest.raises(ValueError, match="step = 6: accepted is a step above 6, the newest"):
            checkpoints.save(6, uninterrupted[0])
        with pytest.raises(ValueError, match="two leaves of the state are named 'a/b'"):
            checkpoints.save(7, {"a/b": jnp.ones(2), "a": {"b": jnp.zeros(2)}})
        assert_same_bits(checkpoints.restore(fresh()), uninterrupted[1])


def test_a_half_written_checkpoint_is_not_taken_for_one(uninterrupted, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, uninterrupted[0])
    (tmp_path / "6.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [3]
        assert_same_bits(checkpoints.restore(fresh()), uninterrupted[0])


def test_states_with_odd_leaves_come_back(tmp_path):
    state = {
        "empty": jnp.zeros((0, 3)),
        "keys": jax.random.split(jax.random.key(0), 2),
        "half": jnp.ones(2, jnp.bfloat16),
    }
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state)
        back = checkpoints.restore(state)
    assert back["empty"].shape == (0, 3)
    assert back["half"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(jax.random.key_data(back["keys"]), jax.random.key_data(state["keys"]))


def test_fit_is_the_scan_and_resumes(stretch, uninterrupted, tmp_path):
    step = make_train_step(loss_fn, BUILD)
    key = fresh().key

    def batch(number):
        return examples_of.take(DATA, examples_of.batch_indices(key, number, examples=10, batch_size=4))

    reported = []
    with Checkpoints(tmp_path) as checkpoints:
        fit(step, fresh(), batch, steps=5, save=checkpoints.save)
        state, records = fit(
            step,
            checkpoints.restore(fresh()),
            batch,
            steps=12,
            log_every=3,
            on_metrics=lambda number, metrics: reported.append(number),
            save=checkpoints.save,
            save_every=4,
        )
        assert checkpoints.steps() == [5, 8, 12]
    straight, _ = fit(step, fresh(), batch, steps=12)
    assert_same_bits(state, straight)
    np.testing.assert_allclose(state.params["w"], uninterrupted[-1].params["w"], rtol=1e-5)
    assert reported == [record["step"] for record in records] == [6, 9, 12]
    assert json.dumps(records)


def test_fit_ends_with_its_stream_and_saves_when_interrupted():
    step = make_train_step(loss_fn, BUILD)
    batch = examples_of.take(DATA, jnp.arange(4))
    state, records = fit(step, fresh(), iter([batch] * 5), steps=10, log_every=3)
    assert int(state.step) == 5
    assert [record["step"] for record in records] == [3, 5]

    def interrupted():
        yield from [batch] * 3
        raise KeyboardInterrupt

    saved = []
    with pytest.raises(KeyboardInterrupt):
        fit(step, fresh(), interrupted(), steps=10, save=lambda number, state: saved.append((number, int(state.step))))
    assert saved == [(3, 3)]
