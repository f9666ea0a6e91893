"""A precision schedule: start low, finish high; one compiled program for each phase."""

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PyTree

from jaxlab.core import hyper
from jaxlab.precision.policy import Policy, as_policy


@dataclasses.dataclass(frozen=True, init=False)
class Phases:
    """Policies one after another, each from a step of its own on.

    ``init_state``, ``make_train_step`` and ``make_run`` take it in place of a policy. The state fits every phase:
    parameters are kept in one dtype all the time, and a loss scale that one phase has is held as it is by phases that
    have none (a power of two changes no bit of their gradients, unless these underflow without it).

    Args:
      policies: by the step from which each holds, the first from step 0: a :class:`Policy` or its short form.

    Raises:
      TypeError: no mapping, a step that is no integer.
      ValueError: no policy from step 0 on, policies that keep parameters in different dtypes or have different loss
        scales, whatever :func:`as_policy` refuses.

    >>> phases = Phases({0: "bfloat16", 900: "float32"})
    >>> print(phases)
    from step 0: parameters float32, compute bfloat16, results float32
    from step 900: parameters float32, compute float32, results float32
    >>> [(policy.compute, steps) for policy, steps in phases.pieces(800, 150)]
    [('bfloat16', 100), ('float32', 50)]
    """

    starts: tuple[int, ...]
    policies: tuple[Policy, ...]

    def __init__(self, policies: Mapping[int, Policy | str]) -> None:
        accepted = 'a policy by the step from which it holds, such as {0: "bfloat16", 900: "float32"}'
        if not isinstance(policies, Mapping):
            raise TypeError(f"policies = {policies!r}: accepted is {accepted}")
        starts = sorted(hyper.integer("policies: a step", start, at_least=0) for start in policies)
        if not starts or starts[0] != 0:
            raise ValueError(f"policies begin at steps {starts}: accepted is {accepted}, the first from step 0")
        chosen = [as_policy(policies[start]) for start in starts]
        kept = {policy.param for policy in chosen}
        if len(kept) > 1:
            raise ValueError(f"policies keep parameters in {', '.join(map(repr, kept))}: accepted is one dtype for all")
        scales = {policy.loss_scale for policy in chosen if policy.loss_scale is not None}
        if len(scales) > 1:
            raise ValueError(f"policies have loss scales {', '.join(map(repr, scales))}: accepted is one for all")
        for scale in scales:
            held = dataclasses.replace(scale, growth=1.0, backoff=1.0)
            chosen = [
                policy if policy.loss_scale else dataclasses.replace(policy, loss_scale=held) for policy in chosen
            ]
        object.__setattr__(self, "starts", tuple(starts))
        object.__setattr__(self, "policies", tuple(chosen))

    def __str__(self) -> str:
        """In words, a line for each phase."""
        return "\n".join(
            f"from step {start}: {policy}" for start, policy in zip(self.starts, self.policies, strict=True)
        )

    def pieces(self, step: int, steps: int) -> list[tuple[Policy, int]]:
        """Steps one after another from ``step`` on, cut where a phase ends: each phase's policy and number of steps."""
        found, end = [], step + steps
        while step < end:
            phase = bisect.bisect_right(self.starts, step) - 1
            until = min([end, *self.starts[phase + 1 : phase + 2]])
            found.append((self.policies[phase], until - step))
            step = until
        return found


Precision = Policy | Phases | str | None
"""What a training step takes: a policy, its short form, or several one after another."""


def first_policy(precision: Precision) -> Policy:
    """The policy of step 0, whose parameters and loss scale are those of all phases."""
    return precision.policies[0] if isinstance(precision, Phases) else as_policy(precision)


def check_exceptions(precision: Precision, names: Sequence[str]) -> None:
    """Refuses what would be refused when a later phase begins.

    Raises:
      ValueError: an exception of one of the policies that matches none of the parameters' names.
    """
    for policy in precision.policies if isinstance(precision, Phases) else (as_policy(precision),):
        policy.compute_dtypes(names)


def one_policy(precision: Precision) -> Policy:
    """The policy of a step that is the same all the time.

    Raises:
      TypeError: several policies.
    """
    if isinstance(precision, Phases):
        raise TypeError(
            "policy is Phases: accepted is one policy where a step is part of a larger program; phases change on the "
            "host, in make_train_step and make_run"
        )
    return as_policy(precision)


class Phased:
    """A step or a run that is compiled once for each phase, and again for stretches of other lengths.

    The host chooses by ``state.step``. It is read from the device for the first state that comes, or one from
    elsewhere, such as a checkpoint; from state to state it is counted along, so that no step waits for the last one.

    Args:
      phases: the policies.
      make: ``(policy, steps) -> function`` of a state and inputs that takes so many steps.
      steps: how many steps a call takes.
    """

    def __init__(self, phases: Phases, make: Callable[[Policy, int], Callable[..., Any]], steps: int = 1) -> None:
        self.phases, self.make, self.steps = phases, make, steps
        self._programs: dict[tuple[Policy, int], Callable[..., Any]] = {}
        self._last: tuple[Any, int] = (None, 0)

    def __call__(self, state: Any, inputs: PyTree) -> tuple[Any, Any]:
        """The new state and the metrics.

        Raises:
          TypeError: a call inside a traced function, where the step is not known.
        """
        step = self._step_of(state)
        every = []
        for policy, steps in self.phases.pieces(step, self.steps):
            state, metrics = self._program(policy, steps)(state, inputs)
            every.append(metrics)
        self._last = (state.step, step + self.steps)
        return state, every[0] if len(every) == 1 else jax.tree.map(lambda *found: jnp.concatenate(found), *every)

    def _step_of(self, state: Any) -> int:
        if not hasattr(state, "step"):
            raise TypeError(f"state is a {type(state).__name__}: accepted is what init_state and init_run return")
        if hyper.is_traced(state.step):
            raise TypeError(f"state.step = {state.step}: accepted with Phases is a call outside of traced functions")
        last, step = self._last
        return step if state.step is last else read_step(state.step)

    def _program(self, policy: Policy, steps: int) -> Callable[..., Any]:
        if (policy, steps) not in self._programs:
            self._programs[policy, steps] = self.make(policy, steps)
        return self._programs[policy, steps]


def read_step(step: Int32[Array, ""]) -> int:
    """A step's number on the host, which waits until the device knows it."""
    return int(step)
