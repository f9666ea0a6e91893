"""The loop of a pretraining run: steps, records, evaluations, checkpoints, and a way to stop between any two."""

import dataclasses
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.log_lines import Record
from experiments.pretrain_log import Log
from jaxlab.train import TrainState
from jaxlab.train.stopping import Stopping
from jaxlab.train.throughput import utilization

PROFILED = range(3, 6)
"""Which steps a profile shows, counted from where the run begins: the first ones are unlike the others."""


@dataclasses.dataclass
class Meter:
    """What is known of the steps since the last record, and how fast a stretch between two evaluations goes.

    Attributes:
      tokens: of a step.
      bytes_per_token: of the text.
      flops_per_token: of the training step.
      losses, bits: of the steps since the last record.
      seconds: of training, evaluations and checkpoints left out, until this stretch began.
      steps: of this stretch.
      mark: when it began; None between two.
    """

    tokens: int
    bytes_per_token: float
    flops_per_token: int
    losses: list[float] = dataclasses.field(default_factory=list)
    bits: list[float] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0
    mark: float | None = None

    def start(self) -> None:
        """A stretch begins."""
        self.mark, self.steps = time.perf_counter(), 0

    def stop(self) -> None:
        """It ends."""
        self.seconds, self.mark = self.trained(), None

    def trained(self) -> float:
        """Seconds of training until now."""
        return self.seconds + (0.0 if self.mark is None else time.perf_counter() - self.mark)

    def add(self, metrics: Mapping[str, float]) -> None:
        """One more step."""
        self.losses.append(metrics["loss"])
        self.bits.append(metrics["bits_per_token"])
        self.steps += 1

    def record(self, step: int, metrics: Mapping[str, float]) -> Record:
        """Means since the last record, the last step's other metrics, and the speed of the stretch until now."""
        trained = self.trained()
        # A step is told while the next one runs: of a whole stretch the time is right, and nearly so of its parts.
        rate = self.tokens * self.steps / (trained - self.seconds)
        mfu = utilization(rate * self.flops_per_token, jax.devices())
        record = {
            "step": step,
            "tokens": step * self.tokens,
            "loss": float(np.mean(self.losses)),
            "bits_per_byte": float(np.mean(self.bits)) / self.bytes_per_token,
            **{name: value for name, value in metrics.items() if name not in ("loss", "bits_per_token")},
            "seconds": trained,
            "tokens_per_second": rate,
            "mfu": np.nan if mfu is None else mfu,
        }
        self.losses, self.bits = [], []
        return record

    def note(self) -> dict[str, Any]:
        """What a run that goes on must know, to make the record that this one would have made."""
        return {"losses": self.losses, "bits": self.bits, "seconds": self.trained()}


@dataclasses.dataclass(frozen=True)
class Loop:
    """How a run goes from any step to its last.

    Attributes:
      steps: of the run.
      evaluate_every, log_every: a record is made after so many steps, and after the last; with an evaluation, or none.
      batches: ``step -> generator`` of the batches from there on.
      step: the compiled training step.
      evaluate: what is added to a record: numbers by name.
      save: ``save(step, state, wait=...)``.
      profile: a folder for a profile of a few steps, or None.
    """

    steps: int
    evaluate_every: int
    log_every: int
    batches: Callable[[int], Generator[Any]]
    step: Callable[[TrainState, Any], tuple[TrainState, Any]]
    evaluate: Callable[[TrainState], Record]
    save: Callable[..., None]
    profile: Path | None

    def run(self, state: TrainState, log: Log, meter: Meter, stopping: Stopping) -> TrainState:
        """Trains until the last step, or until it is asked to stop; either way the last state is saved.

        A step's metrics are read while the next one runs.

        Args:
          state: that of any step; it is given away.
          log, meter: as they were after that step.
          stopping: asked after each step.
        """
        begin = number = saved = int(state.step)
        late = None
        with closing(self.batches(begin)) as batches, ExitStack() as profiled:
            meter.start()
            while number < self.steps and stopping.received is None:
                if self.profile is not None and number - begin == PROFILED.start:
                    profiled.enter_context(jax.profiler.trace(str(self.profile)))
                state, metrics = self.step(state, next(batches))
                number += 1
                if late is not None:
                    self._read(log, meter, *late)
                late = number, metrics
                if number - begin == PROFILED.stop:
                    jax.block_until_ready(metrics)
                    profiled.close()
                log.advance(number)
                if self._is_evaluated(number):
                    record = meter.record(number, self._read(log, meter, *late))
                    late = None
                    meter.stop()
                    log.add({**record, **self.evaluate(state)})
                    self.save(number, state, wait=False)
                    saved = number
                    meter.start()
                stopping.after(number)
        if late is not None:
            self._read(log, meter, *late)
        if number > saved:
            self.save(number, state, wait=True)
        return state

    def _read(self, log: Log, meter: Meter, number: int, metrics: Any) -> dict[str, float]:
        """A step's metrics; waits until they are there."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        meter.add(values)
        if number % self.log_every == 0 and not self._is_evaluated(number):
            log.add(meter.record(number, values))
        return values

    def _is_evaluated(self, number: int) -> bool:
        return number % self.evaluate_every == 0 or number == self.steps
