"""Contestants timed in turn, in one process, and compared round by round.

A shared machine drifts by tens of percent within minutes. So every round runs each contestant, forth and back,
and gives one ratio for each against the baseline; the interval is of the median of those paired ratios (order
statistics, no distribution assumed). Times are medians with quartiles.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

Contestant = Callable[[], Any]
"""Does the work once and returns when it is done."""


def arguments(
    description: str | None, rounds: int, more: Callable[[argparse.ArgumentParser], Any] | None = None
) -> argparse.Namespace:
    """The options that all benchmarks share, and those that ``more`` adds to the parser."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds, at least 8; default {rounds}")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    if more is not None:
        more(parser)
    chosen = parser.parse_args()
    if chosen.rounds < 8:
        parser.error(f"--rounds = {chosen.rounds}: accepted is a whole number of at least 8")
    return chosen


def race(builders: dict[str, Callable[[], Contestant]], rounds: int, repeats: int = 1) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after one uncounted round.

    Each contestant exists twice, built and run in one order and then in the reverse, and its time is the mean of
    both: whoever is built first finds the better memory, which alone made a program 10% faster than itself.

    Args:
      builders: name to what builds the contestant.
      rounds: how many.
      repeats: how often a contestant works in its turn.
    """
    order = [*builders, *reversed(builders)]
    contestants = [(name, builders[name]()) for name in order]
    seconds: dict[str, list[float]] = {name: [] for name in builders}
    for number in range(-1, rounds):
        times = dict.fromkeys(builders, 0.0)
        for name, work in contestants:
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            times[name] += (time.perf_counter() - start) / (2 * repeats)
        if number >= 0:
            for name, spent in times.items():
                seconds[name].append(spent)
    return seconds


def median_interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """An interval for the median from order statistics; its level is at least the one asked for, if it can be."""
    ordered, n = sorted(values), len(values)
    below = max(0, int(stats.binom.ppf((1 - level) / 2, n, 0.5)) - 1)
    while below + 1 < n / 2 and stats.binom.cdf(below, n, 0.5) <= (1 - level) / 2:
        below += 1
    return ordered[max(0, below - 1)], ordered[n - max(1, below)]


def summary(seconds: dict[str, list[float]], baseline: str) -> dict[str, dict[str, Any]]:
    """Medians, quartiles, and paired ratios of the baseline's time over each contestant's (above 1: faster)."""
    figures = {}
    for name, times in seconds.items():
        low, middle, high = statistics.quantiles(times, n=4)
        ratios = [base / own for base, own in zip(seconds[baseline], times, strict=True)]
        figures[name] = {
            "milliseconds": {"median": 1e3 * middle, "quartiles": [1e3 * low, 1e3 * high]},
            "speed_against_" + baseline: {"median": statistics.median(ratios), "interval": median_interval(ratios)},
        }
    return figures


def show(title: str, figures: dict[str, dict[str, Any]], baseline: str) -> None:
    """Prints one race as a table."""
    table = Table(title=title, title_justify="left")
    for column in ("", "median ms", "quartiles", f"times the speed of {baseline}", "95% interval"):
        table.add_column(column, justify="left" if not column else "right")
    for name, figure in figures.items():
        times, ratio = figure["milliseconds"], figure["speed_against_" + baseline]
        table.add_row(
            name,
            f"{times['median']:.3g}",
            "{:.3g} to {:.3g}".format(*times["quartiles"]),
            f"{ratio['median']:.2f}",
            "{:.2f} to {:.2f}".format(*ratio["interval"]),
        )
    Console(width=120).print(table)


def save(path: Path | None, content: dict[str, Any]) -> None:
    """Writes the figures with the machine that they were measured on."""
    if path is None:
        return
    import jax  # noqa: PLC0415 - only after the benchmark chose its devices

    machine = {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "devices": [str(device.device_kind) for device in jax.local_devices()],
        "processor": processor(),
        "cores": os.cpu_count(),
        "numpy": np.__version__,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **content}, indent=1) + "\n")


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
