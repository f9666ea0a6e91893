"""Files of other libraries and jaxlab's own are read alike."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import tree
from jaxlab.precision import dequantize, quantize, save_weights
from jaxlab.transfer import match, read_safetensors, write_safetensors

FOREIGN = Path(__file__).parents[1] / "data" / "foreign.safetensors"


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random((40, 8)) < 0.9, 0, rng.standard_normal((40, 8)))
    return {
        "dense": {"kernel": jnp.asarray(rng.standard_normal((40, 8)), "bfloat16"), "bias": jnp.ones(8)},
        "sparse": {"kernel": jnp.asarray(sparse, "float32")},
    }


def test_jaxlabs_own_files_are_decoded(tmp_path, params):
    """Masks and codes of 8 bits: the names are the parameters', never those of the parts that the file has."""
    for whole in (params, quantize(params)):
        save_weights(tmp_path / "a", whole, about={"task": "digits_mlp"})
        weights = read_safetensors(tmp_path / "a")
        assert [*weights] == tree.names(params) == ["dense/bias", "dense/kernel", "sparse/kernel"]
        for one, other in zip(weights.values(), jax.tree.leaves(dequantize(whole)), strict=True):
            np.testing.assert_array_equal(one, np.asarray(other), strict=True)
        assert match(params, tmp_path / "a").summary.startswith("3 of 3 parameters matched")


def test_a_changed_file_of_its_own_is_refused(tmp_path, params):
    save_weights(tmp_path / "a", params)
    content = bytearray((tmp_path / "a").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="a is not as it was written"):
        read_safetensors(tmp_path / "a")


def test_arrays_go_through_a_file(tmp_path, params):
    size = write_safetensors(tmp_path / "a", params, {"from": "a test"})
    assert size == (tmp_path / "a").stat().st_size
    weights = read_safetensors(tmp_path / "a")
    assert {name: str(array.dtype) for name, array in weights.items()} == {
        "dense/bias": "float32",
        "dense/kernel": "bfloat16",
        "sparse/kernel": "float32",
    }
    back = match(params, weights).params
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_foreign_arrays_go_anywhere_in_a_file(tmp_path):
    """Of odd sizes, so that those after them lie at no multiple of theirs."""
    weights = read_safetensors(FOREIGN)
    kept = {name: weights[name] for name in ("of.float32", "of.float64", "of.bfloat16", "of.float8_e4m3fn")}
    matched = match({name: jnp.zeros((2, 3)) for name in kept}, FOREIGN)
    for value in matched.params.values():
        assert value.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(matched.of("unused")) == len(weights) - len(kept)


def test_metadata_are_texts(tmp_path):
    with pytest.raises(TypeError, match="accepted are texts by name"):
        write_safetensors(tmp_path / "a", {"w": np.ones(1)}, {"a": 1})
    assert not (tmp_path / "a").exists()
