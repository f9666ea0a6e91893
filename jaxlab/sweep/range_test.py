"""The learning rate range test: one run in which the rate rises, and what its loss says of each rate."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree
from scipy import ndimage

from jaxlab.core import hyper, parts
from jaxlab.optimizers import Recipe
from jaxlab.sweep.placed import shared_of
from jaxlab.tasks import as_task
from jaxlab.train import data as examples_of
from jaxlab.train.run import run_keys, scan_steps, training_batch
from jaxlab.train.state import Build, TrainState, init_state
from jaxlab.train.step import step_fn
from jaxlab.train.stopwatch import Stopwatch

WIDTH = 0.1
"""Standard deviation of the smoothing, in decades of the rate."""
SLOPE_WIDTH = 0.25
"""The same for the slope, which noise reaches sooner."""
BEGUN = 0.1
"""The loss has begun to fall when it has fallen by this part of all that it falls."""
LOST = 0.5
"""A run has diverged when it has lost this part of what it had gained."""


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What the loss did while the rate rose. Rates of landmarks are NaN where a seed's run has none.

    Attributes:
      rates: of each step, from low to high in equal factors.
      losses: of each step's batch, before the step; not finite where it was not.
      smoothed: the same by a Gaussian of 0.1 decades, not more above the start than the lowest is below it.
      begins: where a tenth of the fall is done.
      steepest: where the loss falls most for a factor of the rate.
      lowest: where it is lowest.
      diverges: where half of the fall is lost again, or the loss is not finite.
      compile_seconds, run_seconds: what it took.
    """

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, "seeds steps"]
    smoothed: Float[np.ndarray, "seeds steps"]
    begins: Float[np.ndarray, " seeds"]
    steepest: Float[np.ndarray, " seeds"]
    lowest: Float[np.ndarray, " seeds"]
    diverges: Float[np.ndarray, " seeds"]
    compile_seconds: float
    run_seconds: float


def range_test(
    task: Any,
    recipe: Recipe,
    keys: Key[Array, " seeds"],
    *,
    low: float = 1e-6,
    high: float = 100.0,
    steps: int = 500,
    batch_size: int | None = None,
    hyperparams: Mapping[str, float] | None = None,
) -> RangeTest:
    r"""Trains while the learning rate rises from ``low`` to ``high``, :math:`\alpha_t = l\,(h / l)^{t / (T - 1)}`.

    The whole run is one compiled program, a scan, its seeds vectorised.

    Args:
      task: a :class:`~jaxlab.tasks.Task`, or any object with ``init``, ``loss`` and ``data``.
      recipe: its optimizer and structure; the schedule is the test's.
      keys: typed keys, one a seed: initial parameters, split and batches follow from it.
      low, high: the first and the last rate, above 0.
      steps: of the run, at least 2; some 50 a decade.
      batch_size: by default the task's.
      hyperparams: the optimizer's, where they are not its defaults.

    Raises:
      TypeError, ValueError: rates or counts out of range, what the recipe refuses; before anything is compiled.

    Reference: Smith 2015, Cyclical learning rates for training neural networks, arXiv:1506.01186, section 3.3; the
    geometric rise and the steepest descent are fast.ai's.

    >>> found = range_test("line", Recipe("sgd"), jax.random.split(jax.random.key(0), 2), steps=200)
    >>> bool((found.begins < found.steepest).all() and (found.steepest < found.lowest).all())
    True
    """
    task = as_task(task)
    check_rates(low, high)
    steps = hyper.integer("steps", steps, at_least=2)
    batch_size = hyper.integer("batch_size", task.batch_size if batch_size is None else batch_size, at_least=1)
    examples_of.check_length(steps, batch_size)
    rising = dataclasses.replace(recipe, schedule="exponential")
    growth = {"learning_rate": low, "decay_rate": high / low, "transition_steps": steps - 1}
    numbers = rising.hyperparams({**(hyperparams or {}), **growth})
    training, _ = examples_of.split_sizes(examples_of.count(task.data), task.validation_fraction)

    clock, shared = Stopwatch(), shared_of(task)
    # The initial parameters are a program of their own, one for all optimizers.
    started = clock.run(_start(task.init), keys, task.start)
    program = _program(task.loss, rising.build, training, batch_size, steps)
    losses = np.asarray(clock.run(program, *started, hyper.canonical(numbers), shared.frozen, shared.data), np.float64)

    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    smoothed, landmarks = zip(*(read(rates, one) for one in losses), strict=True)
    begins, steepest, lowest, diverges = np.array(landmarks).T
    return RangeTest(
        rates, losses, np.stack(smoothed), begins, steepest, lowest, diverges, clock.compiling, clock.running
    )


def check_rates(low: float, high: float) -> None:
    """Refuses rates between which there is nothing."""
    hyper.number("low", low, "(0, inf)")
    hyper.number("high", high, "(0, inf)")
    if low >= high:
        raise ValueError(f"low = {low}, high = {high}: accepted is low < high")


def read(
    rates: Float[np.ndarray, " steps"], losses: Float[np.ndarray, " steps"]
) -> tuple[Float[np.ndarray, " steps"], tuple[float, float, float, float]]:
    """One run's smoothed loss, and the rates at which it begins to fall, falls most, is lowest, diverges.

    All four are NaN where the loss never falls by more than the noise of a batch.

    >>> rates = np.geomspace(1e-4, 1e2, 301)
    >>> fall = 2.0 - 1 / (1 + 0.01 / rates) + np.where(rates > 3, rates, 0)
    >>> [float(f"{rate:.1g}") for rate in read(rates, fall)[1]]
    [0.001, 0.01, 1.0, 3.0]
    """
    steps, none = losses.size, (math.nan, math.nan, math.nan, math.nan)
    decade = (steps - 1) / math.log10(rates[-1] / rates[0])
    broken = steps if np.isfinite(losses).all() else int(np.isfinite(losses).argmin())
    if broken < 2:
        return np.full(steps, np.nan), none
    start = float(np.median(losses[: min(broken, max(3, round(3 * WIDTH * decade)))]))
    # What explodes would be seen long before it happens.
    ceiling = 2 * start - losses[:broken].min()
    capped = np.minimum(losses[:broken], ceiling)
    smooth = np.full(steps, ceiling)
    smooth[:broken] = ndimage.gaussian_filter1d(capped, WIDTH * decade, mode="nearest")
    lowest = int(smooth[:broken].argmin())
    # Half of the fall is found whatever the noise; the long plateau before it says better where the loss began.
    half = _last(smooth[: lowest + 1] > (start + smooth[lowest]) / 2)
    start = float(np.median(losses[: half // 2 + 1]))
    fall = start - smooth[lowest]
    if lowest < 2 or fall <= (capped[: lowest + 1] - smooth[: lowest + 1]).std():
        return smooth, none
    begins = _last(smooth[: lowest + 1] > start - BEGUN * fall)
    slope = ndimage.gaussian_filter1d(capped, SLOPE_WIDTH * decade, order=1, mode="nearest")
    steepest = begins + int(slope[begins : lowest + 1].argmin())
    lost = (smooth > start - (1 - LOST) * fall) & (np.arange(steps) > lowest)
    diverges = min(broken, int(lost.argmax()) if lost.any() else steps)
    ends = float(rates[diverges]) if diverges < steps else math.nan
    return smooth, (float(rates[begins]), float(rates[steepest]), float(rates[lowest]), ends)


def _last(true: Bool[np.ndarray, " steps"]) -> int:
    """Where it is true for the last time, the first step where it never is: noise may have been there earlier."""
    return int(np.flatnonzero(true)[-1]) if true.any() else 0


@functools.lru_cache(maxsize=64)
def _start(init: Callable[..., Any]) -> Any:
    def one(key: Array, start: PyTree) -> tuple[PyTree, Array]:
        params_key, run_key = run_keys(key)
        return parts.overlaid("start", init(params_key), start), run_key

    return jax.jit(jax.vmap(one, in_axes=(0, None)))


@functools.lru_cache(maxsize=64)
def _program(loss: Callable[..., Any], build: Build, training: int, batch_size: int, steps: int) -> Any:
    step = step_fn(loss, build)

    def batch_of(state: TrainState, data: PyTree) -> PyTree:
        return training_batch(state, data, training=training, batch_size=batch_size)

    def one(params: PyTree, key: Array, hyperparams: PyTree, frozen: PyTree, data: PyTree) -> Array:
        trained = params if frozen is None else parts.without(params, frozen)
        state = init_state(trained, build, hyperparams, key=key)._replace(frozen=frozen)
        return scan_steps(step, batch_of, steps)(state, data)[1]["loss"]

    return jax.jit(jax.vmap(one, in_axes=(0, 0, None, None, None)))
