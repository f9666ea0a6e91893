"""Ordered rules from a parameter's name to the mesh axes that cut it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import PartitionSpec

from jaxlab.core import tree
from jaxlab.sharding.mesh import AXES

Entry = None | str | tuple[str, ...]
Rules = Sequence[tuple[str, Sequence[Entry]]]
"""Ordered ``(regular expression, mesh axis of each array axis)`` pairs; the first that is found in a name decides."""

ACCEPTED = "(regular expression, mesh axes) rules such as ('kernel$', (None, 'tensor'))"


def specs_of(
    shapes: Mapping[str, tuple[int, ...] | None], rules: Rules, axes: Mapping[str, int]
) -> dict[str, PartitionSpec]:
    """Where each leaf lies.

    A leaf that no rule names is whole on every device. An axis that jaxlab knows and the mesh has not counts as one
    of size 1, so that the same rules serve every mesh.

    Args:
      shapes: of the leaves, by name. None for a leaf that is elsewhere, such as among the frozen ones: rules may be
        for it, and it lies nowhere.
      rules: see :data:`Rules`. Fewer mesh axes than the leaf has axes: the last are whole.
      axes: the mesh's, with their sizes.

    Raises:
      TypeError: rules of another form.
      ValueError: an axis that neither the mesh has nor jaxlab knows; a rule that matches no leaf, or only leaves that
        earlier rules have decided otherwise; a leaf with fewer axes than its rule names; one mesh axis on two axes of
        a leaf; a size that its mesh axes do not divide.

    >>> specs = specs_of({"up/kernel": (8, 16), "up/bias": (16,)}, [("kernel", (None, "tensor"))], {"tensor": 4})
    >>> tuple(specs["up/kernel"]), tuple(specs["up/bias"])
    ((None, 'tensor'), ())
    """
    rules = [
        (pattern, _entries(pattern, entries, axes)) for pattern, entries in tree.check_rules("rules", rules, ACCEPTED)
    ]
    found: dict[str, PartitionSpec] = {}
    for number, (pattern, entries) in enumerate(rules):
        mine = [name for name in shapes if re.search(pattern, name)]
        if shapes and not mine:
            raise ValueError(f"rule {pattern!r} matches no parameter; the parameters are {_some(shapes)}")
        open_names = [name for name in mine if name not in found]
        if mine and not open_names and any(found[name] != PartitionSpec(*entries) for name in mine):
            first = next(earlier for earlier, _ in rules[:number] if re.search(earlier, mine[0]))
            raise ValueError(
                f"rules {first!r} and {pattern!r} collide: both match {mine[0]!r}, the first decides, and nothing is "
                "left to the second; accepted are rules from the special to the general"
            )
        for name in open_names:
            shape = shapes[name]
            found[name] = PartitionSpec(*entries) if shape is None else _fitting(name, shape, pattern, entries, axes)
    return {name: found.get(name, PartitionSpec()) for name, shape in shapes.items() if shape is not None}


def devices_of(entry: Entry, axes: Mapping[str, int]) -> int:
    """Into how many parts an entry of a spec cuts."""
    return math.prod(axes[name] for name in names_of(entry))


def names_of(entry: Entry) -> tuple[str, ...]:
    """The mesh axes of an entry of a spec."""
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _entries(pattern: str, entries: Any, axes: Mapping[str, int]) -> tuple[Entry, ...]:
    """The rule's mesh axes, without those that the mesh has not."""
    if isinstance(entries, str) or not isinstance(entries, Sequence | PartitionSpec):
        raise TypeError(f"rules: {entries!r} for {pattern!r}: accepted are {ACCEPTED}")
    kept: list[Entry] = []
    for entry in entries:
        names = (entry,) if entry is None or isinstance(entry, str) else entry
        if not isinstance(names, list | tuple) or not all(name is None or isinstance(name, str) for name in names):
            raise TypeError(f"rules: {entries!r} for {pattern!r}: accepted are {ACCEPTED}")
        for name in names_of(entry):
            if name not in axes and name not in AXES:
                raise ValueError(
                    f"rules: {pattern!r} names mesh axis {name!r}; the mesh has {', '.join(axes)}, accepted are also "
                    f"{', '.join(AXES)}"
                )
        left = tuple(name for name in names_of(entry) if name in axes)
        kept.append(None if not left else left[0] if len(left) == 1 else left)
    used = [name for entry in kept for name in names_of(entry)]
    if twice := sorted({name for name in used if used.count(name) > 1}):
        raise ValueError(f"rules: {pattern!r} cuts two axes by mesh axis {twice[0]!r}: accepted is one")
    return tuple(kept)


def _some(shapes: Mapping[str, tuple[int, ...] | None], shown: int = 20) -> str:
    """Names with shapes; a deep model has hundreds."""
    told = [f"{name} {shape}" for name, shape in list(shapes.items())[:shown]]
    return ", ".join(told) + (f" and {len(shapes) - shown} more" if len(shapes) > shown else "")


def _fitting(
    name: str, shape: tuple[int, ...], pattern: str, entries: tuple[Entry, ...], axes: Mapping[str, int]
) -> PartitionSpec:
    if len(entries) > len(shape):
        raise ValueError(
            f"rule {pattern!r} names {len(entries)} axes, and {name!r} has shape {shape}: accepted are at most as many"
        )
    for axis, (size, entry) in enumerate(zip(shape, entries, strict=False)):
        if size % devices_of(entry, axes):
            raise ValueError(
                f"rule {pattern!r}: axis {axis} of {name!r}, shape {shape}, is not divided by mesh axis "
                f"{'*'.join(names_of(entry))} of size {devices_of(entry, axes)}; accepted are multiples of it"
            )
    return PartitionSpec(*entries)
