"""ZeRO: which axis of a leaf the devices that see different examples share among them."""

from collections.abc import Mapping, Sequence

from jax.sharding import PartitionSpec

from jaxlab.sharding.rules import Entry, devices_of, names_of

STAGES = (0, 1, 2, 3)


def cut(
    shape: Sequence[int], spec: PartitionSpec, among: tuple[str, ...], axes: Mapping[str, int], min_size: int
) -> PartitionSpec:
    """The spec with one axis of the leaf cut further, among the mesh axes ``among``.

    The longest axis is taken, of those that no mesh axis cuts yet if there is one; of equally long ones the first,
    since quantized state has its blocks on the last. A leaf with fewer than ``min_size`` elements, or with no axis that
    can be cut evenly, stays as it is: what it would save is less than what it would cost to gather.

    >>> tuple(cut((16, 64), PartitionSpec(None, "tensor"), ("data",), {"data": 4, "tensor": 2}, 0))
    ('data', 'tensor')
    """
    size = 1
    for length in shape:
        size *= length
    if not among or size < max(1, min_size):
        return spec
    entries: list[Entry] = [*spec, *[None] * (len(shape) - len(spec))]
    parts = devices_of(among, axes)
    open_axes = [axis for axis, entry in enumerate(entries) if shape[axis] % (devices_of(entry, axes) * parts) == 0]
    if not open_axes:
        return spec
    axis = max(open_axes, key=lambda axis: (entries[axis] is None, shape[axis], -axis))
    names = (*names_of(entries[axis]), *among)
    entries[axis] = names[0] if len(names) == 1 else names
    return PartitionSpec(*entries)
