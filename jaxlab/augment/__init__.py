"""Augmentation inside the compiled step: keyed functions of one image, composed, mapped over a batch.

>>> import jax, jax.numpy as jnp
>>> flow = compose(rotation(15.0), horizontal_flip(0.5))
>>> jax.jit(flow.batch)(jax.random.key(0), jnp.ones((2, 28, 28, 1))).shape
(2, 28, 28, 1)
"""

from jaxlab.augment.blur import blur, gaussian_blur
from jaxlab.augment.brightness import adjust_brightness, brightness
from jaxlab.augment.compose import Flow, compose
from jaxlab.augment.contrast import adjust_contrast, contrast
from jaxlab.augment.crop import crop
from jaxlab.augment.cutmix import cutmix
from jaxlab.augment.cutout import cutout
from jaxlab.augment.flip import horizontal_flip, vertical_flip
from jaxlab.augment.hue import adjust_hue, hue
from jaxlab.augment.mixup import mixup
from jaxlab.augment.operation import Geometric, Mixing, Operation, Pixelwise
from jaxlab.augment.preview import Preview, preview
from jaxlab.augment.registry import OperationInfo, get, names
from jaxlab.augment.resample import affine
from jaxlab.augment.resized_crop import resized_crop
from jaxlab.augment.rotation import rotation
from jaxlab.augment.saturation import adjust_saturation, saturation
from jaxlab.augment.shear import shear
from jaxlab.augment.shift import shift
from jaxlab.augment.textbook import textbook
from jaxlab.augment.zoom import zoom

__all__ = [
    "Flow",
    "Geometric",
    "Mixing",
    "Operation",
    "OperationInfo",
    "Pixelwise",
    "Preview",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "affine",
    "blur",
    "brightness",
    "compose",
    "contrast",
    "crop",
    "cutmix",
    "cutout",
    "gaussian_blur",
    "get",
    "horizontal_flip",
    "hue",
    "mixup",
    "names",
    "preview",
    "resized_crop",
    "rotation",
    "saturation",
    "shear",
    "shift",
    "textbook",
    "vertical_flip",
    "zoom",
]
