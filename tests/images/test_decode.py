"""Pixels are what Pillow makes of a file when it is called plainly; what is damaged is said, not raised by the way."""

import builtins
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxlab.images import Resize, read_image
from jaxlab.images import decode as decoding
from jaxlab.images.decode import decode


def noise(seed, size=(9, 7), channels=3):
    """Pixels: [height, width, channels]."""
    shape = (size[1], size[0], channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8).squeeze()


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(content, size=(9, 7)):
    """The pixels of a file that are not resized."""
    return decode(content, Resize(size[1], size[0]))


PHOTO = Image.fromarray(noise(0, (53, 31)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
def test_equals_pillow_called_plainly(kind, resample):
    content = saved(PHOTO, kind)
    plain = Image.open(io.BytesIO(content))
    small = plain.resize((53 * 16 // 31, 16), getattr(Image.Resampling, resample.upper()))
    left = round((small.width - 14) / 2)
    expected = np.asarray(small.crop((left, 1, left + 14, 15)))
    found = decode(content, Resize(14, keep=0.875, resample=resample))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    stretched = decode(content, Resize(9, 8, fit="stretch", resample=resample))
    np.testing.assert_array_equal(stretched, plain.resize((8, 9), getattr(Image.Resampling, resample.upper())))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (5, 7), (100, 3), (3, 100), (64, 64)])
@pytest.mark.parametrize(
    "resize", [Resize(4), Resize(5, 3), Resize(3, 8, keep=0.7), Resize(1), Resize(6, fit="stretch")]
)
def test_every_size_becomes_the_static_one_and_a_crop_covers_it(size, resize):
    found = decode(saved(Image.new("RGB", size, (10, 200, 30)), "PNG"), resize)
    assert found.shape == resize.shape
    assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [[10, 200, 30]], "nothing outside the image is shown"


def test_no_pixel_changes_where_the_size_is_right():
    np.testing.assert_array_equal(opened(saved(PHOTO, "PNG"), PHOTO.size), noise(0, (53, 31)))


def test_the_crop_is_of_the_centre():
    wide = np.zeros((2, 10, 3), np.uint8)
    wide[:, 4:6] = 255
    assert decode(saved(Image.fromarray(wide), "PNG"), Resize(2)).min() == 255


def test_grey_and_two_levels():
    grey = noise(1, channels=1)
    np.testing.assert_array_equal(opened(saved(Image.fromarray(grey), "PNG")), np.stack([grey] * 3, -1))
    levels = Image.fromarray(grey > 99)
    np.testing.assert_array_equal(opened(saved(levels, "PNG")), np.stack([255 * (grey > 99)] * 3, -1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_their_upper_eight(kind):
    """Pillow's own conversion makes all above 255 white."""
    deep = np.random.RandomState(0).randint(0, 2**16, (7, 9)).astype(np.uint16)
    deep[0, :2] = 0, 65535
    np.testing.assert_array_equal(opened(saved(Image.fromarray(deep), kind)), np.stack([deep >> 8] * 3, -1))


def test_pixels_without_a_known_white():
    assert "floating numbers" in opened(saved(Image.fromarray(np.ones((7, 9), np.float32)), "TIFF"))
    beyond = np.full((7, 9), 70_000, np.int32)
    assert "pixels from 70000 to 70000: accepted are 0 to 65535" in opened(saved(Image.fromarray(beyond), "TIFF"))


def test_what_is_transparent_lies_on_white():
    pixels = noise(2, channels=4)
    pixels[0, 0, 3], pixels[0, 1, 3] = 0, 255
    found = opened(saved(Image.fromarray(pixels), "PNG")).astype(int)
    alpha = pixels[..., 3:].astype(float) / 255
    np.testing.assert_allclose(found, alpha * pixels[..., :3] + (1 - alpha) * 255, atol=0.51)
    assert found[0, 0].tolist() == [255] * 3
    assert found[0, 1].tolist() == pixels[0, 1, :3].tolist()


def test_palettes_and_colours_that_are_transparent():
    palette = Image.fromarray(noise(3)).quantize(16)
    np.testing.assert_array_equal(opened(saved(palette, "PNG")), palette.convert("RGB"))
    indices, colours = np.asarray(palette), np.asarray(palette.convert("RGB")).copy()
    colours[indices == 5] = 255
    for kind in ("PNG", "GIF"):
        np.testing.assert_array_equal(opened(saved(palette, kind, transparency=5)), colours)
    grey = noise(4, channels=1)
    found = opened(saved(Image.fromarray(grey), "PNG", transparency=int(grey[0, 0])))
    np.testing.assert_array_equal(found[..., 1], np.where(grey == grey[0, 0], 255, grey))


def test_four_printing_colours():
    printed = Image.fromarray(noise(5)).convert("CMYK")
    np.testing.assert_array_equal(opened(saved(printed, "TIFF")), printed.convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_say_how_they_were_held(orientation):
    """The eight orientations of EXIF, as rotations and reflections of an array."""
    upright = noise(6)
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}
    kept = np.rot90(upright, turns[orientation])
    kept = kept[:, ::-1] if orientation in (2, 4) else kept
    kept = kept[::-1] if orientation in (5, 7) else kept
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(np.ascontiguousarray(kept)), "PNG", exif=exif)
    np.testing.assert_array_equal(opened(content), upright)


def test_of_an_animation_the_first_frame():
    frames = [Image.fromarray(noise(seed)).quantize(8) for seed in range(3)]
    for kind in ("GIF", "PNG"):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(opened(content), frames[0].convert("RGB"))


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height):
    """Says its size, and holds no pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "not of a kind that Pillow reads"),
        (saved(PHOTO, "JPEG")[:400], r"truncated or damaged \(.*"),
        (saved(PHOTO, "PNG")[:400], r"truncated or damaged \(.*"),
        (saved(PHOTO, "GIF")[:900], r"truncated or damaged \(.*"),
        (saved(PHOTO, "WEBP")[:400], r"truncated or damaged \(.*|not of a kind that Pillow reads"),
        (saved(PHOTO, "PNG")[:60] + b"????" + saved(PHOTO, "PNG")[64:], r"truncated or damaged \(.*"),
        (png(0, 3), r"it has no pixels|not of a kind that Pillow reads"),
        (png(12_000, 9_000), r"(.*12,000 x 9,000 pixels are more than|.*108000000 pixels\) exceeds limit of) 89.*"),
        (png(20_000, 20_000), r".*400000000 pixels\) exceeds limit of 178956970 pixels, could be decompression bomb.*"),
        (saved(Image.new("L", (1, 100_000)), "PNG"), r"200 x 20,000,000 pixels are more than 89,478,485; who trusts.*"),
    ],
    ids=["empty", "text", "jpeg", "png", "gif", "webp", "bytes", "nothing", "large", "bomb", "thread"],
)
@pytest.mark.filterwarnings("ignore:Image size")  # Which is all that Pillow does up to twice its limit.
def test_what_cannot_be_used_is_said(content, reason, tmp_path):
    resize = Resize(200)
    found = decode(content, resize)
    assert re.fullmatch(reason, found), found
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"'{tmp_path}/a\.png' is no image that can be used: ") as raised:
        read_image(tmp_path / "a.png", resize)
    assert found in str(raised.value)


@pytest.mark.filterwarnings("ignore:Image size")
def test_who_trusts_a_file_lifts_the_limit(monkeypatch):
    content = saved(PHOTO, "PNG")
    for limit, found in ((53 * 31 - 1, str), (53 * 31, np.ndarray), (None, np.ndarray)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert isinstance(decode(content, Resize(2)), found)


def test_arguments_out_of_range():
    for arguments, error, message in (
        ({"height": 0}, ValueError, "height = 0: accepted is a whole number of at least 1"),
        ({"height": 2.0}, TypeError, "height = 2.0: accepted"),
        ({"height": 2, "width": -1}, ValueError, "width = -1: accepted"),
        ({"height": 2, "fit": "croop"}, ValueError, "fit = 'croop': unknown, did you mean 'crop'"),
        ({"height": 2, "resample": "nearest"}, ValueError, "resample = 'nearest': unknown"),
        ({"height": 2, "keep": 0.0}, ValueError, r"keep = 0.0: accepted is a number in \(0, 1\]"),
        ({"height": 2, "fit": "stretch", "keep": 0.5}, ValueError, "keep = 0.5: accepted with fit = 'stretch' is 1"),
    ):
        with pytest.raises(error, match=message):
            Resize(**arguments)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read_image(tmp_path / "missing.png", Resize(2))


def test_without_pillow_the_message_says_how_to_get_it(monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments):
        if name == "PIL":
            raise ModuleNotFoundError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"images need the package pillow: pip install 'jaxlab\[lab\]'"):
        decoding.import_pillow()
