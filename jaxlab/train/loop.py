"""The host loop, for data that arrive as a stream."""

import itertools
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jaxtyping import PyTree

from jaxlab.core import hyper
from jaxlab.train.objective import Metrics
from jaxlab.train.state import TrainState
from jaxlab.train.step import StepFn

Record = dict[str, float]


def fit(
    step: StepFn,
    state: TrainState,
    batches: Iterable[PyTree] | Callable[[int], PyTree],
    *,
    steps: int,
    log_every: int = 1,
    on_metrics: Callable[[int, Record], None] | None = None,
    save: Callable[[int, TrainState], None] | None = None,
    save_every: int | None = None,
) -> tuple[TrainState, list[Record]]:
    """Trains until ``state.step`` is ``steps``.

    Metrics are fetched one step late, so that the host prepares the next batch while the device works.

    Args:
      step: from :func:`~jaxlab.train.step.make_train_step`; the state is given away to it.
      state: a fresh one, or one restored from a checkpoint: training goes on from its step.
      batches: a function of the step (then a resumed run sees what an uninterrupted one would), or an
        iterable whose next element is the next step's batch. It may end early; training ends with it.
      steps: the step to reach, counted from the run's beginning.
      log_every: keep and report the metrics of every n-th step, and of the last.
      on_metrics: called as ``on_metrics(step, metrics)``, steps counted from 1.
      save: called as ``save(step, state)`` every ``save_every`` steps, at the end, and when interrupted
        from the keyboard (then the interrupt goes on). ``functools.partial(checkpoints.save, wait=False)`` writes
        while training goes on.
      save_every: None saves at the end and on interruption alone.

    Returns:
      The last state, and one record of floats (``step`` among them) for each reported step.

    Raises:
      ValueError, TypeError: counts below 1.

    >>> import jax.numpy as jnp, jaxlab
    >>> loss = lambda params, batch, key: ((params - batch) ** 2, {})
    >>> build = lambda h: jaxlab.optimizers.sgd(h)
    >>> state = jaxlab.train.init_state(jnp.zeros(()), build, 0.5, key=jax.random.key(0))
    >>> step = jaxlab.train.make_train_step(loss, build)
    >>> state, records = fit(step, state, lambda i: jnp.float32(i), steps=3)
    >>> [record["loss"] for record in records]
    [0.0, 1.0, 1.0]
    """
    hyper.integer("steps", steps, at_least=1)
    hyper.integer("log_every", log_every, at_least=1)
    hyper.integer("save_every", steps if save_every is None else save_every, at_least=1)
    start = int(state.step)
    stream = map(batches, itertools.count(start)) if callable(batches) else iter(batches)
    records: list[Record] = []
    waiting: tuple[int, Metrics] | None = None

    def report(*, last: bool = False) -> None:
        if waiting is None or not (last or waiting[0] % log_every == 0):
            return
        number, metrics = waiting
        record = {name: float(np.asarray(value)) for name, value in jax.device_get(metrics).items()}
        records.append({"step": float(number), **record})
        if on_metrics is not None:
            on_metrics(number, record)

    number = saved = start
    try:
        for number, batch in zip(range(start + 1, steps + 1), stream, strict=False):
            state, metrics = step(state, batch)
            report()
            waiting = (number, metrics)
            if save is not None and save_every and number % save_every == 0:
                save(number, state)
                saved = number
        report(last=True)
    except KeyboardInterrupt:
        number = int(state.step)
        if save is not None and number > saved:
            save(number, state)
        raise
    if save is not None and number > saved:
        save(number, state)
    return state, records
