"""Whatever keeps weights: what it is, its first bytes tell."""

import pickle
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.optimizers import Recipe
from jaxlab.train import Checkpoints, init_state
from jaxlab.transfer import match, read_weights

FOREIGN = Path(__file__).parents[1] / "data" / "foreign.safetensors"
PARAMS = {"base": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "head": [jnp.ones(3), jnp.zeros((0, 2))]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with the states of two steps, its base frozen."""
    folder = tmp_path_factory.mktemp("run")
    state = init_state(PARAMS, Recipe("adam").build, {"learning_rate": 0.1}, key=jax.random.key(0), frozen="^base/")
    with Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save(3, state)
        checkpoints.save(5, state._replace(params=jax.tree.map(lambda p: p + 1, state.params)))
    return folder


def test_a_runs_parameters_are_read_without_knowing_its_structure(run):
    """Trained and frozen ones, no moments of them: of the newest step, of another, by the run's folder or its own."""
    for path, step, ones in [
        (run, None, 2.0),
        (run, 3, 1.0),
        (run / "checkpoints", None, 2.0),
        (str(run / "checkpoints"), 5, 2.0),
        (run / "checkpoints" / "3", None, 1.0),
    ]:
        weights = read_weights(path, step)
        assert {name: array.shape for name, array in weights.items()} == {
            "head/0": (3,),
            "head/1": (0, 2),
            "base/kernel": (2, 3),
        }
        assert weights["head/0"].tolist() == [ones] * 3
        np.testing.assert_array_equal(weights["base/kernel"], PARAMS["base"]["kernel"], strict=True)


def test_a_warm_start_from_a_run(run):
    params = jax.tree.map(jnp.zeros_like, PARAMS) | {"new": jnp.ones(2, "bfloat16")}
    matched = match(params, run, new="^new")
    assert matched.summary == "3 of 4 parameters matched, 1 new, 0 missing; 0 of 3 weights unused, 0 left out"
    assert matched.params["head"][0].tolist() == [2.0] * 3
    with pytest.raises(ValueError, match=f"the weights in {run} do not fit the parameters: 3 of 4"):
        match(params, run)


def test_another_tree_is_read_whole(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, {"w": jnp.ones(2, "bfloat16"), "key": jax.random.key(0), "n": 3})
    weights = read_weights(tmp_path)
    assert {name: str(array.dtype) for name, array in weights.items()} == {"n": "int32", "w": "bfloat16"}
    with Checkpoints(tmp_path) as checkpoints:
        assert [*checkpoints.arrays("^w$", 0)] == ["w"]
        with pytest.raises(ValueError, match="no regular expression"):
            checkpoints.arrays("(")


def test_a_tree_with_params_that_is_no_training_state_is_read_whole(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, {"params": {"w": jnp.ones(2)}, "batch_stats": {"mean": jnp.zeros(2)}})
    assert sorted(read_weights(tmp_path)) == ["batch_stats/mean", "params/w"]


def test_a_damaged_checkpoint_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints" / "5").rglob("*"):
        if path.is_file() and path.stat().st_size > 100 and path.name != "about.json":
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ValueError, match=r"checkpoint 5 in .* is damaged"):
        read_weights(tmp_path / "run")
    assert read_weights(tmp_path / "run", 3)["head/0"].tolist() == [1.0] * 3


def test_files_are_known_by_what_they_hold(tmp_path):
    shutil.copy(FOREIGN, tmp_path / "model.pth")
    assert read_weights(tmp_path / "model.pth")["one"] == 2.5
    # A zip is PyTorch's or nobody's.
    np.savez(tmp_path / "model.npz", w=np.ones(2))
    with pytest.raises(ValueError, match=r"model\.npz.*torch\.save"):
        read_weights(tmp_path / "model.npz")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_code_does_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb(), protocol))
    with pytest.raises(ValueError, match=r"model\.safetensors.*ccepted"):
        read_weights(tmp_path / "model.safetensors")
    assert not (tmp_path / "ran").exists()


def test_what_is_accepted_is_said(tmp_path):
    (tmp_path / "a").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"a begins with b'version .*: accepted are a safetensors file, a file that"):
        read_weights(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty is a folder without a checkpoint: accepted are"):
        read_weights(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"step = 3: .* is a file"):
        read_weights(FOREIGN, 3)
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "nowhere")


def test_a_step_that_was_not_saved_is_named(run):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 4 .*\[3, 5\]"):
        read_weights(run, 4)
