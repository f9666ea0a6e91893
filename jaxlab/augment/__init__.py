"""Augmentation inside the compiled step: keyed functions of one image, composed, mapped over a batch.

>>> import jax, jax.numpy as jnp
>>> flow = compose(rotation(15.0), horizontal_flip(0.5))
>>> flow.batch(jax.random.key(0), jnp.ones((2, 28, 28, 1))).shape
(2, 28, 28, 1)
"""

from jaxlab.augment.compose import Flow, compose
from jaxlab.augment.crop import crop
from jaxlab.augment.flip import horizontal_flip, vertical_flip
from jaxlab.augment.operation import Geometric, Mixing, Operation, Pixelwise
from jaxlab.augment.resample import affine
from jaxlab.augment.resized_crop import resized_crop
from jaxlab.augment.rotation import rotation
from jaxlab.augment.shear import shear
from jaxlab.augment.shift import shift
from jaxlab.augment.textbook import textbook
from jaxlab.augment.zoom import zoom

__all__ = [
    "Flow",
    "Geometric",
    "Mixing",
    "Operation",
    "Pixelwise",
    "affine",
    "compose",
    "crop",
    "horizontal_flip",
    "resized_crop",
    "rotation",
    "shear",
    "shift",
    "textbook",
    "vertical_flip",
    "zoom",
]
