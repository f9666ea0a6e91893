"""Every operation by name."""

import dataclasses
import inspect
from collections.abc import Callable

from jaxlab.augment.blur import blur
from jaxlab.augment.brightness import brightness
from jaxlab.augment.contrast import contrast
from jaxlab.augment.crop import crop
from jaxlab.augment.cutmix import cutmix
from jaxlab.augment.cutout import cutout
from jaxlab.augment.flip import horizontal_flip, vertical_flip
from jaxlab.augment.hue import hue
from jaxlab.augment.mixup import mixup
from jaxlab.augment.operation import Geometric, Mixing, Operation
from jaxlab.augment.resized_crop import resized_crop
from jaxlab.augment.rotation import rotation
from jaxlab.augment.saturation import saturation
from jaxlab.augment.shear import shear
from jaxlab.augment.shift import shift
from jaxlab.augment.zoom import zoom
from jaxlab.core import hyper
from jaxlab.core.space import Distribution, Uniform


@dataclasses.dataclass(frozen=True)
class OperationInfo:
    """What a search, a preview or a table needs to know of an operation.

    Attributes:
      factory: ``factory(strength) -> operation``; without a strength at its default.
      meaning: what the strength is, with its unit.
      search: strengths worth searching, from nothing on.
      reference: where it was published, or whose meaning it has.
    """

    factory: Callable[..., Operation]
    meaning: str
    search: Distribution
    reference: str

    @property
    def name(self) -> str:
        """As in ``get(name)``."""
        return self.factory.__name__

    @property
    def strength(self) -> float:
        """The default."""
        return float(inspect.signature(self.factory).parameters["strength"].default)

    @property
    def kind(self) -> str:
        """``"geometric"``, ``"pixelwise"`` or ``"mixing"``: what it is given, and returns."""
        made = self.factory()
        return "geometric" if isinstance(made, Geometric) else "mixing" if isinstance(made, Mixing) else "pixelwise"


_KERAS, _PILLOW = "Keras's ImageDataGenerator", "Pillow's ImageEnhance"
_FACTOR = "half the width of the range of factors around 1"

_OPERATIONS = {
    info.name: info
    for info in (
        OperationInfo(rotation, "largest angle, degrees", Uniform(0, 45), _KERAS),
        OperationInfo(shift, "largest distance, fraction of the side", Uniform(0, 0.3), _KERAS),
        OperationInfo(shear, "largest angle, degrees", Uniform(0, 30), _KERAS),
        OperationInfo(zoom, "half the width of the range of factors around 1", Uniform(0, 0.5), _KERAS),
        OperationInfo(horizontal_flip, "probability", Uniform(0, 0.5), _KERAS),
        OperationInfo(vertical_flip, "probability", Uniform(0, 0.5), _KERAS),
        OperationInfo(crop, "padding, pixels", Uniform(0, 8), "He et al. 2015, arXiv:1512.03385"),
        OperationInfo(
            resized_crop, "1 less the smallest area", Uniform(0, 0.92), "Szegedy et al. 2014, arXiv:1409.4842"
        ),
        OperationInfo(brightness, _FACTOR, Uniform(0, 1), f"{_PILLOW}.Brightness"),
        OperationInfo(contrast, _FACTOR, Uniform(0, 1), f"{_PILLOW}.Contrast"),
        OperationInfo(saturation, _FACTOR, Uniform(0, 1), f"{_PILLOW}.Color"),
        OperationInfo(hue, "largest angle, fraction of a turn", Uniform(0, 0.2), "colorsys"),
        OperationInfo(blur, "largest standard deviation, pixels", Uniform(0, 1.5), "scipy.ndimage.gaussian_filter"),
        OperationInfo(
            cutout, "side, fraction of the shorter side", Uniform(0, 0.75), "DeVries and Taylor 2017, arXiv:1708.04552"
        ),
        OperationInfo(mixup, "alpha of the weight's beta", Uniform(0, 1), "Zhang et al. 2018, arXiv:1710.09412"),
        OperationInfo(cutmix, "alpha of the area's beta", Uniform(0, 1), "Yun et al. 2019, arXiv:1905.04899"),
    )
}


def names() -> tuple[str, ...]:
    """The names of all operations.

    >>> names()[:5]
    ('rotation', 'shift', 'shear', 'zoom', 'horizontal_flip')
    """
    return tuple(_OPERATIONS)


def get(name: str) -> OperationInfo:
    """What is known of one operation.

    Raises:
      ValueError: an unknown name; the nearest is suggested.

    >>> get("mixup").kind, get("mixup").strength, get("rotation").meaning
    ('mixing', 0.2, 'largest angle, degrees')
    >>> get("colour")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: operation = 'colour': unknown, did you mean 'blur'? Accepted are: rotation, shift, ...
    """
    return _OPERATIONS[hyper.one_of("operation", name, _OPERATIONS)]
