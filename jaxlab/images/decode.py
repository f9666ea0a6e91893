"""Images of any kind, through Pillow, as red, green and blue bytes of one size."""

import dataclasses
import hashlib
import io
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxlab.core import host, hyper
from jaxlab.images.folder import ImageFolder

FITS = ("crop", "stretch")
RESAMPLES = ("bilinear", "bicubic")

Pixels = UInt8[np.ndarray, "height width 3"]

TOGETHER = 64
"""How many images are decoded before the first of them is asked for."""

# What Pillow raises where a file is damaged: the first five were met by damaging files of every kind, the others are in
# the code of its readers.
_DAMAGE = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    Warning,
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    struct.error,
)


@dataclasses.dataclass(frozen=True)
class Resize:
    """How images of all sizes become images of one.

    Attributes:
      height: in pixels.
      width: in pixels; None for a square.
      fit: ``"crop"`` makes an image as small as it can be while it covers the size, and takes its centre;
        ``"stretch"`` makes both sides what they shall be, whatever they were.
      resample: Pillow's filter, ``"bicubic"`` or ``"bilinear"``; both look at every pixel where they make smaller.
      keep: the share of the covering image's sides that is kept, in (0, 1]. ImageNet's usual evaluation at 224 makes
        the shorter side 256: ``Resize(224, keep=0.875)``. With ``"stretch"`` it is 1.

    >>> Resize(224, keep=0.875).scaled(width=640, height=480)
    (341, 256)
    """

    height: int
    width: int | None = None
    fit: str = "crop"
    resample: str = "bicubic"
    keep: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what is no size."""
        object.__setattr__(self, "height", hyper.integer("height", self.height, at_least=1))
        width = self.height if self.width is None else hyper.integer("width", self.width, at_least=1)
        object.__setattr__(self, "width", width)
        hyper.one_of("fit", self.fit, FITS)
        hyper.one_of("resample", self.resample, RESAMPLES)
        hyper.number("keep", self.keep, "(0, 1]")
        object.__setattr__(self, "keep", float(self.keep))
        if self.fit == "stretch" and self.keep != 1.0:
            raise ValueError(f"keep = {self.keep}: accepted with fit = 'stretch' is 1, for nothing is cut off")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of every image: height, width, 3."""
        assert self.width is not None
        return self.height, self.width, 3

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """The width and the height that an image is resized to, before it is cut."""
        across, down = (round(size / self.keep) for size in (self.shape[1], self.shape[0]))
        if self.fit == "stretch":
            return across, down
        if width * down >= height * across:
            return down * width // height, down
        return across, across * height // width


def read_image(path: str | Path, resize: Resize) -> Pixels:
    """One image.

    Of an animation it is the first frame, turned as its camera noted (EXIF). What is transparent lies on white; 16 bits
    become 8, by their upper ones; colour profiles are ignored, as everywhere in machine learning. Then Pillow resizes,
    so the result is what ``torchvision`` makes of a Pillow image.

    Args:
      path: the file.
      resize: to which size, and how.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is empty, truncated or damaged, no image, or larger than Pillow's limit against files that
        decompress into the machine's whole memory; names it.
      ImportError: Pillow is not installed; the message says how.

    >>> import tempfile
    >>> from PIL import Image
    >>> file = Path(tempfile.mkdtemp()) / "red.png"
    >>> Image.new("RGB", (30, 20), "red").save(file)
    >>> read_image(file, Resize(2)).tolist()
    [[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]]
    """
    found = decode(Path(path).read_bytes(), resize)
    if isinstance(found, str):
        raise ValueError(f"{str(path)!r} is no image that can be used: {found}")
    return found


def decode_all(folder: ImageFolder, resize: Resize) -> Iterator[Pixels | str]:
    """All images of a folder in their order, decoded on all cores; or why one cannot be.

    Args:
      folder: which images.
      resize: to which size, and how.

    Raises:
      OSError: a file cannot be read.
      ValueError: one is not what it was when its folder was read.
    """
    import_pillow()

    def one(number: int) -> Pixels | str:
        file = folder.root / folder.paths[number]
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != folder.digests[number]:
            raise ValueError(
                f"{str(file)!r} changed while it was read: accepted are images that nobody changes meanwhile"
            )
        return decode(content, resize)

    with ThreadPoolExecutor(host.cores()) as threads:
        for start in range(0, len(folder.paths), TOGETHER):
            yield from threads.map(one, range(start, min(start + TOGETHER, len(folder.paths))))


def decode(content: bytes, resize: Resize) -> Pixels | str:
    """An image from the bytes of its file; or why there is none."""
    pillow, operations = import_pillow()
    if not content:
        return "the file is empty"
    try:
        with pillow.open(io.BytesIO(content)) as image:
            if 0 in image.size:
                return "it has no pixels"
            excess = _too_large(image.size) or _too_large(resize.scaled(*image.size))
            if excess is not None:
                return excess
            colours = _rgb(operations.exif_transpose(image))
        scaled = colours.resize(resize.scaled(*colours.size), getattr(pillow.Resampling, resize.resample.upper()))
    except pillow.UnidentifiedImageError:
        return "not of a kind that Pillow reads"
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        return str(error)
    except _DAMAGE as error:
        return f"truncated or damaged ({error})"
    height, width, _ = resize.shape
    left, top = (round((has - wants) / 2) for has, wants in zip(scaled.size, (width, height), strict=True))
    return np.asarray(scaled.crop((left, top, left + width, top + height)))


def import_pillow() -> Any:
    """Pillow's ``Image`` and ``ImageOps``.

    Raises:
      ImportError: it is not installed; the message says how.
    """
    try:
        # Loaded here, for whoever has no images needs none of it.
        from PIL import Image, ImageOps  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("images need the package pillow: pip install 'jaxlab[lab]'") from error
    return Image, ImageOps


def _too_large(size: tuple[int, int]) -> str | None:
    """Pillow only warns, up to twice its limit; and an image a pixel wide grows by being resized."""
    limit = import_pillow()[0].MAX_IMAGE_PIXELS
    if limit is None or size[0] * size[1] <= limit:
        return None
    return (
        f"{size[0]:,} x {size[1]:,} pixels are more than {limit:,}; who trusts the file sets PIL.Image.MAX_IMAGE_PIXELS"
    )


def _rgb(image: Any) -> Any:
    """Red, green and blue, of any image of Pillow's."""
    pillow, _ = import_pillow()
    if image.mode == "F":
        raise ValueError("pixels are floating numbers, of which nobody knows what is white")
    if image.mode[0] == "I":  # Pillow would cut off what is above 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"pixels from {values.min()} to {values.max()}: accepted are 0 to 65535")
        image = pillow.fromarray((values >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    white = pillow.new("RGBA", colours.size, "white")
    return pillow.alpha_composite(white, colours).convert("RGB")
