"""What the page about a pretraining run shows."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.log_lines import Record
from experiments.pretrain_observer import Score
from experiments.pretrain_plan import Plan
from experiments.pretrain_samples import TEMPERATURE, Judged
from experiments.pretrain_text import Tokens
from experiments.train import lies
from jaxlab import verdict
from jaxlab.report.units import quantity, short

LAYERS, SHOWN = 6, 8
"""Of more layers, so many are drawn; of more texts, so many are shown."""


@dataclasses.dataclass(frozen=True)
class Page:
    """All that was found.

    Attributes:
      about: the run in a few lines: what, and in words.
      records: of the log.
      score: on held-out text.
      samples: what the model wrote.
      judged: their lines of code; None where the text is no Python.
      digests: SHA-256 of what went in and came out.
    """

    about: Sequence[tuple[str, str]]
    records: Sequence[Record]
    score: Score
    samples: Sequence[str]
    judged: Judged | None
    digests: Mapping[str, str]

    @property
    def tokens_per_second(self) -> float:
        """The mean over the stretches between two evaluations."""
        return float(np.mean(self._stretches("tokens_per_second")))

    @property
    def mfu(self) -> float | None:
        """Likewise; None where a device's peak is not known."""
        return _finite(float(np.mean(self._stretches("mfu"))))

    def answer(self) -> str:
        """What it reached, what it writes, how fast."""
        if not math.isfinite(self.score.bits_per_byte):
            first = "The run diverged: its loss on held-out files is not finite."
        else:
            first = f"{self.score.bits_per_byte:.3f} bits a byte on held-out files, {self._windows()}."
        words = [first]
        if self.judged is not None and self.judged.lines:
            words.append(
                f"Of {self.judged.lines} lines that it writes at temperature {TEMPERATURE}, {self.judged.share:.0%} "
                "pass Python's tokenize."
            )
        mfu = "MFU N/A: nobody has said what this device can do at most" if self.mfu is None else f"MFU {self.mfu:.1%}"
        return " ".join([*words, f"{self.tokens_per_second:,.0f} tokens a second, {mfu}."])

    def numbers(self) -> list[dict[str, Any]]:
        """The answers, with their intervals."""
        found = [
            {
                "name": "held-out text",
                "value": _finite(self.score.bits_per_byte),
                "interval": None if self.score.interval is None else [_finite(end) for end in self.score.interval],
                "unit": "bits a byte",
                "meaning": f"cross entropy of files that it was not trained on, {self._windows()}; all alike: 8",
            }
        ]
        if self.judged is not None:
            meaning = f"share of {self.judged.lines} non-blank lines, written at temperature {TEMPERATURE}, that pass "
            found.append(
                {
                    "name": "lines that are Python",
                    "value": _finite(self.judged.share),
                    "interval": list(self.judged.interval),
                    "unit": "",
                    "meaning": f"{meaning}tokenize alone; interval over {len(self.samples)} texts",
                }
            )
        found.append(
            {
                "name": "speed",
                "value": float(round(self.tokens_per_second)),
                "interval": self._interval("tokens_per_second"),
                "unit": "tokens a second",
                "meaning": "mean over the stretches between two evaluations, these and compilation left out",
            }
        )
        if self.mfu is not None:
            meaning = "useful operations over the peak of all devices"
            own = {"value": self.mfu, "interval": self._interval("mfu"), "unit": "", "meaning": meaning}
            found.append({"name": "MFU", **own})
        return found

    def sections(self) -> list[dict[str, Any]]:
        """Curves, what it writes, and the run itself."""
        return [self._learned(), self._inside(), self._written(), self._run()]

    def _stretches(self, name: str) -> list[float]:
        return [record[name] for record in self._evaluated()]

    def _interval(self, name: str) -> list[float | None]:
        low, high = verdict.t_interval(self._stretches(name))
        # No speed is below 0, and few stretches do not tell as much.
        return [_finite(max(low, 0.0) if math.isfinite(low) else low), _finite(high)]

    def _evaluated(self) -> list[Record]:
        return [record for record in self.records if "held_out_bits_per_byte" in record]

    def _windows(self) -> str:
        if self.score.windows >= self.score.of:
            return f"all {self.score.of:,} windows of them"
        return f"{self.score.windows:,} of their {self.score.of:,} windows, evenly spread"

    def _learned(self) -> dict[str, Any]:
        evaluated = self._evaluated()
        curves = [
            _series("training", self.records, "bits_per_byte"),
            _series("held out", evaluated, "held_out_bits_per_byte"),
        ]
        caption = "Training: means between two records. Held out: the same windows every time."
        charts = [
            _chart("bits_per_byte", "Bits a byte", caption, "bits a byte", curves),
            _chart(
                "loss",
                "Training loss",
                "With the penalty on large logits.",
                "nats a token",
                [_of(self.records, "loss")],
            ),
        ]
        if any("learning_rate" in record for record in self.records):
            what = "Of the matrices, where the optimizer has another rate for all else."
            charts.append(_chart("learning_rate", "Learning rate", what, "rate", [_of(self.records, "learning_rate")]))
        return {"title": "What it learned", "text": [], "tables": [], "charts": charts}

    def _inside(self) -> dict[str, Any]:
        evaluated = self._evaluated()
        layers = sorted(int(name.split("/")[1]) for name in evaluated[-1] if name.startswith("activation_rms/"))
        shown = sorted({layers[round(i)] for i in np.linspace(0, len(layers) - 1, min(LAYERS, len(layers)))})
        charts = [
            _chart(
                "gradient_norms",
                "Gradient, by part of the model",
                "Euclidean norm of one step's gradient at each evaluation.",
                "norm",
                _parts(evaluated, "gradient_norm"),
                y_log=True,
            ),
            _chart(
                "parameter_rms",
                "Parameters, by part of the model",
                "Root mean square.",
                "root mean square",
                _parts(evaluated, "parameter_rms"),
                y_log=True,
            ),
            _chart(
                "activation_rms",
                "Activations, by layer",
                "Root mean square of the residual stream after a layer, on held-out text.",
                "root mean square",
                [{**_series(f"layer {i + 1}", evaluated, f"activation_rms/{i}")} for i in shown],
            ),
        ]
        kept = [chart for chart in charts if chart["series"]]
        return {"title": "What goes on inside", "text": [], "tables": [], "charts": kept}

    def _written(self) -> dict[str, Any]:
        shown = f"The first {SHOWN} of {len(self.samples)} texts" if len(self.samples) > SHOWN else "All texts"
        text = [
            f"{shown}, written at temperature {TEMPERATURE}. The last line of each is where the writing was cut off."
        ]
        if self.judged is not None:
            text.append(
                f"{self.judged.passed} of {self.judged.lines} non-blank lines, those that were cut off left out, pass "
                "Python's tokenize, each alone and without its indentation. A string or a bracket that is open at the "
                "end of a line counts as a failure, though the next line might close it, and so does an apostrophe in "
                "prose. A line that begins with a prompt (import, def, class) counts with it."
            )
        listings = [{"title": f"Text {i + 1}", "text": sample} for i, sample in enumerate(self.samples[:SHOWN])]
        return {"title": "What it writes", "text": text, "tables": [], "charts": [], "listings": listings}

    def _run(self) -> dict[str, Any]:
        tables = [
            {"title": "What was trained", "columns": ["", "what"], "rows": [list(row) for row in self.about]},
            {"title": "SHA-256", "columns": ["of", "digest"], "rows": [list(row) for row in self.digests.items()]},
        ]
        text = "Equal digests of what went in and equal devices make equal digests of what comes out, however often a "
        return {
            "title": "The run",
            "text": [text + "run was stopped or killed on its way."],
            "tables": tables,
            "charts": [],
        }


def _chart(name: str, title: str, caption: str, y: str, series: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "x": "million tokens",
        "y": y,
        "series": series,
        **options,
    }


def _of(records: Sequence[Record], name: str) -> dict[str, Any]:
    return _series(name.replace("_", " "), records, name)


def _series(title: str, records: Sequence[Record], name: str) -> dict[str, Any]:
    having = [record for record in records if name in record]
    return {
        "name": title,
        "x": [record["tokens"] / 1e6 for record in having],
        "y": [_finite(record[name]) for record in having],
    }


def _parts(records: Sequence[Record], name: str) -> list[dict[str, Any]]:
    """A series for each part of the model that has a number above 0, which a logarithmic axis can show."""
    parts = sorted(key for key in records[-1] if key.startswith(f"{name}/"))
    return [
        _series(key.split("/")[1], records, key)
        for key in parts
        if any(np.isfinite(record[key]) and record[key] > 0 for record in records)
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def describe(plan: Plan, tokens: Tokens, steps_per_epoch: float) -> list[tuple[str, str]]:
    """The run in a few lines, each with its name."""
    config, shape, programs = plan.config, plan.shape, plan.programs
    heads = f"heads {shape.heads}" if shape.kv_heads == shape.heads else f"heads {shape.heads} to {shape.kv_heads}"
    flops = quantity(shape.flops_per_token(config.context), "FLOP")
    counts = [f"{len(file.tokens):,} {side}" for file, side in zip(tokens, ("to train on", "held out"), strict=True)]
    trained, times = config.steps * config.batch_size * config.context, config.steps / steps_per_epoch
    numbers = ", ".join(f"{name} {short(float(value))}" for name, value in plan.hyperparams.items())
    devices = jax.devices()
    words = {
        "model": f"{_count(shape.parameters)} parameters: {shape.layers} layers of width {shape.width}, {heads}, "
        f"{shape.activation}; {flops} a token",
        "text": plan.source.corpus.describe(),
        "tokens": f"{plan.source.tokenizer}; {', '.join(counts)}, {tokens.training.bytes_per_token:.2f} bytes each",
        "run": f"{config.steps:,} steps of {config.batch_size} x {config.context} tokens, {_count(trained)} in all, "
        f"{times:.2g} times the text; seed {config.seed}",
        "recipe": f"{plan.recipe.optimizer}, {plan.recipe.schedule}: {numbers}",
        "precision": str(programs.policy),
        "devices": f"{len(devices)} x {devices[0].device_kind}, {lies(programs.layout)}",
    }
    return list(words.items())


def _count(number: int) -> str:
    return quantity(number, "").replace(" ", "")
