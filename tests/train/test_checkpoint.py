"""Checkpoints: another policy is declared, a save goes on in the background, what is damaged is named."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from jaxlab.optimizers import Recipe
from jaxlab.precision import LossScale, Policy
from jaxlab.train import Checkpoints, fit, init_state, make_train_step

NUMBERS = {"learning_rate": 0.1}
PARAMS = {"w": jnp.linspace(-3.0, 3.0, 64).reshape(4, 16), "b": jnp.array([1 / 3, 1e-3])}


def fresh(optimizer="adam", **options):
    static = {"state_dtype": options.pop("state_dtype")} if "state_dtype" in options else {}
    return init_state(PARAMS, Recipe(optimizer, static=static).build, NUMBERS, key=jax.random.key(7), **options)


def trained(state):
    """Other bits in every floating leaf, without compiling a step."""

    def change(leaf):
        return leaf * 1.25 + 0.25 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(change, state)


def assert_same_bits(one, other):
    def plain(leaf):
        return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

    jax.tree.map(lambda a, b: np.testing.assert_array_equal(plain(a), plain(b), strict=True), one, other)


LOW, MIXED = Policy(param="bfloat16"), Policy(param="float32", compute="float16", loss_scale=LossScale(64.0))


@pytest.mark.parametrize(
    ("saved", "wanted", "first", "needed"),
    [
        ({}, {"policy": LOW}, r"'params/b' is float32\[2\] there, bfloat16\[2\] here", ("dtypes",)),
        ({"policy": MIXED}, {}, r"'loss_scale/good_steps' is int32\[\] there, nothing here", ("loss_scale",)),
        ({}, {"policy": MIXED}, r"'loss_scale/good_steps' is nothing there, int32\[\] here", ("loss_scale",)),
        ({"policy": LOW, "rounding": "kahan"}, {"policy": LOW}, "'compensation/b' is bfloat16", ("rounding",)),
        ({"policy": LOW}, {"policy": LOW, "rounding": "kahan"}, "'compensation/b' is nothing there", ("rounding",)),
        ({"ema_decay": 0.5}, {}, r"'ema/decay' is float32\[\] there, nothing here", ("ema",)),
        ({}, {"policy": LOW, "ema_decay": 0.5}, "'ema/decay' is nothing there", ("dtypes", "ema")),
        ({"state_dtype": "bfloat16"}, {}, "'opt_state/0/slots/m/b' is bfloat16", ("dtypes",)),
    ],
)
def test_another_policy_is_refused_until_it_is_declared(saved, wanted, first, needed, tmp_path):
    before, like = trained(fresh(**saved)), fresh(**wanted)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, before)
        asked = "convert=" + repr(needed).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=f"^checkpoint 3 in .* was saved under another policy: {first}.*{asked}"):
            checkpoints.restore(like)
        if len(needed) > 1:
            with pytest.raises(ValueError, match="was saved under another policy"):
                checkpoints.restore(like, convert=needed[:1])
        changes = checkpoints.differences(like)
        after = checkpoints.restore(like, convert=needed)
    assert {change.conversion for change in changes} == set(needed)
    assert jax.tree.structure(after) == jax.tree.structure(like)
    # All that is in both is what it was, rounded where its dtype is another one.
    for name in ("params", "opt_state", "hyperparams", "model_state"):
        cast = jax.tree.map(lambda a, b: np.asarray(a).astype(b.dtype), getattr(before, name), getattr(like, name))
        assert_same_bits(getattr(after, name), cast)
    if "policy" in wanted and wanted["policy"] is MIXED:
        assert float(after.loss_scale.scale) == 64
    if "ema_decay" in wanted:
        assert_same_bits(after.ema.params, jax.tree.map(lambda p: np.asarray(p, np.float32), after.params))
        assert float(after.ema.decay) == 0.5
    if wanted.get("rounding") == "kahan":
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(after.compensation))


def test_between_compensated_and_full_precision_nothing_is_lost(tmp_path):
    kahan = {"policy": LOW, "rounding": "kahan"}
    before = trained(fresh())
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, before)
        low = checkpoints.restore(fresh(**kahan), convert=["dtypes", "rounding"])
        checkpoints.save(2, low)
        full = checkpoints.restore(fresh(), convert=["dtypes", "rounding"])
    for name, own in before.params.items():
        rounded = np.asarray(own).astype(jnp.bfloat16)
        np.testing.assert_array_equal(low.params[name], rounded)
        np.testing.assert_array_equal(low.compensation[name], (own - rounded).astype(jnp.bfloat16))
        np.testing.assert_allclose(full.params[name], own, rtol=2.0**-16)
        np.testing.assert_array_equal(full.params[name], rounded.astype(np.float32) + low.compensation[name])


def test_what_no_conversion_makes_is_refused_with_a_reason(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, fresh())
        everything = ("dtypes", "loss_scale", "rounding", "ema")
        with pytest.raises(
            ValueError,
            match=r"'opt_state/0/slots' is adam.Moments there, yogi.Moments here; .* convert=\('types',\)",
        ):
            checkpoints.restore(fresh("yogi"), convert=everything)
        with pytest.raises(
            ValueError, match=r"'opt_state/0/slots/m/w' is float32\[4,16\] there, blocks.Blocks\(bits=8"
        ):
            checkpoints.restore(fresh(state_dtype="int8"), convert=everything)
        with pytest.raises(ValueError, match="accepted is the state_dtype that it was saved with"):
            checkpoints.restore(fresh(state_dtype="int8"))
        with pytest.raises(ValueError, match=r"is adam.Moments there, momentum.Velocity here; [^,]* was saved with$"):
            checkpoints.restore(fresh("momentum"))
        with pytest.raises(ValueError, match=r"convert = 'dtype': unknown, did you mean 'dtypes'\?"):
            checkpoints.restore(fresh(), convert="dtype")
        with pytest.raises(TypeError, match="step = True: accepted is a whole number"):
            checkpoints.restore(fresh(), True)
        with pytest.raises(ValueError, match=r"'loss_scale/.* has its shape alone: accepted is a number there"):
            checkpoints.restore(jax.eval_shape(lambda: fresh(policy=MIXED)), convert="loss_scale")
        huge = fresh()._replace(params={"w": jnp.full((4, 16), 7e4), "b": jnp.ones(2)})
        checkpoints.save(2, huge)
        with pytest.raises(ValueError, match="'params/w' holds what float16 does not"):
            checkpoints.restore(fresh(policy=Policy(param="float16")), convert="dtypes")
        # Declared, a class that only has another name is taken.
        renamed = checkpoints.restore(fresh("yogi"), 1, convert="types")
        assert_same_bits(renamed.opt_state[0].slots.v, fresh().opt_state[0].slots.v)
        checkpoints.save(3, fresh(state_dtype="int8"))
        with pytest.raises(ValueError, match=r"blocks.Blocks\(bits=8, .* there, blocks.Blocks\(bits=4"):
            checkpoints.restore(fresh(state_dtype="int4"), convert=(*everything, "types"))


def test_checkpoints_without_a_record_of_types_are_read(tmp_path):
    """What jaxlab wrote before: the form as an item of orbax, names, shapes and dtypes alone."""
    state = trained(fresh())
    names = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(state)
    }
    form = {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in names.items()}
    about = {"form": form, "note": {"seconds": 1.5, "recipe": None}}
    ocp.save_checkpointables(tmp_path / "5", {"arrays": names, "about": about})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [5]
        assert checkpoints.note() == about["note"]
        assert_same_bits(checkpoints.restore(fresh()), state)
        checkpoints.save(6, state)
        assert checkpoints.steps() == [5, 6]
        shutil.rmtree(tmp_path / "5" / "arrays")
        with pytest.raises(ValueError, match=r"checkpoint 5 in .* is damaged: arrays cannot be read, .*step, \[6\]"):
            checkpoints.restore(fresh(), 5)


def loss_fn(params, batch, key):
    return jnp.mean((batch @ params["w"]) ** 2) + jnp.sum(params["b"] ** 2), {}


@pytest.fixture(scope="module")
def step():
    return make_train_step(loss_fn, Recipe("adam").build)


def test_a_state_is_given_away_while_it_is_being_written(step, tmp_path, monkeypatch):
    batch, state = jnp.ones((2, 4)), fresh()
    go, finish = threading.Event(), Checkpoints._finish
    monkeypatch.setattr(Checkpoints, "_finish", lambda *arguments: go.wait(60) and finish(*arguments))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state, wait=False)
        assert checkpoints.steps() == []
        after, _ = step(state, batch)
        assert state.params["w"].is_deleted()
        go.set()
        with pytest.raises(ValueError, match="leaf 'step' of the state was given away"):
            checkpoints.save(1, state)
        assert_same_bits(checkpoints.restore(after), fresh())


def test_large_arrays_are_copied_before_the_next_step_writes_over_them(tmp_path):
    """Writing these takes longer than the step."""
    fill = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    state = jnp.arange(4_000_000.0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, {"x": state}, wait=False)
        after = jax.block_until_ready(fill(state))
        assert float(after[5]) == -1
        found = checkpoints.restore({"x": after})["x"]
    np.testing.assert_array_equal(found, np.arange(4_000_000, dtype=np.float32))


def test_fit_saves_in_the_background(step, tmp_path):
    def batch(number):
        return jnp.full((2, 4), number / 4)

    with Checkpoints(tmp_path) as checkpoints:
        save = functools.partial(checkpoints.save, wait=False)
        whole, _ = fit(step, fresh(), batch, steps=6, save=save, save_every=2)
        resumed, _ = fit(step, checkpoints.restore(fresh(), 2), batch, steps=6)
        assert_same_bits(resumed, whole)
        assert_same_bits(checkpoints.restore(fresh()), whole)


@pytest.mark.parametrize("surfaces", ["wait", "save", "close"])
def test_a_failure_in_the_background_is_told_once(surfaces, tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(1, {"w": jnp.ones(2)})
    (tmp_path / "run" / "2").write_text("in the way")
    checkpoints.save(2, {"w": jnp.ones(2)}, wait=False)
    calls = {
        "wait": checkpoints.wait,
        "close": checkpoints.close,
        "save": lambda: checkpoints.save(3, {"w": jnp.ones(2)}),
    }
    with pytest.raises(OSError, match=r"checkpoint 2 was not saved in .*run"):
        calls[surfaces]()
    (tmp_path / "run" / "2").unlink()
    if surfaces != "close":
        checkpoints.save(2, {"w": jnp.zeros(2)})
        assert checkpoints.steps() == [1, 2]
        checkpoints.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, fresh())
        checkpoints.save(2, fresh())
    return folder


def data_file(folder):
    files = [path for path in (folder / "2" / "arrays").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: data_file(folder).unlink(), r"arrays/\S+ is missing"),
        (lambda folder: truncate(data_file(folder)), r"arrays/\S+ has \d+ of \d+ bytes"),
        (lambda folder: shutil.rmtree(folder / "2" / "arrays"), r"arrays/\S+ is missing"),
        (lambda folder: flip(data_file(folder)), r"arrays/\S+ does not hold what was written"),
        (lambda folder: truncate(folder / "2" / "about.json"), "about.json cannot be read"),
        (lambda folder: (folder / "2" / "about.json").write_text("[]"), "about.json cannot be read"),
        (lambda folder: (folder / "2" / "about.json").unlink(), "about.json cannot be read"),
    ],
)
def test_what_is_damaged_is_named(damage, message, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    damage(folder)
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(ValueError, match=rf"checkpoint 2 in \S+ is damaged: {message}.*another step, \[1\]"):
            checkpoints.restore(fresh())
        assert_same_bits(checkpoints.restore(fresh(), 1), fresh())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.save(0, {"w": "text"}), TypeError, "leaf 'w' of the state is 'text': accepted are arrays"),
        (lambda c: c.save(0, {"a": {"b": object()}}), TypeError, "leaf 'a/b' of the state is <object"),
        (lambda c: c.save(0, {"w": np.array(["text"])}), TypeError, "leaf 'w'"),
        (lambda c: c.save(0, {"a/b": 1.0, "a": {"b": 2.0}}), ValueError, "two leaves of the state are named 'a/b'"),
        (lambda c: c.save(-1, {}), ValueError, "step = -1: accepted is a whole number of at least 0"),
        (lambda c: c.save(1.0, {}), TypeError, r"step = 1\.0"),
        (lambda c: c.save(0, {}, note={"x": jnp.ones(1)}), TypeError, "note: .* accepted is JSON data"),
        (lambda c: c.save(0, {}, note="mine"), TypeError, "note = 'mine': accepted is a dict"),
        (lambda c: c.save(0, {}, wait="no"), TypeError, "wait = 'no': accepted are True and False"),
        (lambda c: (c.close(), c.save(0, {})), RuntimeError, "were closed: accepted is another Checkpoints"),
        (lambda c: c.restore({}), FileNotFoundError, "no checkpoint in"),
        (lambda c: c.restore({}, convert=None), TypeError, "convert = None: accepted are names of dtypes"),
        (lambda c: c.note(4), FileNotFoundError, "no checkpoint in"),
    ],
)
def test_bad_input_writes_nothing(call, error, message, tmp_path):
    with Checkpoints(tmp_path / "run") as checkpoints, pytest.raises(error, match=message):
        call(checkpoints)
    assert not (tmp_path / "run").exists()


def test_a_directory_that_is_a_file_or_lies_in_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match="is a file; accepted is a folder"):
            Checkpoints(path)
    (tmp_path / "underway").write_text("")
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(FileExistsError, match="underway"):
        checkpoints.save(0, fresh())
    with pytest.raises(ValueError, match="keep = 0"):
        Checkpoints(tmp_path, keep=0)


def test_numbers_empty_arrays_and_empty_states_come_back(tmp_path):
    state = {"number": 2.5, "flag": np.True_, "none": None, "empty": jnp.zeros((0, 3))}
    with Checkpoints(tmp_path) as checkpoints:
        for number, one in enumerate((state, {"empty": jnp.zeros((0, 3))}, {})):
            checkpoints.save(number, one)
            found = checkpoints.restore(one)
            assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, one)
        assert float(checkpoints.restore(state, 0)["number"]) == 2.5
        assert checkpoints.restore(jax.eval_shape(lambda: {"empty": jnp.zeros((0, 3))}), 1)["empty"].shape == (0, 3)


KILLED = """
import sys
import numpy as np
from jaxlab.train import Checkpoints
checkpoints = Checkpoints(sys.argv[1], keep=2)
step = max(checkpoints.steps(), default=0)
while True:
    step += 1
    checkpoints.save(step, {"w": np.full(20_000, step), "step": step}, wait=step % 2 == 0)
    print(step, flush=True)
"""


def test_killed_at_any_moment_every_checkpoint_is_whole_and_the_next_run_goes_on(tmp_path):
    folder, newest, random = tmp_path / "run", 0, np.random.default_rng(time.time_ns())
    like = {"w": np.zeros(20_000, int), "step": 0}
    for _ in range(3):
        command = [sys.executable, "-c", KILLED, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
            for _ in range(3):
                assert process.stdout.readline()
            time.sleep(random.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
        with Checkpoints(folder, keep=2) as checkpoints:
            steps = checkpoints.steps()
            assert len(steps) in (2, 3)  # Three if it died before the oldest was taken away.
            assert steps[-1] >= newest + 2
            newest = steps[-1]
            for one in steps:
                found = checkpoints.restore(like, one)
                assert int(found["step"]) == one
                assert set(np.asarray(found["w"])) == {one}
    with Checkpoints(folder, keep=2) as checkpoints:
        checkpoints.save(newest + 1, like)
    assert sorted(path.name for path in folder.iterdir()) == sorted(map(str, (newest, newest + 1)))
    assert json.loads((folder / str(newest) / "about.json").read_text())["files"]
