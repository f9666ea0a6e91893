"""What a training step costs, from its program."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Unpack

import jax

from jaxlab.core.cost import bytes_of, flops_of
from jaxlab.tasks import as_task
from jaxlab.train.run import init_run
from jaxlab.train.state import Build
from jaxlab.train.step import StepOptions, step_fn


class StepCost(NamedTuple):
    """Of one member: floating-point operations of a step, trained parameters, bytes of the optimizer's state.

    ``flops`` are counted in the program before XLA optimises it, a loop's body once; None where the backend does not
    count.
    """

    flops: float | None
    params: int
    state_bytes: int


def step_cost(
    task: Any, build: Build, hyperparams: Mapping[str, Any], batch_size: int, **options: Unpack[StepOptions]
) -> StepCost:
    """Traces one step and counts; nothing is compiled, nothing runs.

    >>> import jaxlab
    >>> build = jaxlab.optimizers.Recipe("adam").build
    >>> cost = step_cost("digits_mlp", build, {"learning_rate": 1e-3}, batch_size=32)
    >>> cost.state_bytes >= 8 * cost.params  # two float32 moments
    True
    """
    task = as_task(task)
    start = {
        "policy": options.get("policy"),
        "rounding": options.get("rounding", "nearest"),
        "frozen": task.which_frozen,
    }
    state = jax.eval_shape(lambda key: init_run(task.initial, build, hyperparams, key=key, **start), jax.random.key(0))
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype), task.data)
    return StepCost(
        flops=flops_of(jax.jit(step_fn(task.loss, build, **options)).lower(state, batch)),
        params=sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        state_bytes=bytes_of(state.opt_state),
    )
