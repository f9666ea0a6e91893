"""Meshes from a line of text, and what is refused."""

import jax
import pytest
from jax.sharding import AxisType

from jaxlab.sharding import make_mesh
from jaxlab.sharding.mesh import parse


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("data=8", {"data": 8}),
        ("data=-1", {"data": 8}),
        ("data=2,fsdp=2,tensor=2", {"data": 2, "fsdp": 2, "tensor": 2}),
        (" data = 2 , tensor = -1 ", {"data": 2, "tensor": 4}),
        ("tensor=2,data=-1", {"tensor": 2, "data": 4}),
        ("sequence=8,fsdp=1", {"sequence": 8, "fsdp": 1}),
    ],
)
def test_sizes_in_their_order(text, sizes):
    assert list(parse(text, 8).items()) == list(sizes.items())
    assert list(make_mesh(text).shape.items()) == list(sizes.items())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("data=8,model=1", "axis 'model' is unknown; accepted are data, fsdp, sequence, tensor"),
        ("data=2,data=4", "'data' is named twice"),
        ("data=3", "take 3 devices and there are 8"),
        ("data=-1,tensor=3", "take 3 devices and there are 8"),
        ("data=-1,tensor=-1", "data and tensor are both -1; accepted is one"),
        ("data=0", "data=0; accepted is at least 1, or -1"),
        ("data=-2", "data=-2; accepted is at least 1, or -1"),
        ("data:8", "'data:8' is no axis=size, such as data=4"),
        ("data=two", "no axis=size"),
        ("", "'' is no axis=size"),
        ("data=8,", "'' is no axis=size"),
    ],
)
def test_bad_text_is_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_mesh(text)


def test_no_text_is_no_mesh():
    with pytest.raises(TypeError, match=r"mesh = 8: accepted is a text such as 'data=4,tensor=2', or a jax\.sharding"):
        make_mesh(8)


def test_axes_are_automatic_unless_they_are_explicit():
    assert set(make_mesh("data=4,tensor=2").axis_types) == {AxisType.Auto}
    assert set(make_mesh("data=4,tensor=2", axis_types="explicit").axis_types) == {AxisType.Explicit}
    with pytest.raises(ValueError, match="axis_types = 'manual'"):
        make_mesh("data=8", axis_types="manual")


def test_neighbours_differ_in_the_last_axis_and_devices_may_be_some():
    mesh = make_mesh("data=2,tensor=2", devices=jax.devices()[:4])
    assert mesh.devices.tolist() == [jax.devices()[:2], jax.devices()[2:4]]
    with pytest.raises(ValueError, match="take 8 devices and there are 4"):
        make_mesh("data=8", devices=jax.devices()[:4])
    with pytest.raises(ValueError, match="one of them is there twice"):
        make_mesh("data=2", devices=jax.devices()[:1] * 2)
    for devices in ([], 4, "cpu"):
        with pytest.raises(TypeError, match=r"devices = .*: accepted is a list of devices, such as"):
            make_mesh("data=-1", devices=devices)
