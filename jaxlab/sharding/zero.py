"""ZeRO: which axis of a leaf the devices that see different examples share among them."""

import math
from collections.abc import Mapping, Sequence

from jax.sharding import PartitionSpec

from jaxlab.sharding.rules import Entry, devices_of, names_of

STAGES = (0, 1, 2, 3)


def cut(
    shape: Sequence[int],
    spec: PartitionSpec,
    among: tuple[str, ...],
    axes: Mapping[str, int],
    min_size: int,
    kept: tuple[str, ...] | None = None,
) -> PartitionSpec:
    """The spec with one axis of the leaf cut further, among the mesh axes ``among``.

    The longest axis is taken, of those that no mesh axis cuts yet if there is one; of equally long ones the first,
    since quantized state has its blocks on the last. Where all of ``among`` together cut no axis evenly, one of them
    does, the first that can. A leaf with fewer than ``min_size`` elements, or with no axis that can be cut evenly,
    stays as it is: what it would save is less than what it would cost to gather.

    Args:
      shape, spec: of the leaf.
      among: mesh axes, the outermost part first.
      axes: the mesh's, with their sizes.
      min_size: elements.
      kept: then only these of ``among`` cut; the others would cut the same axis of the leaf into parts of these parts.

    >>> tuple(cut((16, 64), PartitionSpec(None, "tensor"), ("data",), {"data": 4, "tensor": 2}, 0))
    ('data', 'tensor')
    """
    if math.prod(shape) < max(1, min_size):
        return spec
    entries: list[Entry] = [*spec, *[None] * (len(shape) - len(spec))]
    for some in (among, *((name,) for name in among)):
        parts = devices_of(some, axes)
        even = [axis for axis, entry in enumerate(entries) if shape[axis] % (devices_of(entry, axes) * parts) == 0]
        if some and even:
            axis = max(even, key=lambda axis: (entries[axis] is None, shape[axis], -axis))
            names = (*names_of(entries[axis]), *(name for name in some if kept is None or name in kept))
            entries[axis] = None if not names else names[0] if len(names) == 1 else names
            return PartitionSpec(*entries)
    return spec
