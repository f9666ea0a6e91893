"""The computations behind ``experiments.misprints`` that need no training: counts, tables, limits, exact all of them.

What the texts print is written again as arithmetic; what is right is jaxlab. Each function returns the numbers that
decide, the most telling first.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxlab import schedules, tasks
from jaxlab.regularizers import l2_penalty
from jaxlab.report.sections import Chart, Number
from jaxlab.train.data import batch_indices

EXAMPLES = 100
"""Points of the texts' own line."""


class Shown(NamedTuple):
    """What decides about a statement.

    Attributes:
      implied: what the first number would be, were the statement right.
      numbers: the most telling first.
      charts: perhaps one.
    """

    implied: float
    numbers: list[Number]
    charts: Sequence[Chart] = ()

    @property
    def wrong(self) -> bool:
        """Whether the first number differs from what is implied; where it has an interval, by more than that."""
        value, interval = self.numbers[0]["value"], self.numbers[0]["interval"]
        if interval is not None:
            low, high = interval
            return low is not None and high is not None and not low <= self.implied <= high
        return value is not None and not math.isclose(value, self.implied, rel_tol=1e-3, abs_tol=1e-12)


def random_slice(batch_size: int = 32) -> Shown:
    """The rows of ``X[r : r + m]`` for every r below m: with m = n, with m = 32, and as printed, where m is a float."""
    rows = [np.arange(EXAMPLES)[start : start + EXAMPLES].size for start in range(EXAMPLES)]
    m: Any = float(EXAMPLES)
    runs = refusal(lambda: np.arange(EXAMPLES)[3 : 3 + m]) is None
    seen = {row for start in range(batch_size) for row in range(start, start + batch_size)}
    batch = functools.partial(batch_indices, jax.random.key(0), examples=EXAMPLES, batch_size=batch_size)
    steps = jnp.arange(math.lcm(EXAMPLES, batch_size) // batch_size)  # whole epochs
    counts = np.bincount(np.asarray(jax.vmap(batch)(steps)).ravel(), minlength=EXAMPLES)
    of_all = f"of {EXAMPLES}"
    return Shown(
        EXAMPLES,
        [
            number("starts that fit", rows.count(EXAMPLES), of_all, "where the slice has all its rows"),
            number("mean length of a slice", np.mean(rows), f"{of_all} rows", "over all starts"),
            number("examples never seen", EXAMPLES - len(seen), of_all, f"with m = {batch_size}, however many steps"),
            number("most over least seen in jaxlab", counts.max() / counts.min(), "times", "after whole epochs"),
            number("the random slice as printed", runs, "runs", "0: TypeError, m was made a float"),
        ],
    )


def penalty_without_strength() -> Shown:
    """The printed penalty at strength 0 of the line's own parameters; and its undefined m."""
    theta, strength = np.array([2.0, 1.0]), 0.0

    def printed(m: int) -> float:
        return float(np.sum(theta**2) / (2 * m) + strength * np.sum(theta**2) / (2 * m))

    runs = refusal(lambda: eval("theta @ theta / (2 * m)", {"theta": theta})) is None
    return Shown(
        0,
        [
            number("penalty of strength 0", printed(EXAMPLES), "", f"as printed, with m = {EXAMPLES}"),
            number(
                "penalty of strength 0 in jaxlab", l2_penalty({"theta": jnp.asarray(theta)}, 0.0), "", "as it should be"
            ),
            number("the penalty as printed", runs, "runs", "0: NameError, m is defined nowhere"),
        ],
    )


def table_of_rates(name: str, schedule: Callable[[int], Any], rows: Sequence[tuple[int, float, float]]) -> Shown:
    """Entries (epoch, printed, exact) of a table of learning rates whose epochs are counted from 1."""
    found = []
    for epoch, printed, exact in rows:
        at = f"{name}, epoch {epoch:,}"
        found.append(number(at, exact, "", f"printed: {printed:g}"))
        found.append(number(f"{at}, jaxlab", schedule(epoch - 1), "", f"at step {epoch - 1:,}, from 0"))
    return Shown(rows[0][1], found)


def step_table() -> Shown:
    """0.01, a tenth after every 1,000: the last epoch of the first thousand."""
    return table_of_rates("step decay", schedules.step_decay(0.01, every=1_000), [(1_000, 0.001, 0.01)])


def exponential_table() -> Shown:
    """0.01 times 0.99 per epoch, as the first printed rows have it."""
    rows = [(1_000, 0.0037, 0.01 * 0.99**999), (100, 0.0037, 0.01 * 0.99**99)]
    return table_of_rates("exponential decay", schedules.exponential(0.01, 0.99), rows)


def cosine_table() -> Shown:
    """0.01 down to 0 in 10,000: the last epoch, and how little is lost at the second, where four digits say 0.01."""
    peak, total = 0.01, 10_000
    shown = table_of_rates("cosine decay", schedules.cosine(peak, total), [(total, 0.0001, half_wave(1 / total))])
    lost = peak - half_wave((total - 1) / total)
    shown.numbers.append(number("cosine decay, lost by epoch 2", lost, "", "printed: 5.5e-05"))
    return shown


def half_wave(left: float, peak: float = 0.01) -> float:
    """The cosine schedule where a part of it is left."""
    return peak * math.sin(math.pi / 2 * left) ** 2


def summed_gradients(workers: int = 8) -> Shown:
    """The line's data on eight workers: the greatest stable rate where gradients are summed, and averaged."""
    x = np.asarray(tasks.get("line").data["x"], np.float64).ravel()
    parts = np.stack([x, np.ones_like(x)], axis=1).reshape(workers, -1, 2)
    hessians = np.stack([2 * part.T @ part / len(part) for part in parts])
    summed, averaged = (2 / np.linalg.eigvalsh(total)[-1] for total in (hessians.sum(0), hessians.mean(0)))
    pieces = np.split(np.arange(12.0), 4)
    return Shown(
        averaged,
        [
            number("limit of the rate, summed", summed, "", f"{workers} workers, each with the mean over its part"),
            number("limit of the rate, averaged", averaged, "", "the same as with one worker"),
            number("parameters in the sum of pieces", np.sum(pieces, axis=0).size, "of 12", "on 4 machines"),
        ],
    )


def epoch_of_one_batch(batch_size: int = 32, epochs: int = 1_000) -> Shown:
    """What the linear-regression class calls 1,000 epochs; and its product of a vector and one weight."""
    runs = refusal(lambda: np.dot(np.linspace(-1, 1, EXAMPLES), np.zeros(1))) is None
    return Shown(
        epochs,
        [
            number("epochs in 1,000 of its epochs", epochs * batch_size / EXAMPLES, "epochs", "one batch each"),
            number("the class as printed", runs, "runs", "0: ValueError, a vector of 100 times one of 1"),
        ],
    )


def logarithm_of_targets() -> Shown:
    """Targets of the line that have no logarithm."""
    y = np.asarray(tasks.get("line").data["y"], np.float64)
    return Shown(0, [number("targets without a logarithm", np.mean(y <= 0), "of the line's 800", "y = 2x + 1")])


def refusal(code: Callable[[], Any]) -> Exception | None:
    """What a piece of code raises, of the three errors that the texts' code has."""
    try:
        code()
    except (NameError, TypeError, ValueError) as error:
        return error
    return None


def number(name: str, value: Any, unit: str, meaning: str, interval: Sequence[float] | None = None) -> Number:
    """An answer, exact where it has no interval."""
    return Number(
        name=name,
        value=float(value),
        interval=None if interval is None else list(interval),
        unit=unit,
        meaning=meaning,
    )
