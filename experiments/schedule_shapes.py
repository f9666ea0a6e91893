"""Every schedule for a horizon of any length, and all of them as one optimizer whose schedule is a number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optax

from jaxlab import optimizers, schedules
from jaxlab.core import hyper
from jaxlab.report.sections import Chart, Section, Series, Table

LENGTHS: dict[str, dict[str, float]] = {
    "constant": {},
    "step": {"every": 1 / 3},
    "exponential": {"transition_steps": 1.0},
    "inverse_time": {"transition_steps": 1.0},
    "inverse_sqrt": {},
    "polynomial": {"total_steps": 1.0},
    "cosine": {"total_steps": 1.0},
    "cosine_restarts": {"period": 0.95 / 7},
    "one_cycle": {"total_steps": 1.0},
    "wsd": {"total_steps": 1.0, "decay_steps": 0.3},
    "wsd_cosine": {"total_steps": 1.0, "decay_steps": 0.3},
    "wsd_1_sqrt": {"total_steps": 1.0, "decay_steps": 0.3},
    "reduce_on_plateau": {"every": 0.04},
}
"""Every schedule's lengths, as parts of the horizon. Waves of 1, 2 and 4 periods fill what warm-up leaves."""
SHAPES: dict[str, dict[str, float]] = {
    "step": {"factor": 0.1},
    "exponential": {"decay_rate": 0.01},
    "inverse_time": {"decay_rate": 20.0},
    "cosine_restarts": {"period_factor": 2.0},
    "reduce_on_plateau": {"factor": 0.5, "patience": 1},
}
"""Their other numbers, where they are not the defaults."""
NAMES = tuple(LENGTHS)
WARMUP = 0.05
"""The part of the horizon in which every rate rises linearly; one_cycle has a rise of its own."""
CHARTS: dict[str, tuple[str, ...]] = {
    "falling": ("constant", "step", "exponential", "inverse_time", "inverse_sqrt", "polynomial"),
    "waves": ("cosine", "cosine_restarts", "one_cycle", "wsd", "wsd_cosine", "wsd_1_sqrt"),
}
"""Who is drawn with whom. reduce_on_plateau follows the loss and has no shape."""


def schedule_of(
    name: str, peak: hyper.Scalar, horizon: hyper.Scalar
) -> hyper.Schedule | optax.GradientTransformationExtraArgs:
    """A schedule for one peak and one horizon.

    >>> schedule_of("cosine", 1.0, 1_000)(np.array([0, 50, 1_000])).tolist()
    [0.0, 1.0, 0.0]
    """
    lengths = {length: part * horizon for length, part in LENGTHS[name].items()}
    rise = {} if name == "one_cycle" else {"warmup_steps": WARMUP * horizon}
    return schedules.get(name).build({"learning_rate": peak, **lengths, **rise, **SHAPES.get(name, {})})


def build(hyperparams: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
    """Momentum under schedule number ``schedule`` of ``NAMES``: one structure, so one program, for all of them."""
    peak, horizon = hyperparams["learning_rate"], hyperparams["total_steps"]
    rate = schedules.choose(hyperparams["schedule"], [schedule_of(name, peak, horizon) for name in NAMES])
    return optimizers.momentum(rate, hyperparams["momentum"])


def section() -> Section:
    """What was trained: every schedule's numbers, and its shape over a horizon."""
    text = (
        f"Every rate rises linearly over the first {WARMUP:.0%} of the horizon (one_cycle over 30%, by itself). "
        "reduce_on_plateau reads the mean training loss of each 4% of the horizon and halves the rate when two "
        "readings in a row are no better than the best; what it does depends on the run, so it is not drawn."
    )
    rows: list[list[str | float | None]] = [
        [name, _listed(LENGTHS[name], "none"), _listed(SHAPES.get(name, {}), "defaults")] for name in NAMES
    ]
    table = Table(title="All schedules", columns=["schedule", "lengths / horizon", "other numbers"], rows=rows)
    charts = [_chart(title, names) for title, names in CHARTS.items()]
    return Section(title="The schedules", text=[text], tables=[table], charts=charts)


def _listed(numbers: Mapping[str, float], nothing: str) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in numbers.items()) or nothing


def _chart(title: str, names: tuple[str, ...]) -> Chart:
    steps = np.arange(0, 1_001, 5)

    def drawn(name: str) -> Series:
        rate = schedule_of(name, 1.0, 1_000)
        assert callable(rate)
        return Series(name=name, x=(steps / 1_000).tolist(), y=np.asarray(rate(steps)).tolist())

    return Chart(
        name=f"shapes-{title}",
        title=f"Shapes: {', '.join(names)}",
        caption="The rate as a part of its peak. Warm-up included.",
        x="part of the horizon",
        y="rate / peak",
        series=[drawn(name) for name in names],
    )
