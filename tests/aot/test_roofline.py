"""The roofline's arithmetic by hand, on slices whose links are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxlab.aot import Roofline, Work, rate, roofline
from jaxlab.aot.roofline import joined
from jaxlab.core.chips import chip_of
from jaxlab.sharding.collectives import Collective

V5E, V5P = chip_of("TPU v5 lite"), chip_of("TPU v5")
NO_MESH = SimpleNamespace(axis_names=(), devices=np.array(None))


def mesh(**sizes):
    """Devices in a torus whose dimensions are the mesh's axes."""
    places = np.empty(tuple(sizes.values()), object)
    for at in np.ndindex(*places.shape):
        places[at] = SimpleNamespace(coords=[*at, *[0] * (3 - len(at))])
    return SimpleNamespace(axis_names=tuple(sizes), devices=places)


def along(*axes, kind="all-gather", sent=1.0):
    return Collective(kind, axes, 4, 1, sent, True)


def test_each_instruction_waits_for_the_slower_of_arithmetic_and_memory():
    computes = Work("a", "fusion", 2, 3 * V5E.peak_flops, 1 * V5E.bandwidth, False, True)
    reads = Work("b", "fusion", 1, 0.0, 5 * V5E.bandwidth, False, True)
    copies = Work("c", "copy-start", 1, 0.0, 2 * V5E.bandwidth, True, True)
    found = roofline([computes, reads, copies], (), NO_MESH, V5E)
    assert found == Roofline(compute=6.0, memory=9.0, links=0.0, core=11.0)
    assert (found.seconds, found.bound) == (11.0, "compute")


def test_links_run_beside():
    found = Roofline(compute=1.0, memory=0.5, links=3.0, core=1.2)
    assert (found.seconds, found.bound) == (3.0, "links")
    assert Roofline(compute=0.1, memory=0.9, links=0.3, core=0.9).bound == "memory"
    sent = [along("x", sent=2e9), along("y", sent=1e9)]
    assert roofline((), sent, mesh(x=4, y=4), V5E).links == pytest.approx(3e9 / V5E.link_bandwidth)


@pytest.mark.parametrize(
    ("sizes", "axes", "chip", "links"),
    [
        ({"x": 4, "y": 4}, ("x",), V5E, 1),  # a line
        ({"x": 4, "y": 4}, ("x", "y"), V5E, 2),  # lines along both
        ({"x": 16, "y": 4}, ("x",), V5E, 2),  # a ring: 16 is the pod's side
        ({"x": 2, "y": 2, "z": 2}, ("x", "y", "z"), V5P, 3),
        ({"x": 4, "y": 4, "z": 4}, ("x",), V5P, 2),  # cubes of 4 are closed by switches
    ],
)
def test_links_of_a_group(sizes, axes, chip, links):
    assert rate(along(*axes), mesh(**sizes), chip) == links * chip.link_bandwidth


def test_groups_that_share_a_link():
    """Devices 0 and 2, 1 and 3 of a line: the link in the middle serves both pairs."""
    line = mesh(x=4)
    line.devices, line.axis_names = line.devices.reshape(2, 2), ("far", "near")
    assert rate(along("far"), line, V5E) == V5E.link_bandwidth / 2
    assert rate(along("near"), line, V5E) == V5E.link_bandwidth


def test_what_has_no_place_in_a_torus():
    switch = SimpleNamespace(axis_names=("x",), devices=np.array([SimpleNamespace() for _ in range(8)]))
    h100 = chip_of("NVIDIA H100 80GB HBM3")
    assert rate(along("x"), switch, h100) == pytest.approx(450e9)
    assert rate(along("x", kind="collective-permute"), mesh(x=4), V5E) == V5E.link_bandwidth
    assert rate(along("x")._replace(axes=None), mesh(x=4), V5E) == V5E.link_bandwidth


def test_where_a_torus_closes():
    assert [size for size in (2, 4, 8, 16) if joined(size, links=4)] == [16]
    assert [size for size in (2, 4, 6, 8) if joined(size, links=6)] == [4, 8]
