"""Operations one after the other, as one keyed function of an image or of a batch."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key, Real

from jaxlab.augment import matrix, pixels
from jaxlab.augment.operation import Geometric, Mixing, Operation, Pixelwise
from jaxlab.augment.resample import FILLS, resample
from jaxlab.core import hyper

Stage = tuple[Geometric, ...] | Operation
"""Neighbouring geometric operations, which become one resampling; or one operation of another kind."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow:
    """Operations in order, made by :func:`compose`; a pytree whose leaves are their numbers and ``value``.

    Attributes:
      operations: the first is done first.
      value: of pixels outside of an image under ``fill="constant"``, on the image's own scale.
      fill: what lies outside of an image, see :func:`~jaxlab.augment.resample.affine` (static).
    """

    operations: tuple[Operation, ...]
    value: hyper.Scalar
    fill: str = dataclasses.field(metadata={"static": True})

    @property
    def strengths(self) -> dict[str, hyper.Scalar]:
        """How much of each operation, by name."""
        return {operation.name: operation.strength for operation in self.operations}

    def at(self, strengths: Mapping[str, hyper.Scalar]) -> "Flow":
        """The same operations with other strengths, which may be traced; those that are not named stay.

        Raises:
          ValueError: a name that is none of the flow's, a strength outside its operation's range.
          TypeError: strengths that are no numbers by name.
        """
        if not isinstance(strengths, Mapping):
            raise TypeError(f"strengths = {strengths!r}: accepted are numbers by name, of {', '.join(self.strengths)}")
        for name in strengths:
            hyper.one_of("strengths", name, self.strengths)

        def moved(one: Operation) -> Operation:
            if one.name not in strengths:
                return one
            return dataclasses.replace(one, strength=hyper.number(one.name, strengths[one.name], one.accepted))

        return dataclasses.replace(self, operations=tuple(moved(one) for one in self.operations))

    def __call__(
        self, key: Key[Array, ""], image: Real[ArrayLike, "height width channels"]
    ) -> Float[Array, "height width channels"]:
        """One image of bytes or floating pixels, see :mod:`jaxlab.augment.pixels`.

        Raises:
          ValueError: no image, or a flow that mixes examples, which takes a batch.
        """
        self._refuse_mixing()
        values, white = pixels.numbers(image), self._white(image)
        values = values / white
        for stage, own in zip(self._stages, self._keys(hyper.random_key("key", key)), strict=True):
            values = self._changed(stage, own, values, white)
        return pixels.like(image, _scaled(values, white))

    @overload
    def batch(self, key: Key[Array, ""], images: Real[ArrayLike, "n h w c"]) -> Float[Array, "n h w c"]: ...

    @overload
    def batch(
        self, key: Key[Array, ""], images: Real[ArrayLike, "n h w c"], labels: Real[ArrayLike, "n classes"]
    ) -> tuple[Float[Array, "n h w c"], Float[Array, "n classes"]]: ...

    def batch(self, key: Any, images: Any, labels: Any = None) -> Any:
        """A batch of images, number i of n by the key ``jax.random.split(key, n)[i]``.

        An operation that mixes pairs each example with another one of the batch, all with the one that lies as many
        places away as the key says. In a batch of one that is itself.

        Args:
          key: for the whole batch.
          images: [n, height, width, channels].
          labels: probabilities [n, classes]; operations that mix need them.

        Returns:
          The images; with labels, images and labels.

        Raises:
          ValueError: no batch of images, labels that do not fit, or none for a flow that mixes.
        """
        values = pixels.numbers(images, "images", "n height width channels")
        white, count = self._white(images), len(values)
        if labels is None:
            self._refuse_mixing()
        elif jnp.ndim(labels) != 2 or len(labels) != count:
            raise ValueError(f"labels has shape {jnp.shape(labels)}: accepted are probabilities [{count}, classes]")
        values = values / white
        mixed = jnp.zeros((count, 0)) if labels is None else jnp.asarray(labels, values.dtype)
        keys = jax.vmap(self._keys)(jax.random.split(hyper.random_key("key", key), count))
        for number, (stage, own) in enumerate(zip(self._stages, keys, strict=True)):
            if isinstance(stage, Mixing):
                # A number that no example's key was made from.
                away = jax.random.randint(jax.random.fold_in(key, count + number), (), 1, max(2, count))
                others = (jnp.roll(examples, away, axis=0) for examples in (values, mixed))
                values, mixed = jax.vmap(stage)(own, values, mixed, *others)
            else:
                changed = functools.partial(self._changed, stage, white=white)
                values = jax.vmap(changed)(own, values)
        values = pixels.like(images, _scaled(values, white))
        return values if labels is None else (values, mixed)

    @property
    def _stages(self) -> list[Stage]:
        stages: list[Stage] = []
        for one in self.operations:
            last = stages[-1] if stages else None
            if not isinstance(one, Geometric):
                stages.append(one)
            elif isinstance(last, tuple):
                stages[-1] = (*last, one)
            else:
                stages.append((one,))
        return stages

    def _keys(self, key: Array) -> list[Array]:
        """One for each stage of an image."""
        count = len(self._stages)
        return [key] if count == 1 else list(jax.random.split(key, count))

    def _white(self, image: Any) -> float:
        """What to divide pixels by: on the way floats, which are taken to end at 1. Where nobody asks, they stay."""
        return pixels.white(image) if any(isinstance(one, Pixelwise) for one in self.operations) else 1.0

    def _changed(self, stage: Stage, key: Array, image: Array, white: float) -> Array:
        if isinstance(stage, Pixelwise):
            return stage(key, image)
        assert isinstance(stage, tuple), stage
        height, width, _ = image.shape
        return resample(image, whole_matrix(stage, key, height, width), self.fill, self.value / white)

    def _refuse_mixing(self) -> None:
        for one in self.operations:
            if isinstance(one, Mixing):
                raise ValueError(f"{one.name} mixes examples: accepted is a call of flow.batch(key, images, labels)")


def _scaled(values: Float[Array, "..."], white: float) -> Float[Array, "..."]:
    """Back on the scale of bytes. A byte that nothing changed is itself again.

    It need not be: XLA divides by 255 by multiplying with a rounded 1 / 255. What is as near to a whole number as only
    rounding makes it becomes that number, and keeps its gradient.
    """
    if white == 1:
        return values
    levels = values * white
    off = jnp.round(levels) - levels
    return levels + jax.lax.stop_gradient(jnp.where(jnp.abs(off) < 1e-4, off, 0))


def whole_matrix(operations: Sequence[Geometric], key: Key[Array, ""], height: int, width: int) -> matrix.Matrix:
    """The one map that a key draws for geometric operations in order, as a flow of these alone does.

    For what moves with an image: a mask, points, boxes.

    >>> from jaxlab import augment
    >>> operations = augment.vertical_flip(1.0), augment.horizontal_flip(1.0)
    >>> whole_matrix(operations, jax.random.key(0), 4, 6).astype(int).tolist()
    [[-1, 0, 3], [0, -1, 5]]
    """
    uniform = jax.random.uniform(key, (sum(one.draws for one in operations),), hyper.arithmetic_dtype())
    whole = matrix.identity()
    for one in operations:
        own, uniform = uniform[: one.draws], uniform[one.draws :]
        whole = matrix.product(whole, one.warp(own, height, width))
    return whole


def compose(*operations: Operation, fill: str = "nearest", value: hyper.Scalar = 0.0) -> Flow:
    """Operations one after the other. Neighbouring geometric ones become one map, and one resampling.

    So an image that is rotated, shifted and mirrored is interpolated once, loses sharpness once, and costs as much as
    a rotation alone.

    Args:
      operations: at least one, each at most once.
      fill: what lies outside of an image: ``"nearest"``, ``"constant"``, ``"reflect"`` or ``"wrap"``, see
        :func:`~jaxlab.augment.resample.affine` (static).
      value: of pixels outside under ``fill="constant"``, on the image's own scale.

    Returns:
      ``flow(key, image)`` for one image, ``flow.batch(key, images, labels)`` for a batch.

    Raises:
      ValueError: no operation, or one twice; an unknown fill; a value that is not finite.
      TypeError: what is no operation.

    Reference: the one matrix is that of Keras's ``ImageDataGenerator``.

    >>> from jaxlab import augment
    >>> flow = augment.compose(augment.rotation(15.0), augment.horizontal_flip(0.5))
    >>> jax.jit(flow.batch)(jax.random.key(0), jnp.ones((2, 28, 28, 1), jnp.uint8)).shape
    (2, 28, 28, 1)
    >>> {name: float(strength) for name, strength in flow.at({"rotation": 30.0}).strengths.items()}
    {'rotation': 30.0, 'horizontal_flip': 0.5}
    """
    if not operations:
        raise ValueError("operations = (): accepted is at least one, such as jaxlab.augment.rotation(15.0)")
    names: set[str] = set()
    for one in operations:
        if not isinstance(one, Geometric | Pixelwise | Mixing):
            raise TypeError(f"{one!r} is no operation: accepted are those such as jaxlab.augment.rotation(15.0)")
        if one.name in names:
            raise ValueError(f"{one.name} is given twice: accepted is one of each, whose strength has its name")
        names.add(one.name)
    return Flow(operations, hyper.number("value", value), hyper.one_of("fill", fill, FILLS))
