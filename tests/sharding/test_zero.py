"""Which axis of a leaf ZeRO shares."""

import pytest
from jax.sharding import PartitionSpec as P

from jaxlab.sharding.zero import cut

AXES = {"data": 4, "fsdp": 2, "tensor": 2}


@pytest.mark.parametrize(
    ("shape", "spec", "among", "wanted"),
    [
        ((16, 64), P(), ("data",), P(None, "data")),  # the longest
        ((64, 64), P(), ("data",), P("data", None)),  # the first of equals
        ((16, 64), P(None, "tensor"), ("data",), P("data", "tensor")),  # one that nothing cuts, though it is shorter
        ((3, 64), P(None, "tensor"), ("data",), P(None, ("tensor", "data"))),  # if there is one
        ((3, 5), P(), ("data",), P()),  # none that is cut evenly
        ((8,), P("tensor"), ("data",), P(("tensor", "data"))),
        ((4,), P("tensor"), ("data",), P("tensor")),
        ((), P(), ("data",), P()),
        ((0, 4), P(), ("data",), P()),
        ((16, 64), P(), (), P()),
        ((16, 64), P(), ("fsdp", "data"), P(None, ("fsdp", "data"))),
        ((6, 2), P(), ("fsdp", "data"), P("fsdp", None)),  # not by both together: by the first that can
        ((12, 3), P(), ("fsdp", "data"), P("fsdp", None)),
    ],
)
def test_an_axis_is_cut_evenly(shape, spec, among, wanted):
    found = cut(shape, spec, among, AXES, 1)
    entries = [(*found, *[None] * len(shape))[: len(shape)], (*wanted, *[None] * len(shape))[: len(shape)]]
    assert entries[0] == entries[1]


def test_small_leaves_stay_whole():
    assert cut((16, 64), P(), ("data",), AXES, 1024) == P(None, "data")
    assert cut((16, 64), P(), ("data",), AXES, 1025) == P()


def test_what_is_kept_cuts_the_axis_that_all_would():
    assert cut((16, 64), P(), ("fsdp", "data"), AXES, 1, kept=("fsdp",)) == P(None, "fsdp")
    assert cut((16, 64), P(), ("fsdp", "data"), AXES, 1, kept=()) == P(None, None)
