"""A whole run, or a stretch of one, as a single compiled program: steps scanned, epochs in the graph."""

from collections.abc import Callable
from typing import Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, PyTree

from jaxlab.core import hyper
from jaxlab.train import data as examples_of
from jaxlab.train.objective import LossFn, Metrics
from jaxlab.train.state import Build, TrainState
from jaxlab.train.step import StepFn, StepOptions, step_fn

RunFn = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]


def make_run(
    loss_fn: LossFn,
    build: Build,
    *,
    batch_size: int,
    steps: int,
    total_steps: int | None = None,
    **options: Unpack[StepOptions],
) -> RunFn:
    """A jitted stretch of ``steps`` training steps on data that fit the device: ``run(state, data)``.

    Batches are drawn inside the program by the state's key and step, every example once an epoch, so a
    run cut into stretches, or resumed from a checkpoint between two, ends with the same bits.

    Args:
      loss_fn, build, options: as in :func:`~jaxlab.train.step.make_train_step`.
      batch_size: examples a step.
      steps: how many steps a call takes (static).
      total_steps: how many the whole run will take, if more than ``steps``: checked against the 32 bits in
        which examples are counted.

    Returns:
      ``(state, data) -> (state, metrics)``: ``data`` is any tree of arrays with a leading axis of
      examples, every metric has a leading axis ``[steps]``. The state is donated, the data are not.

    Raises:
      TypeError, ValueError: counts below 1, or so many examples that 32 bits do not count them.

    >>> import jaxlab
    >>> loss = lambda params, batch, key: (jnp.mean((batch - params) ** 2), {})
    >>> build = lambda h: jaxlab.optimizers.sgd(h)
    >>> state = jaxlab.train.init_state(jnp.zeros(()), build, 0.05, key=jax.random.key(0))
    >>> run = make_run(loss, build, batch_size=2, steps=100)
    >>> state, metrics = run(state, jnp.arange(4.0))
    >>> int(state.step), metrics["loss"].shape
    (100, (100,))
    """
    hyper.integer("steps", steps, at_least=1)
    hyper.integer("batch_size", batch_size, at_least=1)
    examples_of.check_length(total_steps or steps, batch_size)
    step = step_fn(loss_fn, build, **options)

    def batch_of(state: TrainState, data: PyTree) -> PyTree:
        chosen = examples_of.batch_indices(
            state.key, state.step, examples=examples_of.count(data), batch_size=batch_size
        )
        return examples_of.take(data, chosen)

    return jax.jit(scan_steps(step, batch_of, steps), donate_argnums=0)


def scan_steps(step: StepFn, batch_of: Callable[[TrainState, PyTree], PyTree], steps: int) -> RunFn:
    """``steps`` steps of a pure step function, each on the batch that its state asks for."""

    def run(state: TrainState, data: PyTree) -> tuple[TrainState, Metrics]:
        def body(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            return step(state, batch_of(state, data))

        return jax.lax.scan(body, state, length=steps)

    return run


def training_batch(state: TrainState, data: PyTree, *, training: int, batch_size: int) -> PyTree:
    """The batch of a state's step when the state's key also splits ``data`` into training and validation.

    Args:
      data: the pool.
      training: how many of the pool's examples train (see :func:`~jaxlab.train.data.split_sizes`).
    """
    index: Int32[Array, " b"] = examples_of.batch_indices(
        state.key, state.step, examples=training, batch_size=batch_size
    )
    chosen = examples_of.split_indices(state.key, index, pool=examples_of.count(data))
    return examples_of.take(data, chosen)


def validation_indices(key: Array, *, pool: int, training: int) -> Int32[Array, " n"]:
    """Which examples of the pool the key keeps from training."""
    return examples_of.split_indices(key, jnp.arange(training, pool, dtype=jnp.int32), pool=pool)
