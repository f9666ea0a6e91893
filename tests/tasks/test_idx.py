"""The IDX reader: what it reads, and what it says of files that are not right."""

import gzip
import re

import numpy as np
import pytest

from jaxlab.tasks.idx import read_idx


def idx(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)  # without the time, so that test names stay the same


IMAGES = np.random.RandomState(0).randint(0, 256, (5, 3, 4))


@pytest.mark.parametrize("array", [IMAGES, np.arange(7), np.zeros((0, 2))])
def test_what_was_written_is_read(tmp_path, array):
    path = tmp_path / "a.gz"
    path.write_bytes(packed(idx(array)))
    found = read_idx(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.uint8
    assert found.shape == array.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(idx(IMAGES))[:-20], "truncated or damaged"),
        (packed(idx(IMAGES))[:-6] + b"abcdef", "truncated or damaged"),
        (packed(idx(IMAGES))[:12] + b"xyz" + packed(idx(IMAGES))[15:], "truncated or damaged"),
        (idx(IMAGES), "truncated or damaged, or no gzip file"),
        (b"", "begins with bytes []"),
        (packed(b"<html>"), "begins with bytes [60, 104, 116, 109]: accepted is an IDX file of unsigned bytes"),
        (packed(bytes([0, 0, 13, 1, 0, 0, 0, 0])), "begins with bytes [0, 0, 13, 1]"),
        (packed(bytes([0, 0, 8, 3, 0, 0])), "begins with bytes [0, 0, 8, 3]"),
        (packed(idx(IMAGES)[:-1]), "promises (5, 3, 4), that is 60 bytes, and holds 59"),
        (packed(idx(IMAGES) + b"12"), "promises (5, 3, 4), that is 60 bytes, and holds 62"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_not_right_are_named(tmp_path, content, message):
    path = tmp_path / "train-images.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        read_idx(path)
