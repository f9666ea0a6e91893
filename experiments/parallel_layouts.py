"""Which layouts some devices allow, and how their texts are read."""

import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from jaxlab.core import hyper
from jaxlab.sharding import Layout, make_mesh
from jaxlab.sharding.rules import Rules
from jaxlab.sweep import use_every_core

VIRTUAL = 8
"""CPU devices where a machine has one device."""
CLOSE = 8
"""At most so many devices along tensor and sequence: those that the fastest links join."""


class Named(NamedTuple):
    """A line of text such as ``data=4,tensor=2 zero=1``, read: the mesh's text, and the stage or None."""

    text: str
    mesh: str
    zero: int | None


def devices_here() -> list[Any]:
    """All devices where there are several; else this processor, as so many as were chosen, by default eight.

    Call before JAX's first computation: the number of CPU devices is set before it starts, unless ``XLA_FLAGS`` or
    ``JAX_NUM_CPU_DEVICES`` say it.
    """
    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        use_every_core(VIRTUAL)
    found = jax.devices()
    return found if len(found) > 1 else jax.devices("cpu")


def divisor(number: int, *, at_most: int) -> int:
    """The largest divisor of a number up to a bound.

    >>> divisor(12, at_most=8), divisor(13, at_most=8)
    (6, 1)
    """
    return max(part for part in range(1, min(number, at_most) + 1) if number % part == 0)


def layouts_for(devices: int, *, sequence: bool) -> list[str]:
    """One device, then every kind of layout that so many devices allow, once.

    Args:
      devices: how many; a prime number has no mixed layouts.
      sequence: whether the batch has an axis of that name.

    >>> layouts_for(3, sequence=False)
    ['data=1', 'data=3', 'data=3 zero=1', 'data=3 zero=2', 'fsdp=3', 'tensor=3']
    >>> layouts_for(8, sequence=True)[-4:]
    ['tensor=8', 'sequence=8', 'data=4,tensor=2', 'data=2,fsdp=2,tensor=2']
    """
    whole, close = f"data={devices}", divisor(devices, at_most=CLOSE)
    least = next((part for part in range(2, devices + 1) if devices % part == 0), 1)
    rest = devices // least
    second = next((part for part in range(2, rest + 1) if rest % part == 0), 1)
    found = [
        "data=1",
        whole,
        f"{whole} zero=1",
        f"{whole} zero=2",
        f"fsdp={devices}",
        mesh_text(data=least, fsdp=rest) if rest > 1 else "",
        mesh_text(data=devices // close, tensor=close) if close > 1 else "",
        mesh_text(data=devices // close, sequence=close) if close > 1 and sequence else "",
        mesh_text(data=rest, tensor=least) if rest > 1 else "",
        mesh_text(data=rest // second, fsdp=second, tensor=least) if rest > second else "",
    ]
    return list(dict.fromkeys(text for text in found if text)) if devices > 1 else ["data=1"]


def mesh_text(**sizes: int) -> str:
    """Axes and sizes as a mesh's text, without those of size 1.

    >>> mesh_text(data=1, tensor=4)
    'tensor=4'
    """
    return ",".join(f"{name}={size}" for name, size in sizes.items() if size > 1)


def read(text: str) -> Named:
    """A line of text, taken apart.

    Raises:
      ValueError: more words than a mesh and a stage; another stage than 0 to 3.

    >>> read("data=8 zero=1")
    Named(text='data=8 zero=1', mesh='data=8', zero=1)
    """
    mesh, *more = text.split() or [""]
    if not more:
        return Named(text, mesh, None)
    found = re.fullmatch(r"zero=([0-3])", " ".join(more))
    if found is None:
        raise ValueError(
            f"layouts: {text!r} has {' '.join(more)!r} behind the mesh: accepted is nothing, or zero=0 to zero=3"
        )
    return Named(text, mesh, int(found[1]))


def build(named: Named, devices: Sequence[Any], rules: Rules, batch: tuple[str, ...], axis_types: str) -> Layout:
    """The layout on the first of the devices, as many as it takes.

    Args:
      named: what to build.
      devices: all that there are.
      rules: of the model, for the mesh axis ``tensor``.
      batch: names of the axes of the batch.
      axis_types: ``"auto"`` or ``"explicit"``.

    Raises:
      ValueError: of a mesh's text; more devices than there are; a mesh axis ``sequence`` for a batch without.
    """
    sizes = [int(size) for size in re.findall(r"=\s*(-?\d+)", named.mesh)]
    taken = math.prod(sizes) if sizes and min(sizes) > 0 else len(devices)
    mesh = make_mesh(named.mesh, axis_types=axis_types, devices=devices[:taken])
    if "sequence" in mesh.shape:
        hyper.one_of("layouts: sequence needs a batch whose axes are", "sequence", batch)
    return Layout(mesh, rules if "tensor" in mesh.shape else (), zero=named.zero, batch=batch)
