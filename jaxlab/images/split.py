"""Which images are for the test: a hash of what is in each file, so that a copy is where its original is."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32

from jaxlab.core import hyper


def place(digest: str, seed: int = 0) -> float:
    """An image's number in [0, 1): for ever the same, whatever it is called and whatever lies beside it.

    Args:
      digest: SHA-256 of its file, in hexadecimal.
      seed: of another split.

    >>> round(place("00" * 32), 4), round(place("00" * 32, seed=1), 4)
    (0.9798, 0.0324)
    """
    return int(hashlib.sha256(f"{seed}\0{digest}".encode()).hexdigest()[:13], 16) / 16**13


def held_out(
    digests: Sequence[str], labels: Int32[np.ndarray, " n"], fraction: float, seed: int = 0
) -> Bool[np.ndarray, " n"]:
    """Which images are held out: those whose :func:`place` is below a fraction.

    Images that are added change the side of none, and of every class both sides have some: where no image of a class is
    below the fraction, the one that comes nearest is held out, where all are, the farthest is not. (Only that one may
    change its side when images are added.) How many images of a class are held out is therefore up to chance, about
    ``fraction`` of them.

    Args:
      digests: SHA-256 of each image's file.
      labels: its class.
      fraction: in (0, 1).
      seed: of another split.

    Raises:
      TypeError, ValueError: a number that is none or out of range; a class of one image.
    """
    hyper.number("fraction", fraction, "(0, 1)")
    hyper.integer("seed", seed, at_least=0)
    places = np.array([place(digest, seed) for digest in digests])
    chosen = places < fraction
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        if len(members) == 1:
            raise ValueError(f"class {label} has one image: accepted are at least two, one for each side of the split")
        if not chosen[members].any():
            chosen[members[places[members].argmin()]] = True
        if chosen[members].all():
            chosen[members[places[members].argmax()]] = False
    return chosen
