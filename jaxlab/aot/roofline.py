r"""An estimate of a step's time from what its program does and what the chips can do at most.

Instructions of a core run one after the other, each for as long as its arithmetic or its traffic with the memory
takes, whichever is longer. Copies ahead, and what devices send each other, run beside:

.. math::
    t = \max\Big(\sum_i \max\big(\tfrac{F_i}{F}, \tfrac{B_i}{B}\big),\; \sum_j \tfrac{B_j}{B},\;
    \sum_k \tfrac{S_k}{L_k}\Big)

over the instructions i that compute, all instructions j, and all collectives k, with operations F, bytes B and bytes
sent S, and the chip's peak, bandwidth and links below. It is an estimate: nothing reaches its peak, some collectives
wait, elementwise arithmetic counts as its traffic alone, and a product in float32, which takes several passes, as one
in bfloat16; a measured step takes longer.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxlab.aot.work import Work
from jaxlab.core.chips import Chip
from jaxlab.sharding.collectives import Collective


class Roofline(NamedTuple):
    """Seconds of a step.

    Attributes:
      compute: all operations at the chip's peak.
      memory: all bytes at its memory's bandwidth.
      links: all bytes sent, each along its links.
      core: instructions one after the other, each by its arithmetic or its memory.
    """

    compute: float
    memory: float
    links: float
    core: float

    @property
    def seconds(self) -> float:
        """The estimate: the longest of what runs side by side."""
        return max(self.core, self.memory, self.links)

    @property
    def bound(self) -> str:
        """What the step waits for most: ``"links"``, ``"memory"`` or ``"compute"``."""
        if self.seconds > self.core:
            return "links" if self.links >= self.memory else "memory"
        return "compute" if 2 * self.compute >= self.core else "memory"


def roofline(work: Sequence[Work], sent: Sequence[Collective], mesh: Mesh, chip: Chip) -> Roofline:
    """The estimate for one program.

    Args:
      work: by :func:`~jaxlab.aot.work.works`.
      sent: by :func:`~jaxlab.sharding.collectives.collectives`.
      mesh: of the program's devices.
      chip: what each of them can do.

    >>> from jaxlab.core.chips import chip_of
    >>> import jax
    >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    >>> product = Work("dot", "dot", times=3, flops=197e12, bytes=819e9 / 2, beside=False, exact=True)
    >>> roofline([product], (), mesh, chip_of("TPU v5e"))
    Roofline(compute=3.0, memory=1.5, links=0.0, core=3.0)
    """
    each = [(one, one.times * one.flops / chip.peak_flops, one.times * one.bytes / chip.bandwidth) for one in work]
    return Roofline(
        compute=math.fsum(compute for _, compute, _ in each),
        memory=math.fsum(memory for _, _, memory in each),
        links=math.fsum(one.sent / rate(one, mesh, chip) for one in sent),
        core=math.fsum(max(compute, memory) for one, compute, memory in each if not one.beside),
    )


def rate(one: Collective, mesh: Mesh, chip: Chip) -> float:
    """The bytes a second that each device sends in a collective.

    In a torus the devices of a group lie along some of its dimensions. Along each they send over one link, over two
    where its ends are joined to a ring; devices that lie k apart share each link with k - 1 other groups. What is not a
    group along whole axes, or a permutation, is taken to go over one link. Without coordinates (GPUs at a switch) a
    device sends over all its links at once.
    """
    if one.axes is None or one.kind == "collective-permute":
        return chip.link_bandwidth
    places = [getattr(device, "coords", None) for device in _group(mesh, one.axes)]
    if any(place is None for place in places):
        return chip.links * chip.link_bandwidth
    pod = np.array([device.coords for device in mesh.devices.flat])
    links = 0.0
    for dimension, along in enumerate(np.array(places).T):
        taken = np.unique(along)
        if len(taken) > 1:
            size = len(np.unique(pod[:, dimension]))
            rings = 2 if len(taken) == size and joined(size, chip.links) else 1
            links += rings / int(np.diff(taken).min())
    # Both cores of a chip: they share all of its links, and its memory.
    return (links or chip.links) * chip.link_bandwidth


def joined(size: int, links: int) -> bool:
    """Whether a torus closes along a dimension of a slice: of whole pods' sides, in 2D; of cubes of 4, in 3D."""
    return size >= 16 if links <= 4 else size % 4 == 0


def _group(mesh: Mesh, axes: tuple[str, ...]) -> list:
    """The devices of the mesh's first group along some axes."""
    index = tuple(slice(None) if name in axes else 0 for name in mesh.axis_names)
    return list(np.asarray(mesh.devices[index]).flat)
