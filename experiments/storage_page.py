"""What the page about storage shows."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.side_by_side import median_interval
from experiments.storage_runs import BASE, BITS, CONTROL, LEVEL, MARGINS, Ends
from jaxlab import verdict
from jaxlab.optimizers import adamw


def answer(judged: Mapping[str, Mapping[str, verdict.Comparison]], seconds: Mapping[str, list[float]]) -> str:
    """The verdict: the fewest bits that do as well, and what each arm is on every task."""
    tried = [name for name in BITS if all(name in row for row in judged.values())]
    alike = [name for name in tried if all(row[name].verdict == "equivalent" for row in judged.values())]
    bits = min((BITS[name] for name in alike), default=32)
    labels = list(next(iter(judged.values())))
    words = [
        f"{label}: " + ", ".join(f"{row[label].verdict} on {task}" for task, row in judged.items()) for label in labels
    ]
    spent = f" A step in int8 takes {ratio(seconds, 'int8')[0]:.2f} times float32's." if seconds else ""
    return f"{bits} bits a value train AdamW to float32's loss, within the margins. {'; '.join(words)}.{spent}"


def numbers_of(
    judged: Mapping[str, Mapping[str, verdict.Comparison]], seconds: Mapping[str, list[float]]
) -> list[dict[str, Any]]:
    """Each arm's difference to float32, and the time of a step in each format."""
    numbers = [number_of(task, label, one) for task, row in judged.items() for label, one in row.items()]
    for name in seconds:
        middle, interval = ratio(seconds, name)
        meaning = "AdamW on eight matrices of 1024 x 1024, median of the paired ratios"
        ends = {"value": middle, "interval": list(interval), "unit": "times float32", "meaning": meaning}
        numbers += [{"name": f"step in {name}", **ends}] if name != BASE else []
    return numbers


def sections_of(
    found: Mapping[str, Ends],
    judged: Mapping[str, Mapping[str, verdict.Comparison]],
    seconds: Mapping[str, list[float]],
) -> list[dict[str, Any]]:
    """One for each task, and one for what it costs."""
    return [*(section_of(name, found[name], judged[name]) for name in found), *cost_section(seconds)]


def number_of(task: str, label: str, one: verdict.Comparison) -> dict[str, Any]:
    """An arm's difference to float32, with its interval and what follows from it."""
    return {
        "name": f"{label} on {task}",
        "value": one.difference if math.isfinite(one.difference) else None,
        "interval": [end if math.isfinite(end) else None for end in one.interval],
        "unit": "nats",
        "meaning": f"final loss less that of float32: {one.verdict} at a margin of {MARGINS[task]}",
    }


def section_of(task: str, ends: Ends, judged: Mapping[str, verdict.Comparison]) -> dict[str, Any]:
    """What an arm keeps, where it ended, and how far that is from float32."""
    rows, points = [], []
    for label, loss in ends.loss.items():
        one = judged.get(label)
        low, high = one.interval if one else (0.0, 0.0)
        difference = f"{one.difference:+.5f} ({low:+.5f} to {high:+.5f})" if one else "-"
        row = [label, ends.bytes[label], float(loss.mean()), difference, one.verdict if one else "-"]
        rows.append([*row, float(ends.test[label].mean())])
        if one and math.isfinite(one.difference) and label != CONTROL:
            points.append({"name": label, "x": [ends.bytes[label]], "y": [one.difference], "kind": "points"})
    spread = float(ends.loss[BASE].std(ddof=1))
    text = (
        f"Margin {MARGINS[task]} nats, set beforehand. Over the {len(ends.loss[BASE])} seeds float32's final loss has "
        f"a standard deviation of {spread:.5f}. An arm is equivalent where two one-sided paired t tests, at "
        f"{1 - LEVEL:.0%}, show its mean difference within the margin. Intervals are the paired t test's, {LEVEL:.0%}."
    )
    columns = ["arm", "bytes of state a parameter", "final loss", "less float32's", "verdict", "test loss"]
    return {
        "title": task,
        "text": [text],
        "tables": [{"title": "AdamW, by how it is kept", "columns": columns, "rows": rows}],
        "charts": [
            {
                "name": f"{task}_difference",
                "title": f"{task}: final loss less that of float32",
                "caption": "Means over seeds; their intervals, and the negative control, are in the table.",
                "x": "bytes of state a parameter",
                "y": "nats",
                "level": ["float32", 0.0],
                "series": points,
            }
        ],
    }


def cost_section(seconds: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Time and bytes of a step on large matrices."""
    if not seconds:
        return []
    rows = []
    for name, spent in seconds.items():
        middle, (low, high) = ratio(seconds, name)
        state = jax.eval_shape(adamw(1e-3, state_dtype=name).init, jax.ShapeDtypeStruct((1024, 1024), jnp.float32))
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state) if leaf.ndim) / 1024**2
        rows.append([name, size, 1e3 * statistics.median(spent), f"{middle:.2f} ({low:.2f} to {high:.2f})"])
    text = (
        "AdamW on eight matrices of 1024 x 1024; formats in turn, median of the paired ratios of the rounds with an "
        "interval of at least 95% from order statistics."
    )
    columns = ["format", "bytes of state a parameter", "median ms", "times float32's step"]
    return [
        {
            "title": "What it costs",
            "text": [text],
            "tables": [{"title": "A step", "columns": columns, "rows": rows}],
            "charts": [],
        }
    ]


def ratio(seconds: Mapping[str, list[float]], name: str) -> tuple[float, tuple[float, float]]:
    """A format's time over float32's: median of the rounds, and its interval."""
    ratios = [own / base for own, base in zip(seconds[name], seconds[BASE], strict=True)]
    return statistics.median(ratios), median_interval(ratios)
