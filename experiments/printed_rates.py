"""The learning rates that the founding texts print, beside what their own formulas give.

The texts show three tables of rates, one callback, and one program that is called dynamic. Each printed value is
computed anew, in closed form in float64 and by the schedule of jaxlab that has the same name.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from jaxlab import schedules
from jaxlab.core import hyper
from jaxlab.report.sections import Chart, Number, Section, Series, Table

PEAK = 0.01
"""The initial rate of all three tables."""


@dataclasses.dataclass(frozen=True)
class PrintedTable:
    """A table of the texts: rows from 1, rates as printed.

    Attributes:
      name: of the schedule.
      stated: its numbers, in words.
      schedule: the same from jaxlab.
      closed_form: the same in float64.
      inverse: at which step a rate holds.
      printed: row -> rate; its digits say how exactly it is meant.
      findings: row -> what is wrong with it, where something is.
    """

    name: str
    stated: str
    schedule: hyper.Schedule
    closed_form: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
    inverse: Callable[[float], float]
    printed: Mapping[int, str]
    findings: Mapping[int, str]

    def is_right(self, row: int, first_step: int) -> bool:
        """Whether a row, counted so that row 1 is ``first_step``, holds in all the digits that are printed."""
        _, _, decimals = self.printed[row].partition(".")
        return abs(float(self.printed[row]) - self.exact(row, first_step)) <= 0.5 * 10.0 ** -len(decimals)

    def exact(self, row: int, first_step: int) -> float:
        """The rate that the formula gives for a row."""
        return float(self.closed_form(np.array([row - 1.0 + first_step]))[0])

    @property
    def first_step(self) -> int:
        """Which step row 1 is: 0, unless the table fits better when its rows are steps from 1."""
        return max((0, 1), key=lambda first: sum(self.is_right(row, first) for row in self.printed))

    @property
    def wrong(self) -> list[int]:
        """The rows that are wrong in the counting that suits the table best."""
        return [row for row in self.printed if not self.is_right(row, self.first_step)]


STEP = PrintedTable(
    name="step decay",
    stated="initial rate 0.01, times 0.1 after every 1,000 steps",
    schedule=schedules.step(PEAK, every=1_000, factor=0.1),
    closed_form=lambda t: PEAK * 0.1 ** np.floor(t / 1_000),
    inverse=lambda rate: 1_000 * round(math.log(rate / PEAK, 0.1)),
    printed={1: "0.01", 2: "0.01", 1000: "0.001", 1001: "0.001"},
    findings={},
)
EXPONENTIAL = PrintedTable(
    name="exponential decay",
    stated="initial rate 0.01, ratio 0.99, step size 1,000",
    schedule=schedules.exponential(PEAK, decay_rate=0.99, transition_steps=1_000),
    closed_form=lambda t: PEAK * 0.99 ** (t / 1_000),
    inverse=lambda rate: 1_000 * math.log(rate / PEAK, 0.99),
    printed={1: "0.01", 2: "0.0099", 1000: "0.0037", 1001: "0.0036"},
    findings={
        2: "a whole factor 0.99 after one step: the rate of step 1,000",
        1000: "0.01 * 0.99^100, as after 100 steps of 0.99 each",
        1001: "0.01 * 0.99^101, as after 101 steps of 0.99 each",
    },
)
COSINE = PrintedTable(
    name="cosine decay",
    stated="initial rate 0.01, T_max 10,000",
    schedule=schedules.cosine(PEAK, total_steps=10_000),
    # sin^2 of the half angle is (1 + cos) / 2 without its cancellation near the end.
    closed_form=lambda t: PEAK * np.sin(np.pi / 2 * np.maximum(10_000 - t, 0) / 10_000) ** 2,
    inverse=lambda rate: 10_000 * (1 - 2 / math.pi * math.asin(math.sqrt(rate / PEAK))),
    printed={1: "0.01", 2: "0.009945", 10_000: "0.0001", 10_001: "0"},
    findings={
        2: "one step of 10,000 takes a part of 2.5e-8 away, not 0.55%",
        10_000: "one step before the end a part of 2.5e-8 is left, not 1%",
    },
)
TABLES = (STEP, EXPONENTIAL, COSINE)


def sections() -> list[Section]:
    """The page's part about the texts: tables, callback, dynamic descent."""
    return [_tables(), _callback(), _dynamic()]


def numbers() -> list[Number]:
    """What was counted and computed, all of it exact."""
    wrong = sum(len(table.wrong) for table in TABLES)
    return [
        _exact("printed rates that are wrong", wrong, "", f"of {sum(len(table.printed) for table in TABLES)} printed"),
        _exact(
            "exponential decay, row 1,000",
            EXPONENTIAL.exact(1000, EXPONENTIAL.first_step),
            "",
            "the rate at 0.99 per 1,000 steps; printed: 0.0037",
        ),
        _exact(
            "cosine decay, printed row 2", COSINE.inverse(0.009945), "steps", "when the rate is 0.009945; printed: 2"
        ),
        _exact(
            "the callback's 100 epochs", callback_sum() / 0.001, "epochs", "at its first rate, they would go as far"
        ),
        _exact(
            "error of jaxlab.schedules",
            largest_error(),
            "",
            "largest, relative to the closed forms in float64, all rows",
        ),
    ]


def largest_error() -> float:
    """How far jaxlab's float32 schedules are from the closed forms, relative, over every step of the tables."""

    def error(table: PrintedTable) -> float:
        steps = np.arange(max(table.printed), dtype=np.float64)
        exact = table.closed_form(steps)
        found = np.asarray(table.schedule(steps.astype(np.int32)), np.float64)
        return float(np.max(np.abs(found - exact)[exact > 0] / exact[exact > 0]))

    return max(map(error, TABLES))


def callback_sum(epochs: int = 100) -> float:
    """The sum of the callback's rates."""
    return float(np.sum(0.001 * 0.1 ** (np.arange(epochs) / 10)))


def _tables() -> Section:
    rule = (
        "Each table of the texts lists rates by a number that counts from 1. Row n is the step n - 1, the first step "
        "being 0, unless the table fits better with row n as step n; a rate is right if it holds in all the digits "
        "that are printed."
    )
    found = (
        "The step table is right if its rows are steps counted from 1: its first stair then has 999 of them. The "
        "exponential table follows neither of its numbers: at 0.99 for 1,000 steps the rate is still 0.0099 in row "
        "1,000, at 0.99 for each step it is 4.4e-7; what stands there is 0.99 to the power 100. The cosine table "
        "begins to fall 470 times too early, and has 1% left where next to nothing is."
    )
    return {
        "title": "The rates that the texts print",
        "text": [rule, found],
        "tables": [_table(table) for table in TABLES],
        "charts": [_chart(table) for table in TABLES],
    }


def _table(table: PrintedTable) -> Table:
    first = table.first_step
    rows: list[list[str | float | None]] = []
    for row, printed in table.printed.items():
        exact, value = table.exact(row, first), float(printed)
        right = row not in table.wrong
        rows.append(
            [
                f"{row:,}",
                printed,
                f"{exact:.7g}",
                value / exact if exact else None,
                None if right else round(table.inverse(value)),
                "right" if right else f"wrong: {table.findings[row]}",
            ]
        )
    return {
        "title": f"{table.name}: {table.stated}; row n is step n{' - 1' if first == 0 else ''}",
        "columns": ["row", "printed", "exact", "printed / exact", "printed rate holds at step", "finding"],
        "rows": rows,
    }


def _chart(table: PrintedTable) -> Chart:
    rows = np.unique(np.round(np.geomspace(1, 2 * max(table.printed), 400)))
    exact = table.closed_form(rows - 1 + table.first_step)
    series: list[Series] = [_series("exact", rows, exact)]
    if table is EXPONENTIAL:
        series.append(_series("0.99 a step", rows, PEAK * 0.99 ** (rows - 1)))
    printed = [float(rate) for rate in table.printed.values()]
    series.append({"name": "printed", "x": [float(row) for row in table.printed], "y": list(printed), "kind": "points"})
    return {
        "name": table.name.replace(" ", "-"),
        "title": f"{table.name.capitalize()}: printed and exact",
        "caption": f"{table.stated.capitalize()}. Both axes logarithmic; a rate of 0 is not shown.",
        "x": "row",
        "y": "learning rate",
        "series": series,
        "x_log": True,
        "y_log": True,
    }


def _callback() -> Section:
    epochs = np.arange(100.0)
    smooth = np.asarray(schedules.exponential(0.001, 0.1, 10)(epochs), np.float64)
    stairs = np.asarray(schedules.staircase(0.001, 0.1, 10)(epochs), np.float64)
    smoothly = (
        "The texts train for 100 epochs with the rate 0.001 * 0.1^(epoch / 10). In Python 3 the division is no "
        "whole-number division, so this is no step decay, a tenth after every 10 epochs, but a smooth exponential: "
        "each epoch has 0.794 times the rate of the one before."
    )
    over = (
        f"It is over long before the 100 epochs are. All its rates together are worth {callback_sum() / 0.001:.2f} "
        f"epochs at the first rate, {100 * callback_sum(20) / callback_sum():.0f}% of that in the first 20; the last "
        f"rate is {smooth[-1]:.2g}."
    )
    return {
        "title": "The texts' callback",
        "text": [smoothly, over],
        "tables": [
            {
                "title": "The callback by the epoch",
                "columns": ["epoch", "as written", "in stairs, epoch // 10", "ratio"],
                "rows": [[f"{e}", smooth[e], stairs[e], smooth[e] / stairs[e]] for e in (0, 1, 9, 10, 19, 20, 50, 99)],
            }
        ],
        "charts": [
            {
                "name": "callback",
                "title": "The callback: as written and in stairs",
                "caption": "0.001 * 0.1^(epoch / 10) against 0.001 * 0.1^(epoch // 10).",
                "x": "epoch",
                "y": "learning rate",
                "series": [_series("as written", epochs, smooth), _series("in stairs", epochs, stairs)],
                "y_log": True,
            }
        ],
    }


def _dynamic() -> Section:
    steps = np.arange(1, 1_001)
    falling = np.asarray(schedules.inverse_sqrt(1.0, warmup_steps=1)(steps), np.float64)
    fixed = 1 / math.sqrt(1_000)
    words = (
        "The program that the texts call dynamic gradient descent divides the rate by the root of num_iters, the "
        "number of all its steps, once, before the loop. So the rate never changes, and the argument "
        "learning_rate_decay is not used. With the number of the step in its place it is the schedule inverse_sqrt. "
        f"Over 1,000 steps the rates as written add up to {1_000 * fixed:.1f} times the initial one, those of the "
        f"schedule to {falling.sum():.1f} times."
    )
    return {
        "title": "The texts' dynamic descent",
        "text": [words],
        "tables": [],
        "charts": [],
    }


def _series(name: str, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Series:
    return {"name": name, "x": x.tolist(), "y": y.tolist()}


def _exact(name: str, value: float, unit: str, meaning: str) -> Number:
    return {"name": name, "value": value, "interval": None, "unit": unit, "meaning": meaning}
