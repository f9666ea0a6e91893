"""AdamW's state and parameters in every format: the arms, their runs, the time of a step, the judgement."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from benchmarks.side_by_side import Contestant, race
from jaxlab import models, tasks, verdict
from jaxlab.core.chain import chain
from jaxlab.core.storage import FORMATS
from jaxlab.optimizers import Recipe, adamw, scale_by_adam
from jaxlab.precision import Policy
from jaxlab.regularizers import decoupled_decay
from jaxlab.schedules import scale_by_learning_rate
from jaxlab.schedules.registry import get as schedule_of
from jaxlab.sweep import run_population
from jaxlab.sweep.population import History
from jaxlab.tasks.prediction import NextToken
from jaxlab.train import init_run
from jaxlab.train.state import Build

STEPS = {"digits_cnn": 300, "small_gpt": 150}
MARGINS = {"digits_cnn": 0.0009, "small_gpt": 0.0095}
"""Of the final loss, in nats: a tenth of what half the learning rate changes in float32, in a trial on other seeds.

There it changed the final loss by 0.0086 and 0.095; its standard deviation over seeds was 0.0015 and 0.07.
"""
LATE = 10
"""The final loss is the mean of one step in so many, the last ones."""
LEVEL = 0.95
BASE, CONTROL = "float32", "int8, whole tensor"
BITS = {"bfloat16": 16, "int8": 8, "int4": 4}
ROUNDINGS = ("nearest", "stochastic", "kahan")
SMALL_GPT = models.pure(lambda rngs: models.GPT(256, width=64, layers=2, heads=2, rngs=rngs))
MATRICES = {f"matrix_{i}": (1024, 1024) for i in range(8)}


@dataclasses.dataclass(frozen=True)
class Arm:
    """How state and parameters are kept.

    Attributes:
      build: the optimizer.
      options: of the training step.
      bits: of each moment where the state that is trained with is not the one that would be kept.
    """

    build: Build
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bits: int | None = None


@dataclasses.dataclass(frozen=True)
class Ends:
    """What the arms of a task came to: the final loss and the test loss by seed, bytes a parameter."""

    loss: dict[str, Float[np.ndarray, " seeds"]]
    test: dict[str, Float[np.ndarray, " seeds"]]
    bytes: dict[str, float]


def task_of(name: str) -> tasks.Task:
    """The digits, or Python source with a sixteenth of its windows and a transformer of 2 blocks of width 64."""
    if name == "digits_cnn":
        return tasks.get(name)
    whole = tasks.get("bytes_gpt")
    fewer = {part: jax.tree.map(lambda x: x[::16], getattr(whole, part)) for part in ("data", "test")}
    loss = NextToken(SMALL_GPT.apply)
    return dataclasses.replace(whole, name=name, init=SMALL_GPT.init, loss=loss, batch_size=8, **fewer)


def arms() -> dict[str, Arm]:
    """All ways to keep state and parameters; the first is what the others are held against."""
    kept = {name: Arm(Recipe("adamw", "cosine", (("state_dtype", name),)).build) for name in FORMATS}
    policy = Policy(param="bfloat16", compute="float32")
    parameters = {
        f"bfloat16 parameters, {rounding}": Arm(kept[BASE].build, {"policy": policy, "rounding": rounding})
        for rounding in ROUNDINGS
    }
    return {**kept, CONTROL: Arm(whole_tensor, bits=8), **parameters}


def whole_tensor(hyperparams: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
    """AdamW whose moments are rounded to 8 bits on one even scale for each leaf: the negative control."""
    numbers = {name: hyperparams[name] for name in ("b1", "b2", "eps") if name in hyperparams}
    inner = scale_by_adam(**numbers)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        direction, state = inner.update(updates, state, params)
        m, v = state.slots
        slots = type(state.slots)(*(jax.tree.map(functools.partial(even, n), x) for n, x in ((127, m), (255, v))))
        return direction, state._replace(slots=slots)

    return chain(
        optax.GradientTransformation(inner.init, update),
        decoupled_decay(hyperparams["weight_decay"]),
        scale_by_learning_rate(schedule_of("cosine").build(hyperparams)),
    )


def even(levels: int, x: Array) -> Array:
    """A tensor on this many even steps up to its largest value."""
    scale = jnp.max(jnp.abs(x)) / levels
    return jnp.where(scale > 0, jnp.round(x / jnp.where(scale > 0, scale, 1)) * scale, 0)


def train(task: tasks.Task, steps: int, arm: Arm, keys: jax.Array, every: int | None = None) -> History:
    """All seeds of an arm in one program, evaluated ``every`` so many steps, or before and after the last ones."""
    numbers = {name: np.full(len(keys), value, np.float32) for name, value in numbers_of(task, steps).items()}
    every = steps - steps // LATE if every is None else every
    return run_population(task, arm.build, numbers, keys, steps=steps, eval_every=every, test=True, **arm.options)


def numbers_of(task: tasks.Task, steps: int) -> dict[str, float]:
    """The task's own hyperparameters; where they have a warm-up, it is a tenth of the run."""
    timing = {"warmup_steps": steps // 10, "total_steps": steps}
    return dict(task.hyperparams) | {name: value for name, value in timing.items() if name in task.hyperparams}


def bytes_of(task: tasks.Task, steps: int, arm: Arm) -> float:
    """Of optimizer state, a parameter; with what compensates the parameters' rounding."""
    start = functools.partial(init_run, task.init, arm.build, numbers_of(task, steps), **arm.options)
    state = jax.eval_shape(lambda key: start(key=key), jax.random.key(0))
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    if arm.bits:
        return 2 * arm.bits / 8
    kept = jax.tree.leaves((state.opt_state, state.compensation))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept) / size


def times(rounds: int) -> dict[str, list[float]]:
    """Seconds of an AdamW step on large matrices in each format, round by round."""

    def contestant(name: str) -> Contestant:
        tx = adamw(1e-3, state_dtype=name)

        def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        keys = jax.random.split(jax.random.key(0), len(MATRICES))
        params = {
            name: jax.random.normal(key, shape) for key, (name, shape) in zip(keys, MATRICES.items(), strict=True)
        }
        grads = jax.tree.map(lambda x: 0.01 * x, params)
        held, jitted = [params, tx.init(params)], jax.jit(step, donate_argnums=(0, 1))

        def work() -> None:
            held[:] = jax.block_until_ready(jitted(*held, grads))

        return work

    return race({name: functools.partial(contestant, name) for name in FORMATS}, rounds, repeats=3)


def judge(ends: Ends, margin: float) -> dict[str, verdict.Comparison]:
    """Each arm against float32, a question of its own."""
    others = [label for label in ends.loss if label != BASE]
    found = {}
    for label in others:
        pair = {label: ends.loss[label], BASE: ends.loss[BASE]}
        (found[label],) = verdict.comparisons(pair, higher_is_better=False, margin=margin, level=LEVEL)
    return found
