"""How much of a comparison fits into a given time, planned from a short measurement."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxlab.sweep import Arm, run_population, seed_keys
from jaxlab.sweep.protocol import places_for

LADDER = (
    *((32, 5, 20), (24, 5, 20), (16, 5, 20), (16, 5, 10), (16, 3, 10), (12, 3, 10), (8, 3, 10), (8, 3, 7)),
    *((8, 3, 5), (8, 2, 5), (6, 2, 5), (6, 2, 4), (4, 2, 3), (4, 1, 3), (3, 1, 3), (2, 1, 2), (1, 1, 2)),
)
"""Trials of each arm, selection seeds, report seeds; the first that fits is taken."""
SHARE = 0.85
"""Of the time that is planned; the rest is for what was not foreseen."""
MEMBERS, STEPS = 24, 50
"""Of the population that is measured: as many members as by default are tuned, a stretch between two evaluations."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a program of an arm takes to compile, and a member's step to run."""

    compile_seconds: float
    seconds_per_step: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What fits: trials of each arm, seeds, and the seconds that it is expected to take."""

    trials: int
    selection_seeds: int
    seeds: int
    seconds: float

    def words(self, minutes: float) -> str:
        """The plan in a sentence."""
        return (
            f"Planned into {minutes:g} minutes: {self.trials} trials for each arm, {self.selection_seeds} selection "
            f"seeds, {self.seeds} report seeds, expected to take {self.seconds / 60:.1f} minutes."
        )


def measure(arm: Arm, evaluations: int) -> Measured:
    """Trains a population of an arm up to its first evaluation, or not as far; the first point stands for all."""
    point = arm.trials()[0] if arm.points else {}
    history = run_population(
        arm.task,
        arm.build,
        {**arm.hyperparams, **point},
        seed_keys(range(MEMBERS)),
        steps=max(1, min(arm.steps // evaluations, STEPS)),
        batch_size=arm.batch_size,
        layout="vmap",
        test=True,
    )
    steps = int(history.steps[-1]) * MEMBERS
    return Measured(history.compile_seconds, history.run_seconds / steps)


def plan(minutes: float, spent: float, arms: Sequence[Arm], measured: Sequence[Measured]) -> Plan:
    """The largest comparison of the ladder that fits.

    Args:
      minutes: of wall-clock time.
      spent: seconds of it that measuring took.
      arms: all of them, of all tasks and horizons; their points do not matter.
      measured: of each arm.

    Raises:
      ValueError: not even one trial for each arm fits.
    """
    seconds = 0.0
    for trials, selection, report in LADDER:
        seconds = sum(estimate(arm, one, trials, selection, report) for arm, one in zip(arms, measured, strict=True))
        if seconds <= SHARE * (60 * minutes - spent):
            return Plan(trials, selection, report, seconds)
    needed = float(np.ceil((seconds / SHARE + spent) / 6) / 10)
    raise ValueError(
        f"budget_minutes = {minutes:g}: one trial for each of {len(arms)} arms needs about {needed:g}: "
        "accepted is more time, fewer arms or fewer steps"
    )


def estimate(arm: Arm, measured: Measured, trials: int, selection: int, report: int) -> float:
    """Seconds that an arm of such a comparison takes."""
    extra = extra_of(trials) if arm.extra else 0
    large, small = places_for((trials - extra) * selection, extra * selection, report)
    programs = 1 if large == small else 2
    members = large + small * (1 + bool(extra))
    return programs * measured.compile_seconds + members * arm.steps * measured.seconds_per_step


def extra_of(trials: int) -> int:
    """How many of an arm's trials are kept for a second look where the first ones point to: a quarter."""
    return trials // 4
