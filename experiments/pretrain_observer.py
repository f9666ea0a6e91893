"""What is seen of a model while it trains, and in the end: held-out loss, statistics of its parts, what it writes."""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments import pretrain_samples
from experiments.log_lines import Record
from experiments.pretrain_plan import Plan
from jaxlab import verdict
from jaxlab.text import HeldOut, TokenFile
from jaxlab.train import TrainState

EVERY_TIME, IN_THE_END = 0.02, 0.03
"""Which part of the time of training evaluations may take: all those on the way, and the last one."""

FORWARD = 1 / 3
"""Of a training step's time: what its forward pass takes."""


class Score(NamedTuple):
    """What parameters cost on held-out text.

    Attributes:
      bits_per_byte: the mean.
      windows: how many were evaluated, of how many there are.
      of: how many there are.
      interval: of the whole text's mean, 95%; None where all of it was evaluated.
    """

    bits_per_byte: float
    windows: int
    of: int
    interval: tuple[float, float] | None


class Observer:
    """The compiled programs that look at a state, and the text that they look at.

    On the way it is the same windows every time, evenly spread over the held-out text, so many as cost little; in the
    end all of it, if that takes no more than :data:`IN_THE_END` of the run, else as many windows as do.

    Args:
      plan: the run.
      tokens: held out.
      state: one like those that will come.
    """

    def __init__(self, plan: Plan, tokens: TokenFile, state: TrainState) -> None:
        self.plan, config, programs = plan, plan.config, plan.programs
        self.tokenizer, python = plan.source.tokenizer, plan.source.is_python
        rows, steps = config.batch_size // config.accumulate, plan.evaluate_every

        def windows(share: float, steps: int) -> HeldOut:
            batches = max(1, round(share / FORWARD * steps * config.accumulate))
            return HeldOut(tokens, config.context, rows, batches)

        self.all = math.ceil(len(tokens.tokens) / config.context)
        self.some, self.most = windows(EVERY_TIME, steps), windows(IN_THE_END, config.steps)
        batch = programs.put(self.some.batch(0))
        self._x = batch["x"]
        self._nats, self._look = programs.nats(state, batch), programs.look(state, self._x)
        self._begun = self._write = None
        if config.samples:
            self._begun = pretrain_samples.beginnings(self.tokenizer, config.samples, python=python)
            self._write = programs.write(
                state, self._begun, config.sample_tokens, pretrain_samples.TEMPERATURE, config.context
            )

    def evaluate(self, state: TrainState) -> Record:
        """Numbers by name; what was written goes into the folder ``samples``."""
        seen = jax.device_get(self._look(state, self._x))
        found = {
            "held_out_bits_per_byte": self._score(state, self.some).bits_per_byte,
            **{f"gradient_norm/{group}": norm for group, norm in jax.device_get(state.opt_state[0].norms).items()},
            **{f"parameter_rms/{group}": rms for group, rms in seen["parameter_rms"].items()},
            **{f"activation_rms/{layer}": rms for layer, rms in enumerate(seen["rms"])},
            **{f"activation_largest/{layer}": largest for layer, largest in enumerate(seen["largest"])},
        }
        texts = self.write(state)
        judged = self.judged(texts)
        if judged is not None:
            found["lines_that_tokenize"] = judged.share
        if texts and jax.process_index() == 0:
            path = self.plan.out / "samples" / f"{int(state.step):06d}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n\n".join(f"--- {i}\n{one}" for i, one in enumerate(texts, 1)) + "\n", encoding="utf-8")
        return {name: float(value) for name, value in found.items()}

    def score(self, state: TrainState) -> Score:
        """Of the last parameters."""
        return self._score(state, self.most)

    def write(self, state: TrainState) -> list[str]:
        """Texts, for a state always the same."""
        if self._write is None or self._begun is None:
            return []
        return pretrain_samples.texts(self.tokenizer, self._begun, np.asarray(self._write(state)))

    def judged(self, texts: list[str]) -> pretrain_samples.Judged | None:
        """How many lines are Python; None where there are no texts, or are not meant to be."""
        return pretrain_samples.judged(texts) if texts and self.plan.source.is_python else None

    def _score(self, state: TrainState, held_out: HeldOut) -> Score:
        # All are on their way before the first is waited for.
        found = [self._nats(state, self.plan.programs.put(batch)) for batch in held_out]
        nats: Float[np.ndarray, " n"] = np.concatenate(jax.device_get(found)).astype(np.float64)
        whole = held_out.predictions == len(held_out.tokens.tokens)
        each = held_out.bits_per_byte(1.0) * held_out.predictions / held_out.context * nats
        interval = None if whole else verdict.t_interval(each) if len(each) > 1 else (-math.inf, math.inf)
        windows = self.all if whole else len(each)
        return Score(held_out.bits_per_byte(float(nats.sum())), windows, self.all, interval)
