"""ImageNet as models trained on it see it: the view of a photograph, the scale of its pixels, the names of classes."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from jaxlab.core import hyper

MEAN, DEVIATION = 127.0, 128.0
"""Of pixels from 0 to 255, as EfficientNet-Lite takes them: the same for all three colours."""

_CROPPED = 0.875
_STEPS = 1024


def standardised(images: Num[Array, "..."]) -> Float[Array, "..."]:
    """Pixels from 0 to 255, bytes or not, on the scale that EfficientNet-Lite was trained on: (x - 127) / 128.

    >>> standardised(jnp.array([[0, 127, 255]], jnp.uint8)).tolist()
    [[-0.9921875, 0.0, 1.0]]
    """
    return (jnp.asarray(images).astype(hyper.arithmetic_dtype()) - MEAN) / DEVIATION


def imagenet_view(image: Num[np.ndarray, "height width channels"], size: int = 224) -> np.ndarray:
    """The middle of a photograph as EfficientNet was evaluated on it: a square, resized to ``size`` x ``size``.

    The square's side is 7/8 of the shorter side (the original's too at 224; at other sizes it cuts off as many pixels
    of the result, 32). The resizing is TensorFlow 1's bicubic, to the number: the cubic kernel with a = -0.75 in steps
    of 1/1024, four pixels along each axis whatever the scale, output pixel i at input pixel i times the scale, and the
    edge repeated. It is done on the host, for photographs differ in size.

    Args:
      image: of any size, on any scale.
      size: height and width of the result.

    Returns:
      float32 on the scale of the image, a little beyond it beside edges.

    Raises:
      ValueError: a size below 1, an image of another form or too small to cut.

    Reference: https://github.com/tensorflow/tpu, models/official/efficientnet/preprocessing.py.

    >>> imagenet_view(np.full((300, 400, 3), 9, np.uint8), 224).shape
    (224, 224, 3)
    """
    hyper.integer("size", size, at_least=1)
    image = np.asarray(image)
    # The border that is cut off is a whole number of pixels of the result.
    side = int(np.float32(size / (size + round(size * (1 / _CROPPED - 1)))) * np.float32(min(image.shape[:2])))
    if image.ndim != 3 or not side:
        raise ValueError(f"image has shape {image.shape}: accepted is (height, width, channels), both at least 2")
    top, left = ((length - side + 1) // 2 for length in image.shape[:2])
    square = image[top : top + side, left : left + side].astype(np.float64)
    weights = _bicubic(side, size)
    return np.einsum("ia,abc,jb->ijc", weights, square, weights, optimize=True).astype(np.float32)


def _bicubic(length: int, size: int) -> np.ndarray:
    """What each of ``size`` pixels takes of each of ``length``."""
    place = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    first = np.floor(place)
    ahead = np.rint((place - first) * _STEPS).astype(np.float64) / _STEPS
    weights = np.zeros((size, length))
    for step in (-1, 0, 1, 2):
        x = np.abs(ahead - step)
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3
        tap = np.clip(first.astype(int) + step, 0, length - 1)
        np.add.at(weights, (np.arange(size), tap), np.where(x <= 1, near, far))
    return weights


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order of all models' logits.

    >>> imagenet_classes()[0], imagenet_classes()[340], len(imagenet_classes())
    ('tench', 'zebra', 1000)
    """
    return tuple(pathlib.Path(__file__).with_name("imagenet_classes.txt").read_text("utf-8").splitlines())


def imagenet_top(logits: Float[Array, "1000"], number: int = 5) -> list[tuple[str, float]]:
    """The likeliest classes by name, each with its probability.

    Raises:
      ValueError: logits of other than 1000 classes, or a number outside 1 to 1000.

    >>> imagenet_top(jnp.zeros(1000).at[340].set(9.0), 1)[0][0]
    'zebra'
    """
    names = imagenet_classes()
    hyper.integer("number", number, at_least=1, at_most=len(names))
    if jnp.shape(logits) != (len(names),):
        raise ValueError(f"logits have shape {jnp.shape(logits)}: accepted is ({len(names)},), those of one image")
    probabilities, indices = jax.lax.top_k(jax.nn.softmax(jnp.asarray(logits)), number)
    return [(names[int(i)], float(p)) for i, p in zip(indices, probabilities, strict=True)]
