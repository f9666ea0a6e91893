"""TPU slices that are not here, as libtpu describes them to its compiler: ``v5e:4x4``."""

import importlib.util
import math
import os
import re
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from jaxlab.core.chips import Chip, chip_of


class Generation(NamedTuple):
    """What slices of one generation look like.

    Attributes:
      kind: the device kind.
      pod: chips along each side of the largest slice.
      options: what libtpu is told beside the shape.
      example: a slice that can be had.
    """

    kind: str
    pod: tuple[int, ...]
    options: dict[str, Any]
    example: str


GENERATIONS = {
    "v2": Generation("TPU v2", (16, 16), {}, "4x4"),
    "v3": Generation("TPU v3", (32, 32), {}, "4x4"),
    "v4": Generation("TPU v4", (16, 16, 16), {"chip_config_name": "megacore"}, "2x2x2"),
    "v5e": Generation("TPU v5 lite", (16, 16), {}, "4x4"),
    "v5p": Generation("TPU v5", (16, 20, 28), {}, "2x2x2"),
    "v6e": Generation("TPU v6 lite", (16, 16), {}, "4x4"),
    "tpu7x": Generation("TPU7x", (16, 24, 24), {}, "2x2x2"),
}

# What libtpu would otherwise ask of the machine that it believes to run on; and several processes may compile at once.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}

HOW_TO_GET_IT = (
    "libtpu, which compiles for TPUs, is not installed: accepted is an environment of its own, for ordinary runs start "
    "slower with it: python3.11 -m venv .venv-tpu && .venv-tpu/bin/pip install -r .github/requirements/tpu.txt && "
    ".venv-tpu/bin/pip install --no-deps -e ."
)


class Slice(NamedTuple):
    """A slice by its name.

    Attributes:
      name: such as ``"v5e:4x4"``.
      chip: what each of its devices can do.
      devices: how many there are; TPU v2, v3 and 7x have two a chip.
    """

    name: str
    chip: Chip
    devices: int


def slice_of(name: str) -> Slice:
    """The slice of a name; needs no libtpu.

    Raises:
      ValueError: an unknown generation, or a shape that it has not.

    >>> slice_of("v5p:2x2x2").devices, slice_of("v5e:4x4").chip.name
    (8, 'TPU v5e')
    >>> slice_of("v5e:3x3")
    Traceback (most recent call last):
      ...
    ValueError: slice = 'v5e:3x3': accepted are v5e:AxB of even numbers up to 16x16, such as v5e:4x4, and v5e:1x1
    """
    generation, _, text = name.partition(":")
    if generation not in GENERATIONS:
        known = ", ".join(f"{key}:{one.example}" for key, one in GENERATIONS.items())
        raise ValueError(f"slice = {name!r}: accepted is a generation of TPU and a shape, such as {known}")
    one = GENERATIONS[generation]
    sides = [int(side) for side in text.split("x")] if re.fullmatch(r"\d+(x\d+)*", text) else []
    flat = len(one.pod) == 2
    # A host has 2x2 chips; single ones are lent, too, of those generations that also serve.
    alone = generation in ("v5e", "v6e") and sides == [1, 1]
    hosts = len(sides) == len(one.pod) and all(side % 2 == 0 for side in sides[:2]) and min(sides) > 0
    if not alone and not (
        hosts and all(side <= most for side, most in zip(sorted(sides), sorted(one.pod), strict=True))
    ):
        most = "x".join(map(str, one.pod))
        form = f"{generation}:AxB of even numbers" if flat else f"{generation}:AxBxC, A and B even,"
        single = f", and {generation}:1x1" if generation in ("v5e", "v6e") else ""
        raise ValueError(
            f"slice = {name!r}: accepted are {form} up to {most}, such as {generation}:{one.example}{single}"
        )
    chip = chip_of(one.kind)
    assert chip is not None, one.kind
    halves = 2 if generation in ("v2", "v3", "tpu7x") else 1
    return Slice(name, chip, halves * math.prod(sides))


def devices_of(name: str) -> list[Any]:
    """The devices of a slice that is not here, to make a mesh of and to compile for.

    ``jax_platforms`` is set to ``cpu``, unless something is: else jax looks for a TPU first, because libtpu is there.

    Raises:
      ValueError: as :func:`slice_of`.
      ImportError: libtpu is not installed; says how to get it.
    """
    wanted = slice_of(name)
    if importlib.util.find_spec("libtpu") is None:
        raise ImportError(HOW_TO_GET_IT)
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    if not jax.config.values.get("jax_platforms"):
        jax.config.update("jax_platforms", "cpu")
    generation, _, shape = name.partition(":")
    options = dict(GENERATIONS[generation].options)
    if shape == "1x1":
        options["chips_per_host_bounds"] = (1, 1, 1)
    found = list(topologies.get_topology_desc(name, "tpu", **options).devices)
    assert len(found) == wanted.devices, (name, found)
    return found
