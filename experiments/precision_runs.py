"""Training in 32 and in 16 bits: the arms, what they keep, the time of a step, the judgement."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.side_by_side import Contestant, race
from experiments.storage_runs import BASE, LEVEL, ROUNDINGS, Arm, numbers_of
from jaxlab import tasks, verdict
from jaxlab.precision import LossScale, Policy, as_policy
from jaxlab.sweep.memory import of_arrays
from jaxlab.train import init_run, make_train_step
from jaxlab.train.state import Build

SCALED = "float16, loss scale"
SMALL = 2.0**-14
UNDERFLOW, NEAREST = "float16, loss / 16,384", "bfloat16 parameters, nearest"
CONTROLS = (UNDERFLOW, NEAREST)
"""What must come out worse on the digits, as it did on other seeds: by 0.0053 and 0.0030 nats."""
REPEATS = 10


@dataclasses.dataclass(frozen=True)
class Ends:
    """What an arm came to.

    Attributes:
      steps: where its loss was looked at.
      loss: the mean training loss of the steps up to there, the last of them the final loss.
      test: every metric of the task, on the test set.
      skipped: steps that were left out.
    """

    steps: np.ndarray
    loss: Float[np.ndarray, "seeds evaluations"]
    test: Mapping[str, Float[np.ndarray, " seeds"]]
    skipped: np.ndarray


@dataclasses.dataclass(frozen=True)
class Cost:
    """Bytes that a parameter and its optimizer state take, and those of a step's temporaries in all."""

    parameter: float
    state: float
    temporaries: int


def arms(build: Build) -> dict[str, Arm]:
    """All ways to train; the first is what the others are held against."""
    policies = {
        BASE: as_policy("float32"),
        "bfloat16": as_policy("bfloat16"),
        SCALED: as_policy("float16"),
        "float16": Policy("float32", "float16", "float32"),
        # A constant scale below 1 is a loss that is so much smaller, whatever the optimizer makes of small losses.
        UNDERFLOW: Policy("float32", "float16", "float32", LossScale(SMALL, growth=1, backoff=1, floor=SMALL)),
    }
    whole = Policy("bfloat16", "bfloat16", "float32")
    return {name: Arm(build, {"policy": policy}) for name, policy in policies.items()} | {
        f"bfloat16 parameters, {rounding}": Arm(build, {"policy": whole, "rounding": rounding})
        for rounding in ROUNDINGS
    }


class Step:
    """An arm's compiled step of one run, and what it costs."""

    def __init__(self, task: tasks.Task, steps: int, arm: Arm) -> None:
        self.state = init_run(task.init, arm.build, numbers_of(task, steps), key=jax.random.key(0), **arm.options)
        self.batch = jax.tree.map(lambda x: x[: task.batch_size], task.data)
        step: Any = make_train_step(task.loss, arm.build, **arm.options)
        self.compiled = step.lower(self.state, self.batch).compile()

    def cost(self) -> Cost:
        """What is kept from step to step, and what the program needs besides."""
        state, count = self.state, sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        kept = of_arrays((state.opt_state, state.compensation, state.loss_scale))
        memory = self.compiled.memory_analysis()
        return Cost(of_arrays(state.params) / count, kept / count, memory.temp_size_in_bytes if memory else 0)

    def contestant(self) -> Contestant:
        """Takes a step of its own run."""
        held = [jax.tree.map(lambda leaf: leaf.copy(), self.state)]

        def work() -> None:
            held[0], _ = jax.block_until_ready(self.compiled(held[0], self.batch))

        return work


def times(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step of each arm, all in turn, round by round."""
    return race({label: step.contestant for label, step in steps.items()}, rounds, repeats=REPEATS)


def judge(found: Mapping[str, Ends], margin: float) -> dict[str, verdict.Comparison]:
    """Every arm's final loss against float32's."""
    final = {label: ends.loss[:, -1] for label, ends in found.items()}
    compared = verdict.comparisons(final, higher_is_better=False, margin=margin, level=LEVEL, baseline=BASE)
    return {one.a: one for one in compared}


def farthest(found: Mapping[str, Ends], label: str) -> float | None:
    """How far from float32's an arm's mean final loss may be: the farther end of the 90% interval; None: diverged.

    Within it two one-sided tests at 5% find any margin.
    """
    own, base = found[label].loss[:, -1], found[BASE].loss[:, -1]
    if not np.isfinite([own, base]).all():
        return None
    return max(abs(end) for end in verdict.paired_t(own, base, 2 * LEVEL - 1).interval)
