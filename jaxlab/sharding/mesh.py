"""A mesh of devices from a line of text: ``data=4,fsdp=2,tensor=2``."""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxlab.core import hyper

AXES = ("data", "fsdp", "sequence", "tensor")
"""The axes that layouts know, from the outermost (least communication) to the innermost."""
AXIS_TYPES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}


def make_mesh(
    text: str = "data=-1",
    *,
    axis_types: str = "auto",
    devices: Sequence[Any] | None = None,
) -> Mesh:
    """The mesh that a line of text describes.

    ``data`` and ``fsdp`` both cut the batch; ``fsdp`` cuts parameters, gradients and state, too
    (:class:`~jaxlab.sharding.Layout` says when). ``tensor`` cuts matrices by rules, ``sequence`` the batch's second
    axis. Devices next to each other differ in the last axis first: name the axis that talks most last.

    Args:
      text: ``axis=size`` pairs, separated by commas. One size may be -1: whatever devices are left.
      axis_types: ``"auto"``, where XLA finds the layouts between those that are given, or ``"explicit"``, where
        every array's layout is part of its type.
      devices: by default all, of all processes.

    Raises:
      TypeError: no text; ``devices`` that are no list of devices, or an empty one.
      ValueError: an axis other than data, fsdp, sequence, tensor, one named twice, a size below 1, sizes whose
        product is not the number of devices; one device twice.

    >>> dict(make_mesh("data=-1,tensor=1", devices=jax.devices()[:1]).shape)
    {'data': 1, 'tensor': 1}
    """
    hyper.one_of("axis_types", axis_types, AXIS_TYPES)
    devices = jax.devices() if devices is None else _checked(devices)
    sizes = parse(text, len(devices))
    kinds = (AXIS_TYPES[axis_types],) * len(sizes)
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=kinds, devices=devices)


def parse(text: str, devices: int) -> dict[str, int]:
    """The axes and their sizes, whose product is ``devices``.

    Raises:
      TypeError: no text.
      ValueError: as :func:`make_mesh`.

    >>> parse("data=-1,tensor=2", 8)
    {'data': 4, 'tensor': 2}
    """
    if not isinstance(text, str):
        raise TypeError(f"mesh = {text!r}: accepted is a text such as 'data=4,tensor=2', or a jax.sharding.Mesh")
    sizes: dict[str, int] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\w+)\s*=\s*(-?\d+)\s*", part)
        if found is None:
            raise ValueError(f"mesh = {text!r}: {part!r} is no axis=size, such as data=4")
        name, size = found[1], int(found[2])
        if name not in AXES:
            raise ValueError(f"mesh = {text!r}: axis {name!r} is unknown; accepted are {', '.join(AXES)}")
        if name in sizes:
            raise ValueError(f"mesh = {text!r}: axis {name!r} is named twice")
        if size < 1 and size != -1:
            raise ValueError(f"mesh = {text!r}: {name}={size}; accepted is at least 1, or -1 for the devices left")
        sizes[name] = size
    open_axes = [name for name, size in sizes.items() if size == -1]
    if len(open_axes) > 1:
        raise ValueError(f"mesh = {text!r}: {' and '.join(open_axes)} are both -1; accepted is one")
    taken = math.prod(size for size in sizes.values() if size != -1)
    if open_axes and devices % taken == 0:
        sizes[open_axes[0]] = devices // taken
    elif open_axes or taken != devices:
        raise ValueError(
            f"mesh = {text!r}: its axes take {taken} devices and there are {devices}; accepted are sizes whose product "
            "is the number of devices"
        )
    return sizes


def _checked(devices: Any) -> list[Any]:
    listed = list(devices) if isinstance(devices, Sequence | np.ndarray) else []
    if not listed or not all(hasattr(device, "device_kind") for device in listed):
        raise TypeError(f"devices = {devices!r}: accepted is a list of devices, such as jax.devices()[:4]")
    if len(set(listed)) < len(listed):
        raise ValueError(f"devices = {devices!r}: one of them is there twice; accepted is each once")
    return listed
