"""What a step of each way to transfer costs, and what its compiled program computes."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from benchmarks.side_by_side import Contestant, race
from experiments import study
from jaxlab.core.cost import bytes_of, program_cost
from jaxlab.train import init_run, make_train_step

REPEATS = 5
_NAMED = re.compile(r'op_name="([^"]*)"')


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run's step.

    Attributes:
      trained, parameters: how many are trained, and how many there are.
      state: bytes of the optimizer's state.
      temporaries: bytes that the compiled step needs besides arguments and results.
      forward, backward: operations of the compiled program that compute the base's features, and the gradients of the
        base or through it.
      seconds: of a step, round by round.
    """

    trained: int
    parameters: int
    state: int
    temporaries: int
    forward: int
    backward: int
    seconds: Sequence[float] = ()


class Step:
    """An arm's compiled step, of one run on one batch."""

    def __init__(self, arm: study.Arm) -> None:
        task = arm.task
        numbers = {**arm.hyperparams, **arm.trials()[0]}
        self.state = init_run(task.initial, arm.build, numbers, key=jax.random.key(0), frozen=task.which_frozen)
        self.batch = jax.tree.map(lambda leaf: leaf[: arm.batch_size], task.data)
        step: Any = make_train_step(task.loss, arm.build)
        self.compiled = step.lower(self.state, self.batch).compile()

    def cost(self, seconds: Sequence[float] = ()) -> Cost:
        """Everything but the seconds is the program's."""
        trained, frozen = (
            sum(leaf.size for leaf in jax.tree.leaves(part)) for part in (self.state.params, self.state.frozen)
        )
        forward, backward = operations(self.compiled.as_text())
        temporaries = program_cost(self.compiled).temp_bytes or 0
        return Cost(
            trained, trained + frozen, bytes_of(self.state.opt_state), temporaries, forward, backward, tuple(seconds)
        )

    def contestant(self) -> Contestant:
        """Takes a step of its own run."""
        held = [jax.tree.map(lambda leaf: leaf.copy(), self.state)]

        def work() -> None:
            held[0], _ = jax.block_until_ready(self.compiled(held[0], self.batch))

        return work


def operations(program: str) -> tuple[int, int]:
    """Operations of the base in a compiled program's text, forward and backward, by the names that it keeps.

    What reverse-mode differentiation adds has ``transpose`` in its name; the base's own are under ``base``.

    >>> operations('a = f32[] dot(), metadata={op_name="jit(step)/jvp(base)/dot"}')
    (1, 0)
    """
    names = [name for name in _NAMED.findall(program) if re.search(r"\bbase\b", name)]
    backward = sum("transpose(" in name for name in names)
    return len(names) - backward, backward


def costs_of(arms: Sequence[study.Arm], rounds: int) -> Mapping[str, Cost]:
    """What each arm's step costs; timed in turn, round by round, where there are rounds."""
    steps = {arm.name: Step(arm) for arm in arms}
    seconds = race({name: step.contestant for name, step in steps.items()}, rounds, REPEATS) if rounds else {}
    return {name: step.cost(seconds.get(name, ())) for name, step in steps.items()}
