"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): where its files are, or how they are fetched."""

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxlab.tasks.idx import read_idx

ADDRESS = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")

CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""SHA-256 of each published file."""

Arrays = dict[str, np.ndarray]


def fashion_mnist() -> tuple[Arrays, Arrays]:
    """``(pool, test)``, the official split: 60,000 and 10,000 images ``x`` [n, 28, 28] in bytes, labels ``y``.

    The files are read from ``$JAXLAB_DATA/fashion-mnist`` where that folder exists, else from where Debian's
    package ``dataset-fashion-mnist`` puts them, else from ``~/.cache/jaxlab/fashion-mnist``, into which they
    are fetched (31 MB, once) where they are nowhere.

    Raises:
      FileNotFoundError: they are nowhere and cannot be fetched, or a folder lacks one; says how to get them.
      ValueError: a file is damaged or holds something else; names it.

    Reference: https://arxiv.org/abs/1708.07747.
    """
    return read(locate() or fetch(_cache(), ADDRESS))


def locate() -> Path | None:
    """The first folder that may hold the files and exists."""
    own = os.environ.get("JAXLAB_DATA")
    places = [*([Path(own) / "fashion-mnist"] if own else []), DEBIAN, _cache()]
    return next((place for place in places if place.is_dir()), None)


def read(folder: Path) -> tuple[Arrays, Arrays]:
    """``(pool, test)`` from a folder with the four files, checked against each other.

    Raises:
      FileNotFoundError: a file is missing; says how to get it.
      ValueError: a file is damaged, or does not hold what its name says.
    """
    for name in CHECKSUMS:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; {_HOW}")
    return _pair(folder, "train"), _pair(folder, "t10k")


def _pair(folder: Path, part: str) -> Arrays:
    images_path, labels_path = folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path}: holds an array of shape {images.shape}: accepted are images [n, 28, 28]")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path}: holds an array of shape {labels.shape}: accepted are {len(images)} labels, one an image"
        )
    if labels.max(initial=0) > 9:
        raise ValueError(f"{labels_path}: holds label {labels.max()}: accepted are 0 to 9")
    return {"x": images, "y": labels.astype(np.int32)}


def fetch(folder: Path, address: str, checksums: Mapping[str, str] = CHECKSUMS) -> Path:
    """Fetches the files into a new folder, which appears only when all are there and right.

    Raises:
      FileNotFoundError: the address cannot be reached; says how to get the files otherwise.
      ValueError: what came is not what was published.
    """
    contents = {}
    for name, expected in checksums.items():
        try:
            with urllib.request.urlopen(address + name, timeout=60) as reply:
                contents[name] = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise FileNotFoundError(
                f"Fashion-MNIST is not on this machine, and {address + name}: {error}; {_HOW}"
            ) from None
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected:
            raise ValueError(f"{address + name}: what came has SHA-256 {found}, published was {expected}")
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    for name, content in contents.items():
        (unfinished / name).write_bytes(content)
    return unfinished.rename(folder)


def _cache() -> Path:
    return Path.home() / ".cache" / "jaxlab" / "fashion-mnist"


_HOW = (
    "on Debian and Ubuntu `apt-get install dataset-fashion-mnist` brings the files; "
    f"elsewhere put the four from {ADDRESS} into $JAXLAB_DATA/fashion-mnist"
)
