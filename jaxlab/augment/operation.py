"""What an augmentation is: a keyed function of one image, of one of three kinds.

An operation is a frozen dataclass and a pytree. Its leaf ``strength`` is the one number that says how much, and may be
traced: a search, or a population, moves it without compiling again. At 0 every operation does nothing. The kind says
what an operation is given, and so how :func:`~jaxlab.augment.compose.compose` joins it with its neighbours.
"""

import abc
import dataclasses
from typing import Any, ClassVar, TypeVar

import jax
from jax.tree_util import GetAttrKey, register_pytree_with_keys
from jaxtyping import Array, ArrayLike, Float, Key, Real

from jaxlab.augment import pixels
from jaxlab.augment.matrix import Matrix
from jaxlab.augment.resample import affine
from jaxlab.core import hyper


@dataclasses.dataclass(frozen=True)
class Operation(abc.ABC):
    """What all kinds have in common. Made by a factory, which validates, and registered as a pytree.

    Attributes:
      strength: how much; 0 is nothing. A leaf.
      name: the factory's.
      accepted: the interval of strengths.
    """

    strength: hyper.Scalar
    name: ClassVar[str]
    accepted: ClassVar[str] = "[0, inf)"


class Geometric(Operation):
    """An operation that moves pixels: an affine map of coordinates, drawn at random.

    Attributes:
      draws: how many random numbers it takes for an image. Neighbours in a flow take theirs from one generator: the
        code of each would take longer to compile than all the rest.
    """

    draws: ClassVar[int]

    @abc.abstractmethod
    def warp(self, uniform: Float[Array, " draws"], height: int, width: int) -> Matrix:
        """The map from an output pixel (row, column, 1) to an input pixel, about the middle of the image.

        Args:
          uniform: ``draws`` numbers in [0, 1).
          height, width: of the image (static).
        """

    def matrix(self, key: Key[Array, ""], height: int, width: int) -> Matrix:
        """The map that a key draws."""
        return self.warp(jax.random.uniform(key, (self.draws,), hyper.arithmetic_dtype()), height, width)

    def __call__(
        self,
        key: Key[Array, ""],
        image: Real[ArrayLike, "height width channels"],
        fill: str = "nearest",
        value: hyper.Scalar = 0.0,
    ) -> Float[Array, "height width channels"]:
        """An image, resampled by :func:`~jaxlab.augment.resample.affine` through the map that the key draws."""
        height, width, _ = pixels.numbers(image).shape
        return affine(image, self.matrix(hyper.random_key("key", key), height, width), fill, value)


class Pixelwise(Operation):
    """An operation on what an image shows where it is: its colours, its sharpness, a hole."""

    @abc.abstractmethod
    def __call__(
        self, key: Key[Array, ""], image: Real[Array, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """An image of bytes or floating pixels, see :mod:`jaxlab.augment.pixels`."""


class Mixing(Operation):
    """An operation that mixes an example with another one, image and label."""

    @abc.abstractmethod
    def __call__(
        self,
        key: Key[Array, ""],
        image: Real[Array, "height width channels"],
        label: Float[Array, " classes"],
        other_image: Real[Array, "height width channels"],
        other_label: Float[Array, " classes"],
    ) -> tuple[Float[Array, "height width channels"], Float[Array, " classes"]]:
        """Image and label of the mixture. Labels are probabilities."""


T = TypeVar("T", bound=Operation)


def registered(kind: type[T]) -> type[T]:
    """Makes a dataclass of operations a pytree: fields are leaves, but for those whose metadata say ``static``.

    As ``jax.tree_util.register_dataclass`` does. But in jax 0.10 and 0.12 two of its classes with as many fields have
    equal structures, and ``jit`` looks programs up by structure: in one process of twenty or so, where hashes met, it
    ran mixup for CutMix. Structures of nodes that are registered like this differ by class.
    """
    fields = dataclasses.fields(kind)
    static = [field.name for field in fields if field.metadata.get("static")]
    leaves = [field.name for field in fields if field.name not in static]

    def flatten(one: T) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        return [(GetAttrKey(name), getattr(one, name)) for name in leaves], tuple(getattr(one, name) for name in static)

    def unflatten(structure: tuple[Any, ...], values: Any) -> T:
        return kind(**dict(zip(leaves, values, strict=True)), **dict(zip(static, structure, strict=True)))

    register_pytree_with_keys(kind, flatten, unflatten)
    return kind
