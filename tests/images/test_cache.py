"""A cache holds what decoding gives, is never out of date, and what is not whole is made anew."""

import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxlab.images import Resize, image_folder, open_images, read_image
from jaxlab.images import cache as caches
from jaxlab.images.cache import HEADER, cache_file, key_of

SIZE = Resize(4, 5)


def decoded_again(root, images):
    return np.stack([read_image(root / path, SIZE) for path in images.paths])


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "new" / "cache"


@pytest.fixture
def root(photos):
    return photos(["a/1.png", "a/2.png", "b/1.png"])


@pytest.fixture
def counted(monkeypatch):
    """How often a folder was decoded."""
    calls = []
    original = caches.decode_all

    def count(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(caches, "decode_all", count)
    return calls


def test_a_cache_equals_fresh_decoding_and_is_made_once(root, cache, counted):
    fresh, first, second = (
        open_images(root, SIZE),
        open_images(root, SIZE, cache=cache),
        open_images(root, SIZE, cache=cache),
    )
    assert len(counted) == 2
    expected = decoded_again(root, fresh)
    for images in (fresh, first, second):
        np.testing.assert_array_equal(images.stored, expected)
        np.testing.assert_array_equal(images.arrays()["x"], expected)
        assert not images.stored.flags.writeable
        assert images.digest == fresh.digest
    assert [path.name for path in cache.iterdir()] == [cache_file(cache, image_folder(root), SIZE).name]


def test_many_images_are_decoded_in_their_order(photos, monkeypatch):
    root = photos([f"{'ab'[i % 2]}/{i:03}.png" for i in range(30)])
    monkeypatch.setattr("jaxlab.images.decode.TOGETHER", 7)
    images = open_images(root, SIZE)
    np.testing.assert_array_equal(images.stored, decoded_again(root, images))
    assert len(np.unique(images.stored, axis=0)) == 30


def test_the_format_is_for_ever(root, cache):
    images = open_images(root, SIZE, cache=cache)
    (file,) = cache.iterdir()
    header = struct.pack(
        "<8sIIIQQI32s", b"jaxlabIM", 1, 4, 5, 3, 2, zlib.crc32(b"{}"), key_of(image_folder(root), SIZE)
    )
    header = (header + struct.pack("<I", zlib.crc32(header))).ljust(256, b"\0")
    assert file.read_bytes() == header + images.stored.tobytes() + b"{}"


def test_whatever_decides_the_pixels_makes_another_cache(root, cache, monkeypatch):
    def file(resize=SIZE):
        return cache_file(cache, image_folder(root), resize)

    other_sizes = [Resize(5, 4), Resize(4), Resize(4, 5, fit="stretch"), Resize(4, 5, resample="bilinear")]
    files = [file(), *map(file, [*other_sizes, Resize(4, 5, keep=0.9)])]
    (root / "a" / "by.txt").write_text("no image")
    assert file() == files[0]
    Image.new("RGB", (3, 3), "red").save(root / "a" / "3.png")
    files.append(file())
    Image.new("RGB", (3, 3), "blue").save(root / "a" / "3.png")
    files.append(file())
    (root / "a" / "3.png").unlink()
    assert file() == files[0]
    (root / "a" / "2.png").unlink()
    files.append(file())
    monkeypatch.setattr("PIL.Image.__version__", "99.0")
    files.append(file())
    assert len(set(files)) == len(files)


def test_a_changed_image_is_seen(root, cache):
    before = open_images(root, SIZE, cache=cache).arrays()["x"]
    Image.new("RGB", (5, 4), "red").save(root / "a" / "2.png")
    after = open_images(root, SIZE, cache=cache)
    np.testing.assert_array_equal(after.stored, decoded_again(root, after))
    np.testing.assert_array_equal((after.stored != before).any(axis=(1, 2, 3)), [False, True, False])


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:100],
        lambda whole: whole[:HEADER],
        lambda whole: whole[:-1],
        lambda whole: whole + b"\n",
        lambda whole: bytes(HEADER) + whole[HEADER:],
        lambda whole: whole[:20] + b"\7" + whole[21:],
        lambda whole: whole[:-1] + b"]",
    ],
    ids=["empty", "header", "no pixels", "cut", "longer", "zeros", "count", "notes"],
)
def test_what_is_not_whole_is_made_anew(root, cache, damage):
    open_images(root, SIZE, cache=cache)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    again = open_images(root, SIZE, cache=cache)
    np.testing.assert_array_equal(again.stored, decoded_again(root, again))
    assert file.read_bytes() == whole


def test_another_caches_file_under_this_name_is_not_taken(root, cache):
    open_images(root, SIZE, cache=cache)
    (file,) = cache.iterdir()
    other = cache_file(cache, image_folder(root), Resize(5, 4))
    shutil.copy(file, other)
    assert open_images(root, Resize(5, 4), cache=cache).stored.shape == (3, 5, 4, 3)


def test_unreadable_images_are_listed_whether_decoded_or_not(root, cache, counted):
    (root / "a" / "2.png").write_bytes((root / "a" / "1.png").read_bytes()[:80])
    for kept in (None, cache, cache):
        images = open_images(root, SIZE, cache=kept, skip_unreadable=True)
        assert images.paths == ("a/1.png", "b/1.png")
        assert list(images.left_out) == ["a/2.png"]
        assert images.left_out["a/2.png"].startswith("truncated or damaged (")
        np.testing.assert_array_equal(images.arrays()["x"], decoded_again(root, images))
    assert len(counted) == 2
    for kept in (None, cache, cache.parent / "other"):
        with pytest.raises(ValueError, match=r"photos/a/2\.png' is no image that can be used: truncated .*skip_unread"):
            open_images(root, SIZE, cache=kept)
    assert not list((cache.parent / "other").iterdir())
    (file,) = cache.iterdir()
    assert list(json.loads(file.read_bytes()[HEADER + 2 * 60 :])) == ["1"]


def test_a_class_of_which_nothing_can_be_read(root, cache):
    (root / "b" / "1.png").write_bytes(b"?")
    for kept in (None, cache):
        with pytest.raises(ValueError, match=r"photos/b' has no images, it is 1 files that are left out, such as 'b/1"):
            open_images(root, SIZE, cache=kept, skip_unreadable=True)
    for path in root.glob("a/*"):
        path.write_bytes(path.name.encode())
    with pytest.raises(ValueError, match="photos/a' has no images"):
        open_images(root, SIZE, cache=cache, skip_unreadable=True)


def test_an_interrupted_writing_leaves_nothing(root, cache, monkeypatch):
    def interrupted(folder, resize):
        yield np.zeros(resize.shape, np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(caches, "decode_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_images(root, SIZE, cache=cache)
    assert not list(cache.iterdir())


def test_an_image_that_changes_meanwhile(root):
    found = image_folder(root)
    Image.new("RGB", (5, 4), "red").save(root / "a" / "2.png")
    with pytest.raises(ValueError, match=r"photos/a/2\.png' changed while it was read: accepted are images"):
        list(caches.decode_all(found, SIZE))


def test_a_cache_is_no_class(root):
    with pytest.raises(
        ValueError, match=r"cache = '.*photos/cache' lies in the folder of images .*: accepted is another"
    ):
        open_images(root, SIZE, cache=root / "cache")
    assert (
        len(open_images(root, SIZE, cache=root / ".cache")) == len(open_images(root, SIZE, cache=root / ".cache")) == 3
    )


def test_a_size_is_asked_for(root, cache):
    with pytest.raises(TypeError, match=r"resize = 224: accepted is a size, such as jaxlab\.images\.Resize\(224\)"):
        open_images(root, 224, cache=cache)
    assert not cache.exists()
