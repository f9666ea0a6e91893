"""Files that PyTorch itself wrote (frozen, in both formats), damaged ones, and pickles that would run code."""

import base64
import io
import json
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from jaxlab.transfer.torch_file import read_torch

FILES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "torch_files.json").read_text())["files"]
CONTENTS = {(file["name"], file["format"]): base64.b64decode(file["content"]) for file in FILES}


def read(content, folder):
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_torch(path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file['name']}-{file['format']}")
def test_every_tensor_of_pytorchs_files_is_read_to_the_bit(file, tmp_path):
    arrays = read(base64.b64decode(file["content"]), tmp_path)
    assert list(arrays) == list(file["holds"])
    for name, held in file["holds"].items():
        array = arrays[name]
        assert array.dtype.name == held["dtype"]
        assert list(array.shape) == held["shape"]
        values = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
        np.testing.assert_array_equal(
            values.astype(np.float64), np.array(held["values"], np.float64).reshape(values.shape)
        )


def test_tensors_that_share_numbers_in_the_file_share_them_here(tmp_path):
    for kind in ("zip", "legacy"):
        arrays = read(CONTENTS["odd_shapes", kind], tmp_path)
        assert np.shares_memory(arrays["whole"], arrays["part"])
        assert arrays["expanded"].strides == (0, 0) or arrays["expanded"].base is not None
        assert not arrays["whole"].flags.writeable


def repacked(change, content=None):
    """The zip of the state dict with its entries changed: ``change`` is of a dict of their bytes."""
    with zipfile.ZipFile(io.BytesIO(content or CONTENTS["dtypes", "zip"])) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    change(entries)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return file.getvalue()


def test_a_file_from_a_machine_of_the_other_byte_order(tmp_path):
    sizes = [8, 4, 2, 2, 8, 4, 2, 1, 1, 1, 4]

    def turn(entries):
        entries["archive/byteorder"] = b"big"
        for number, size in enumerate(sizes):
            words = np.frombuffer(entries[f"archive/data/{number}"], f"u{size}")
            entries[f"archive/data/{number}"] = words.byteswap().tobytes()

    arrays = read(CONTENTS["dtypes", "zip"], tmp_path)
    for name, turned in read(repacked(turn), tmp_path).items():
        np.testing.assert_array_equal(turned, arrays[name])


def test_a_zip_from_before_the_byte_order_was_noted(tmp_path):
    arrays = read(repacked(lambda entries: entries.pop("archive/byteorder")), tmp_path)
    np.testing.assert_array_equal(arrays["float32"], [0, 1, 2.5, 100])


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_file_that_is_cut_off_anywhere_is_an_error_that_names_it(kind, tmp_path):
    content = CONTENTS["state_dict", kind]
    for end in [*range(1, len(content), len(content) // 40), len(content) - 1]:
        with pytest.raises(ValueError, match=r"weights\.pth"):
            read(content[:end], tmp_path)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_file_with_any_byte_changed_is_read_or_is_an_error_that_names_it(kind, tmp_path):
    content = bytearray(CONTENTS["state_dict", kind])
    rng = np.random.RandomState(0)
    for place in rng.randint(0, len(content), 300):
        damaged = content.copy()
        damaged[place] ^= 1 << rng.randint(8)
        try:
            read(damaged, tmp_path)
        except ValueError as error:
            assert "weights.pth" in str(error)  # noqa: PT017, a change may leave a file that is whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"just a text\n", "neither a zip nor a pickle"),
        (pickle.dumps({"a": 1}), "a pickle that does not begin as PyTorch's do"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a zip nor a pickle. Accepted is a whole file"),
    ],
)
def test_a_file_of_another_kind_is_an_error_that_names_it(content, message, tmp_path):
    with pytest.raises(ValueError, match=rf"weights\.pth.*{message}"):
        read(content, tmp_path)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        read_torch("nowhere.pth")
