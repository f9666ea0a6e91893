"""The format of safetensors: what the package of that name writes is read, and nothing that is not whole."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import safetensors

FOREIGN = Path(__file__).parents[1] / "data" / "foreign.safetensors"


def test_a_file_of_the_package_is_read():
    """Of every type the numbers 0 to 5; see make_safetensors.py."""
    contents = safetensors.read(FOREIGN)
    assert contents.metadata == {"format": "np"}
    arrays = dict(contents.arrays)
    assert arrays.pop("one").shape == ()
    assert arrays.pop("none").shape == (0, 3)
    assert arrays.pop("last\u00e9").tolist() == [1.0]
    assert {str(array.dtype) for array in arrays.values()} == {name.removeprefix("of.") for name in arrays}
    assert len(arrays) == 15 == len(safetensors.DTYPES) - 1
    for name, array in arrays.items():
        wanted = np.arange(6).reshape(2, 3).astype(bool if name == "of.bool" else float)
        np.testing.assert_array_equal(array.astype(float), wanted, err_msg=name)
        assert not array.flags.writeable


def test_what_is_written_is_read(tmp_path):
    """Wide numbers first, as the package has them; and what is written is read again."""
    arrays = safetensors.read(FOREIGN).arrays
    some = {name: arrays[name] for name in ("of.float64", "of.float32", "of.bfloat16", "of.bool", "one")}
    content = safetensors.header_of(some, {"format": "np"}) + safetensors.data_of(some)
    (tmp_path / "a").write_bytes(content)
    back = safetensors.read(tmp_path / "a")
    assert back.metadata == {"format": "np"}
    assert [*back.arrays] == ["of.float64", "of.float32", "one", "of.bfloat16", "of.bool"]
    for name, array in back.arrays.items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)
    assert safetensors.is_safetensors(content)
    assert safetensors.is_safetensors(FOREIGN.read_bytes()[:16])


def _file(header, data=b"", length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _one(**changes) -> dict:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


OTHER = {"v": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"\(0 bytes\) has no header"),
        (b"{}", r"\(2 bytes\) has no header"),
        (b"some text that is longer than a length", "has no header"),
        (_file(_one(), bytes(8), length=1 << 62), "has no header"),
        (_file(_one(), bytes(8))[:30], "has no header"),
        (_file([1]), "has no header"),
        (_file(b'{"w": 1, "w": 1}'), "has no header"),
        (_file(b"[" * 100_000), "has no header"),
        (_file(b'{"a\xff": 1}'), "has no header"),
        (_file({"__metadata__": {"a": 1}}), "has the metadata .*accepted are texts"),
        (_file({"w": 5}), "array 'w' is 5: accepted are dtype, shape and two data_offsets"),
        (_file(_one(shape=[-2]), bytes(8)), "array 'w' is"),
        (_file(_one(shape=[2.0]), bytes(8)), "array 'w' is"),
        (_file(_one(shape=None), bytes(8)), "array 'w' is"),
        (_file(_one(dtype=["F32"]), bytes(8)), "array 'w' is"),
        (_file(_one(data_offsets=[0, 8, 8]), bytes(8)), "array 'w' is"),
        (_file(_one(dtype="F31"), bytes(8)), "has the dtype 'F31': accepted are F64"),
        (_file(_one(shape=[3]), bytes(8)), r"F32 of shape \[3\], lies in bytes \[0, 8\]: accepted is room for 12"),
        (_file(_one(shape=[1 << 50]), bytes(8)), "accepted is room for"),
        (_file(_one(shape=[1 << 62]), bytes(8)), "'w' has the shape .*accepted are those that NumPy has"),
        (_file(_one(shape=[1 << 70, 0], data_offsets=[0, 0])), "'w' has the shape"),
        (_file(_one(shape=[2] + [1] * 70), bytes(8)), "'w' has the shape"),
        (_file(_one(data_offsets=[8, 0]), bytes(8)), "accepted is room for 8"),
        (_file(_one(data_offsets=[4, 12]), bytes(12)), "'w' begins at byte 4: accepted is 0"),
        (_file(_one() | {"v": OTHER["v"] | {"data_offsets": [4, 8]}}, bytes(8)), "'v' begins at byte 4: accepted is 8"),
        (_file(_one() | OTHER, bytes(8)), "holds 8 bytes of arrays, its header counts 12"),
        (_file(_one() | OTHER, bytes(13)), "holds 13 bytes of arrays, its header counts 12"),
    ],
)
def test_what_is_no_whole_file_is_refused(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}.*{message}"):
        safetensors.read(path)


@pytest.mark.parametrize("size", range(0, 1540, 77))
def test_a_file_that_is_cut_off_is_refused(tmp_path, size):
    (tmp_path / "cut").write_bytes(FOREIGN.read_bytes()[:size])
    with pytest.raises(ValueError, match="accepted is a whole file"):
        safetensors.read(tmp_path / "cut")


def test_types_that_the_format_does_not_have_are_refused():
    for array in (np.array(["text"]), np.ones(1, complex), jnp.arange(3).astype("int4")):
        with pytest.raises(TypeError, match=r"array 'w' is .*: accepted are float64, "):
            safetensors.header_of({"w": np.asarray(array)}, {})
