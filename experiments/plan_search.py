"""Which plans to compile: all that divide, less those that arithmetic alone shows to be too large or too slow."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.progress import Progress

from experiments.plan_bounds import Bound, Holding, bound_of, holding_of
from experiments.plan_step import RESERVED, Choice, Training, layout_of
from jaxlab import aot
from jaxlab.models.remat import REMATS

MOST_MICRO = 16
"""Micro-batches of a step."""


@dataclasses.dataclass(frozen=True)
class Considered:
    """All plans for a slice.

    Attributes:
      open: those that may fit, the most promising first.
      too_large: how many need more memory than a chip has, by arithmetic.
      refused: those that do not divide, each with the layout's own words.
    """

    open: list[tuple[Choice, Bound]]
    too_large: int
    refused: dict[Choice, str]


def choices(where: str, training: Training) -> Iterator[Choice]:
    """Every mesh of data, fsdp and tensor, with every stage, remat and number of micro-batches that differ.

    Stages 1 and 2 are those of an axis ``data``, stage 3 that of ``fsdp``: one over the other's axis is the same
    program.
    """
    devices = aot.slice_of(where).devices
    micro = [2**k for k in range(MOST_MICRO.bit_length()) if 2**k <= MOST_MICRO]
    for tensor, fsdp in itertools.product(_divisors(devices), repeat=2):
        if devices % (tensor * fsdp):
            continue
        sizes = {"data": devices // (tensor * fsdp), "fsdp": fsdp, "tensor": tensor}
        mesh = ",".join(f"{name}={size}" for name, size in sizes.items() if size > 1) or "data=1"
        for remat, accumulate in itertools.product(REMATS, micro):
            if training.batch % (sizes["data"] * fsdp * accumulate):
                continue
            stages = (3,) if fsdp > 1 else (0,) if sizes["data"] == 1 else (0, 1, 2) if accumulate > 1 else (0, 1)
            for zero in stages:
                yield Choice(where, mesh, zero, remat, accumulate)


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def consider(training: Training, where: str, devices: Sequence[Any], told: Callable[[], Any]) -> Considered:
    """All plans for a slice, sorted; nothing is compiled.

    Args:
      training: what is to be trained.
      where: the slice.
      devices: its devices, or as many others: those tell how they are linked.
      told: called for each plan.
    """
    slice_ = aot.slice_of(where)
    open_, refused, too_large = [], {}, 0
    held: dict[tuple[str, int], Holding | str] = {}
    for choice in choices(where, training):
        told()
        key = choice.mesh, choice.zero
        if key not in held:
            try:
                held[key] = holding_of(training, layout_of(training, choice._replace(accumulate=1), devices))
            except ValueError as error:
                held[key] = str(error)
        holding = held[key]
        if isinstance(holding, str):
            refused[choice] = holding
            continue
        bound = bound_of(training, choice, holding, slice_.chip)
        if bound.memory > slice_.chip.memory - RESERVED:
            too_large += 1
        else:
            open_.append((choice, bound))
    # Those that are not likely to fit are tried last.
    open_.sort(key=lambda pair: (pair[1].likely > slice_.chip.memory - RESERVED, pair[1].guess))
    return Considered(open_, too_large, refused)


def no_smaller(other: Choice, misfit: Choice) -> bool:
    """Whether a plan needs at least as much memory as one that did not fit: the same, but keeping more at a time."""
    same = (other.slice, other.mesh, other.zero) == (misfit.slice, misfit.mesh, misfit.zero)
    keeps = REMATS.index(other.remat) <= REMATS.index(misfit.remat)
    return same and keeps and other.accumulate <= misfit.accumulate


@dataclasses.dataclass
class Found:
    """What was compiled for a slice, and what became of all other plans.

    Attributes:
      entries: the compiled plans, in the order of their compilation.
      left: how many plans were not compiled, by the reason.
    """

    entries: list[dict[str, Any]]
    left: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def best(self) -> dict[str, Any] | None:
        """The fastest that fits, by the estimate; of equals the first."""
        fitting = [entry for entry in self.entries if entry["fits"]]
        return min(fitting, key=lambda entry: entry["time"]["seconds"], default=None)


def search(
    training: Training, where: str, tries: int, compiled: Callable[[Training, Choice], dict[str, Any]], bar: Progress
) -> Found:
    """Compiles plans for a slice, the most promising first, until none is left that could be faster.

    Args:
      training: what is to be trained.
      where: the slice.
      tries: plans to compile at most.
      compiled: gives a plan's entry.
      bar: for the progress.
    """
    task = bar.add_task(f"{where}: arithmetic", total=None)
    considered = consider(training, where, aot.devices_of(where), lambda: bar.advance(task))
    bar.remove_task(task)
    task = bar.add_task(where, total=tries)
    found = Found([])
    left = {"too large, by arithmetic": considered.too_large, "do not divide": len(considered.refused)}
    left |= dict.fromkeys(("larger than one that did not fit", "slower than the best, at best", "not tried"), 0)
    misfits: list[Choice] = []
    for choice, bound in considered.open:
        best = found.best
        if any(no_smaller(choice, misfit) for misfit in misfits):
            left["larger than one that did not fit"] += 1
        elif best is not None and bound.seconds >= best["time"]["seconds"]:
            left["slower than the best, at best"] += 1
        elif len(found.entries) >= tries:
            left["not tried"] += 1
        else:
            bar.update(task, description=f"{where}: {choice.name}")
            entry = compiled(training, choice)
            found.entries.append(entry)
            if not entry["fits"]:
                misfits.append(choice)
            said = f"{entry['time']['seconds']:.3f} s a step" if entry["fits"] else "does not fit"
            bar.console.print(f"{where}, {choice.name}: {said}")
            bar.advance(task)
    bar.update(task, description=where, completed=tries)
    found.left = {reason: count for reason, count in left.items() if count}
    return found
