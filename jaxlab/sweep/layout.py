"""How the members of a device are trained: together, one after the other, or a few at a time.

Which is fastest depends on how well one member fills the device: small networks gain from being vectorised, large
ones lose (their working set leaves the cache). So ``"auto"`` asks the device, by a short trial.
"""

import statistics
from collections.abc import Callable, Hashable
from time import perf_counter

from jaxlab.core import hyper

Layout = str | int
LAYOUTS = ("vmap", "map", "auto")
FEW = 8
"""The width between one and all that a trial tries, where a device has at least twice as many members."""
SHORT = 0.1
"""Seconds that a stretch of a trial should take."""
tried: dict[Hashable, dict[str, float]] = {}
"""Seconds a step of each layout, by all that decides them; kept while the process lives."""


def check(layout: Layout) -> Layout:
    """Refuses what is no layout.

    Raises:
      TypeError, ValueError: neither one of :data:`LAYOUTS` nor a whole number of at least 1.

    >>> check("vmap"), check(4)
    ('vmap', 4)
    """
    if isinstance(layout, str):
        return hyper.one_of("layout", layout, LAYOUTS)
    return hyper.integer("layout", layout, at_least=1)


def width(layout: Layout) -> int | None:
    """How many members are vectorised together; None: all.

    >>> width("vmap"), width("map"), width(8)
    (None, 1, 8)
    """
    return {"vmap": None, "map": 1}[layout] if isinstance(layout, str) else layout


def candidates(places: int) -> tuple[Layout, ...]:
    """What ``"auto"`` tries where each device has so many members.

    >>> candidates(1), candidates(4), candidates(16)
    (('map',), ('vmap', 'map'), ('vmap', 'map', 8))
    """
    if places == 1:
        return ("map",)
    return ("vmap", "map", FEW) if places >= 2 * FEW else ("vmap", "map")


def seconds_per_step(stretch: Callable[[int], object]) -> float:
    """How long a step takes, once warm: the median of three stretches of about :data:`SHORT` seconds.

    Args:
      stretch: takes so many steps, and returns when they are done.
    """

    def seconds(steps: int) -> float:
        start = perf_counter()
        stretch(steps)
        return (perf_counter() - start) / steps

    seconds(1)
    once = seconds(1)
    if once > 5 * SHORT:
        return once
    # One step alone is soon disturbed: by the least of three the stretches are made long enough.
    once = min(once, seconds(1), seconds(1))
    steps = max(1, round(SHORT / once))
    return statistics.median(seconds(steps) for _ in range(3))


def fastest(seconds: dict[str, float]) -> Layout:
    """The layout of a trial that took the least time.

    >>> fastest({"vmap": 0.2, "map": 0.3, "8": 0.1})
    8
    """
    name = min(seconds, key=lambda name: seconds[name])
    return name if name in LAYOUTS else int(name)
