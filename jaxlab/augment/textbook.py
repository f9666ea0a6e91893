"""The augmentation that textbooks show."""

from jaxlab.augment.compose import Flow, compose
from jaxlab.augment.flip import horizontal_flip
from jaxlab.augment.rotation import rotation
from jaxlab.augment.shear import shear
from jaxlab.augment.shift import shift
from jaxlab.augment.zoom import zoom


def textbook() -> Flow:
    """A Keras ``ImageDataGenerator`` with the numbers that tutorials give it, as one flow.

    ``rotation_range=15, width_shift_range=0.1, height_shift_range=0.1, shear_range=0.1, zoom_range=0.1,
    horizontal_flip=True, fill_mode="nearest"``: the same maps in the same order, from the same distributions. Its
    shear is 0.1 degrees, which is hardly any, see :func:`~jaxlab.augment.shear.shear`.

    >>> {name: round(float(strength), 6) for name, strength in textbook().strengths.items()}
    {'rotation': 15.0, 'shift': 0.1, 'shear': 0.1, 'zoom': 0.1, 'horizontal_flip': 0.5}
    """
    return compose(rotation(15.0), shift(0.1), shear(0.1), zoom(0.1), horizontal_flip(0.5), fill="nearest")
