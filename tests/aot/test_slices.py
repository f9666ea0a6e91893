"""Names of slices, and what a machine without libtpu says."""

import importlib.util

import pytest

from jaxlab import aot


@pytest.mark.parametrize(
    ("name", "devices", "chip"),
    [
        ("v5e:1x1", 1, "TPU v5e"),
        ("v5e:4x4", 16, "TPU v5e"),
        ("v5p:2x2x1", 4, "TPU v5p"),
        ("v6e:16x16", 256, "TPU v6e"),
        ("v3:4x4", 32, "TPU v3 core"),
        ("tpu7x:2x2x1", 8, "TPU7x half"),
    ],
)
def test_slices(name, devices, chip):
    found = aot.slice_of(name)
    assert (found.name, found.devices, found.chip.name) == (name, devices, chip)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v9:4x4", "v2:4x4, v3:4x4, v4:2x2x2, v5e:4x4, v5p:2x2x2, v6e:4x4, tpu7x:2x2x2"),
        ("v5e", "v5e:AxB of even numbers up to 16x16, such as v5e:4x4, and v5e:1x1"),
        ("v5e:3x3", "accepted are v5e:AxB"),
        ("v5e:2x2x2", "accepted are v5e:AxB"),
        ("v5e:32x32", "up to 16x16"),
        ("v5p:4x4", "v5p:AxBxC, A and B even, up to 16x20x28, such as v5p:2x2x2"),
        ("v5p:1x1", "accepted are v5p:AxBxC"),
        ("v5p:2x2x0", "accepted are v5p:AxBxC"),
    ],
)
def test_unknown_slices(name, message):
    with pytest.raises(ValueError, match=rf"slice = '{name}': .*{message}"):
        aot.slice_of(name)


def test_without_libtpu_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"venv .*pip install -r \.github/requirements/tpu\.txt"):
        aot.devices_of("v5e:4x4")
