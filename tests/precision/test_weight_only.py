"""Weights in 8 bits: within half a step of what they were, called inside a compiled program, to the bit from a file."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import models
from jaxlab.core.cost import bytes_of
from jaxlab.precision import Quantized, dequantize, load_weights, quantize, save_weights

RNG = np.random.default_rng(0)
MODEL = models.pure(lambda rngs: models.MLP((6, 32, 5), rngs=rngs))


@pytest.fixture(scope="module")
def params():
    return jax.jit(MODEL.init)(jax.random.key(0))


def _scale(w, axes):
    return np.abs(np.float64(w)).max(axis=axes, keepdims=True) / 127


def test_codes_and_scales_are_those_of_numpy():
    w = RNG.standard_normal((40, 7)).astype(np.float32) * 10.0 ** RNG.integers(-3, 3, 7).astype(np.float32)
    w[:, 3] = 0
    w[5] = 0
    small = quantize({"kernel": jnp.asarray(w)})["kernel"]
    scale = _scale(w, 0)
    np.testing.assert_allclose(small.scales, scale, rtol=1e-6)
    with np.errstate(invalid="ignore"):
        wanted = np.where(scale > 0, np.float64(w) / np.where(scale > 0, scale, 1), 0)
    # Rounded to the nearest, but for what lies on the middle between two, up to float32's rounding.
    assert np.abs(np.asarray(small.codes) - wanted).max() <= 0.5 + 1e-5
    assert small.codes.dtype == jnp.int8
    off = np.abs(np.float64(dequantize(small)) - w)
    assert np.all(off <= scale / 2 * (1 + 1e-5))
    # Zeros stay zeros: a channel without weights, and what was pruned.
    assert not np.any(np.asarray(small.codes)[:, 3])
    assert not np.any(np.asarray(small.codes)[5])
    assert np.asarray(small.codes).max() == 127
    assert np.asarray(small.codes).min() >= -127


@pytest.mark.parametrize(
    ("name", "shape", "rules", "scales"),
    [
        ("body/kernel", (4, 6), (), (1, 6)),
        ("head/kernel", (4, 6), (), (1, 6)),
        ("embed/embedding", (9, 4), (), (9, 1)),
        ("conv/kernel", (3, 3, 2, 5), (), (1, 1, 1, 5)),
        ("blocks/query/kernel", (2, 4, 6), (("^blocks/", "brc"),), (2, 1, 6)),
        ("body/kernel", (4, 6), (("body", "cr"),), (4, 1)),
    ],
)
def test_there_is_a_scale_for_each_output(name, shape, rules, scales):
    w = RNG.standard_normal(shape).astype(np.float32)
    small = quantize({name: w}, rules)[name]
    axes = tuple(axis for axis, size in enumerate(scales) if size == 1)
    assert small.scales.shape == scales
    np.testing.assert_allclose(small.scales, _scale(w, axes), rtol=1e-6)


def test_what_is_no_matrix_stays_as_it_is():
    params = {"bias": jnp.ones(3), "norm": {"scale": jnp.ones((2, 3))}, "kernel": jnp.ones((3, 3), jnp.bfloat16)}
    small = quantize(params)
    assert small["bias"] is params["bias"]
    assert small["norm"]["scale"] is params["norm"]["scale"]
    assert dequantize(small)["kernel"].dtype == jnp.bfloat16
    assert quantize(params, [("kernel", "others")])["kernel"] is params["kernel"]


def test_a_model_is_called_with_codes_in_memory(params):
    x = jnp.asarray(RNG.standard_normal((16, 6)), jnp.float32)
    small = quantize(params)
    apply = jax.jit(lambda params, x: MODEL.apply(dequantize(params), x)).lower(small, x).compile()
    logits, full = np.asarray(apply(small, x)), np.asarray(MODEL.apply(params, x))
    assert 0 < np.abs(logits - full).max() < 0.02 * np.abs(full).max()
    given = apply.memory_analysis().argument_size_in_bytes
    assert given == bytes_of(small) + x.nbytes
    # A byte for each weight, 4 for each output's scale and for each bias.
    assert bytes_of(small) == 6 * 32 + 32 * 5 + 4 * 2 * (32 + 5)


def test_several_devices_and_programs_may_quantize(params):
    """It is traceable, too: then nobody looks for what is not finite."""
    small = jax.jit(quantize)(params)
    jax.tree.map(np.testing.assert_array_equal, small, quantize(params))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_by_name(value):
    with pytest.raises(ValueError, match="'deep/kernel' has weights that are NaN or infinite"):
        quantize({"deep": {"kernel": jnp.ones((2, 2)).at[0, 1].set(value)}})


def test_what_is_no_float_is_refused():
    with pytest.raises(TypeError, match="leaf 'kernel' has dtype int32"):
        quantize({"kernel": jnp.ones((2, 2), jnp.int32)})


def _sparse(zeros):
    w = RNG.standard_normal((64, 32)).astype(np.float32)
    w.ravel()[RNG.permutation(w.size)[: round(zeros * w.size)]] = 0
    return jnp.asarray(w)


def test_a_round_trip_through_a_file_is_exact(tmp_path):
    params = {
        "dense": {"kernel": _sparse(0.0), "bias": jnp.ones(3)},
        "sparse": {"kernel": _sparse(0.9).at[0, 0].set(-0.0), "half": _sparse(0.8).astype(jnp.bfloat16)},
        "zero": jnp.zeros((5, 3)),
        "scalar": jnp.float32(2.0),
        "none": jnp.zeros((0, 3)),
    }
    for tree in (params, quantize(params)):
        size = save_weights(tmp_path / "weights", tree, about={"task": "digits_mlp", "seeds": [1, 2]})
        assert size == (tmp_path / "weights").stat().st_size
        loaded, about = load_weights(tmp_path / "weights")
        assert about == {"task": "digits_mlp", "seeds": [1, 2]}
        assert jax.tree.structure(loaded) == jax.tree.structure(tree)
        for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert isinstance(loaded["dense"]["kernel"], Quantized)


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9])
def test_a_file_is_as_small_as_its_weights(tmp_path, zeros):
    kernel = _sparse(zeros)
    present = int(np.sum(np.asarray(kernel) != 0))
    whole, mask = 4 * 2048, 2048 // 8
    dense = save_weights(tmp_path / "a", {"kernel": kernel})
    assert 0 < dense - min(whole, mask + 4 * present) < 600
    codes = quantize({"kernel": kernel})
    left = int(np.sum(np.asarray(codes["kernel"].codes) != 0))
    small = save_weights(tmp_path / "b", codes)
    assert 0 < small - 4 * 32 - min(2048, mask + left) < 700


def test_the_format_is_that_of_safetensors(tmp_path):
    """Its specification, read by hand: a length, JSON, arrays without holes that begin where the header ends."""
    save_weights(tmp_path / "a", {"b": {"w": jnp.arange(1.0, 7.0).reshape(2, 3)}, "h": jnp.ones(3, jnp.bfloat16)})
    data = (tmp_path / "a").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    assert begin % 8 == 0
    assert all(isinstance(value, str) for value in header.pop("__metadata__").values())
    assert header == {
        "b/w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "h": {"dtype": "BF16", "shape": [3], "data_offsets": [24, 30]},
    }
    np.testing.assert_array_equal(np.frombuffer(data[begin : begin + 24], "<f4"), np.arange(1, 7))


def test_what_is_no_whole_file_is_refused(tmp_path, params):
    path, other = tmp_path / "weights", tmp_path / "other"
    save_weights(path, params)
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    flipped = bytearray(data)
    flipped[-5] ^= 1
    foreign = data[:begin].replace(b"jaxlab.weights/1", b"jaxlab.weights/9") + data[begin:]
    for content, message in [
        (b"", "no header"),
        (b"not a file of weights, by far", "no header"),
        (data[:40], "no header"),
        (data[:-4], r"bytes of arrays, its header counts"),
        (data + b"0", r"bytes of arrays, its header counts"),
        (bytes(flipped), "SHA-256 differs"),
        (foreign, "schema 'jaxlab.weights/9': accepted is 'jaxlab.weights/1'"),
        (data.replace(b":mask", b":mAsk"), "other: its arrays are not those that it says .*mask"),
    ]:
        other.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_weights(other)
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("params", "about", "message"),
    [
        ([jnp.ones(2)], {}, "accepted are nested dicts"),
        ({"a/b": jnp.ones(2)}, {}, "accepted are nested dicts"),
        ({"a:mask": jnp.ones(2)}, {}, "without / and :"),
        ({"a": jnp.ones(2, int)}, {}, "leaf 'a' has dtype int32"),
        ({"a": jnp.ones(2)}, {"key": object()}, "about: .* accepted is JSON data"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, params, about, message):
    with pytest.raises(TypeError, match=message):
        save_weights(tmp_path / "weights", params, about)
    assert not list(tmp_path.iterdir())
