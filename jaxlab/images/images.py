"""Images of one size with their classes, ready for training."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8

from jaxlab.images.cache import decoded
from jaxlab.images.decode import Resize
from jaxlab.images.folder import check_every_class, digest_of, image_folder
from jaxlab.images.split import held_out


class Batch(TypedDict):
    """Images, of bytes, and their classes."""

    x: UInt8[np.ndarray, "b height width 3"]
    y: Int32[np.ndarray, " b"]


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images of one size; :func:`open_images` makes it.

    Attributes:
      name: of their folder.
      classes: names of the classes.
      paths: where each image is from, relative to the folder; sorted.
      labels: the number of each image's class.
      digests: SHA-256 of each image's file.
      left_out: files of the folder that are no image, none that can be read, or the same as another, with the reason.
      stored: pixels of these and perhaps of other images, which :meth:`split` has put on the other side.
      rows: where in ``stored`` each image is.
    """

    name: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Int32[np.ndarray, " n"]
    digests: tuple[str, ...]
    left_out: Mapping[str, str]
    stored: UInt8[np.ndarray, "m height width 3"]
    rows: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents of the files: two results with one digest saw the same images."""
        return digest_of(self.paths, self.digests)

    @property
    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        return {name: int(np.sum(self.labels == label)) for label, name in enumerate(self.classes)}

    def describe(self) -> str:
        """Which images these are, in a few words."""
        height, width = self.stored.shape[1:3]
        left_out = f", {len(self.left_out)} files left out" if self.left_out else ""
        return (
            f"images in {self.name!r} ({len(self):,} of {len(self.classes)} classes, {height} x {width} pixels, "
            f"SHA-256 {self.digest[:12]}{left_out})"
        )

    def load(self, numbers: Int[np.ndarray, " b"]) -> Batch:
        """The images of these numbers, from 0 to ``len(images) - 1``, in this order."""
        chosen = np.asarray(numbers)
        return {"x": self.stored[self.rows[chosen]], "y": self.labels[chosen]}

    def arrays(self) -> Batch:
        """All images, in memory."""
        return self.load(np.arange(len(self)))

    def split(self, test_fraction: float = 0.25, seed: int = 0) -> tuple["Images", "Images"]:
        """``(train, test)``: no photograph is on both sides, whatever it is called, and each class is on both.

        An image's side is a hash of what is in its file (:func:`jaxlab.images.split.held_out`), so images that are
        added or taken away change the side of none. Pixels are not copied.

        Args:
          test_fraction: about how many of all are for the test, in (0, 1).
          seed: of another split.

        Raises:
          TypeError, ValueError: a number that is none or out of range; a class of one image.
        """
        test = held_out(self.digests, self.labels, test_fraction, seed)
        return self._those(~test), self._those(test)

    def _those(self, chosen: Bool[np.ndarray, " n"]) -> "Images":
        numbers = np.flatnonzero(chosen)
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[number] for number in numbers),
            digests=tuple(self.digests[number] for number in numbers),
            labels=self.labels[numbers],
            rows=self.rows[numbers],
        )


def open_images(
    folder: str | Path, resize: Resize, *, cache: str | Path | None = None, skip_unreadable: bool = False
) -> Images:
    """The images below a folder, one folder a class, decoded and resized on all cores, or out of a cache.

    A cache is one file for what is in the images' files, the size and Pillow's version. With another image, or without
    one, it is another file; one that was cut off is made anew. Nothing takes old ones away: the folder may be deleted.

    Args:
      folder: as :func:`jaxlab.images.image_folder` reads it.
      resize: to which size, and how.
      cache: a folder for decoded images, ``3 * height * width`` bytes each; None keeps them in memory.
      skip_unreadable: whether files that cannot be read or decoded are left out and listed, not an error.

    Raises:
      OSError: the folder is missing, or a file cannot be read or written.
      ValueError: the folder has no classes, a class no images, an image is damaged; names it.
      TypeError: ``resize`` that is no size.
      ImportError: Pillow is not installed; the message says how.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("red/1.png", "red/2.jpg", "blue/1.gif", "blue/2.gif"):
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     Image.new("RGB", (8, 6 + int(name[-5])), name.split("/")[0]).save(root / name)
    >>> _ = (root / "red" / "3.png").write_bytes(b"?")
    >>> images = open_images(root, Resize(4), skip_unreadable=True)
    >>> images.counts, dict(images.left_out)
    ({'blue': 2, 'red': 2}, {'red/3.png': 'not of a kind that Pillow reads'})
    >>> train, test = images.split(0.5)
    >>> train.counts, test.arrays()["x"].shape
    ({'blue': 1, 'red': 1}, (2, 4, 4, 3))
    """
    if not isinstance(resize, Resize):
        raise TypeError(f"resize = {resize!r}: accepted is a size, such as jaxlab.images.Resize(224)")
    found = image_folder(folder, skip_unreadable=skip_unreadable)
    made = decoded(found, resize, None if cache is None else Path(cache), skip_unreadable=skip_unreadable)
    kept = np.setdiff1d(np.arange(len(found.paths)), list(made.unreadable))
    unreadable = {found.paths[number]: reason for number, reason in made.unreadable.items()}
    left_out = MappingProxyType(dict(sorted({**found.left_out, **unreadable}.items())))
    check_every_class(found.root, found.classes, found.labels[kept], left_out)
    return Images(
        name=found.root.name,
        classes=found.classes,
        paths=tuple(found.paths[number] for number in kept),
        labels=found.labels[kept],
        digests=tuple(found.digests[number] for number in kept),
        left_out=left_out,
        stored=made.pixels,
        rows=np.arange(len(kept)),
    )
