"""What ``experiments.regularization`` says of its linear models: numbers, tables, charts and verdict."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.regularization_paths import RATIO, Outcome
from jaxlab import verdict
from jaxlab.report.sections import Chart, Number, Section, Series

FEATURES = (
    "age",
    "sex",
    "body mass index",
    "blood pressure",
    "s1 cholesterol",
    "s2 LDL",
    "s3 HDL",
    "s4 ratio to HDL",
    "s5 triglycerides",
    "s6 blood sugar",
)
"""The diabetes data's measurements, in their order."""
NEAR = 1.1
"""Errors up to so many times the least are drawn."""


@dataclasses.dataclass(frozen=True)
class Linear:
    """All that the linear models showed.

    Attributes:
      outcomes: by penalty; L1, L2 and the elastic net.
      subgradient: weights and intercept under the plain gradient of L1, for each strength.
      lasso_cv: the strengths that LassoCV chose, one for each shuffle.
      free: squared errors on the test without a penalty.
      folds: of each shuffle.
    """

    outcomes: Mapping[str, Outcome]
    subgradient: Float[np.ndarray, "strengths features+1"]
    lasso_cv: Float[np.ndarray, " shuffles"]
    free: Float[np.ndarray, " patients"]
    folds: int

    @property
    def lasso(self) -> Outcome:
        """The one with zeros."""
        return self.outcomes["L1"]

    @property
    def worst(self) -> float:
        """The largest difference to scikit-learn, of all penalties and strengths."""
        return max(float(one.differences.max()) for one in self.outcomes.values())

    @property
    def zero_sets(self) -> tuple[int, int]:
        """How many sets of zeros are scikit-learn's, and how many there are."""
        same = [one.same_zeros for one in self.outcomes.values()]
        return int(sum(map(np.sum, same))), int(sum(map(np.size, same)))

    @property
    def agreeing(self) -> int:
        """For how many shuffles LassoCV chooses our strength."""
        return int(np.isclose(self.lasso.strengths[self.lasso.selection.by_folds], self.lasso_cv, rtol=1e-6).sum())

    def verdict(self) -> str:
        """Whether scikit-learn was reached, and which strength was chosen."""
        same, sets = self.zero_sets
        chosen = self.lasso.strengths[self.lasso.selection.by_folds[0]]
        of_folds, of_one = (spread(self.lasso, way) for way in self.lasso.selection[1:])
        return (
            f"Lasso, Ridge and ElasticNet of scikit-learn are reached at every strength: coefficients within "
            f"{self.worst:.1e} of the largest, {same} of {sets} sets of zeros the same. Cross-validation chooses an L1 "
            f"strength of {chosen:.3g}, and LassoCV the same in {self.agreeing} of {len(self.lasso_cv)} shuffles; from "
            f"shuffle to shuffle the choice varies by a factor of {of_folds:.2g}, that of one set of validation data "
            f"by {of_one:.2g}."
        )

    def numbers(self) -> list[Number]:
        """The answers, with intervals where something was drawn at random."""

        def exact(name: str, value: Any, unit: str, meaning: str) -> Number:
            return {"name": name, "value": float(value), "interval": None, "unit": unit, "meaning": meaning}

        same, sets = self.zero_sets
        lasso = self.lasso
        errors, chosen = lasso.test.mean(axis=1), lasso.selection.by_folds
        gain = lasso.test[chosen[0]] - self.free
        ways = errors[chosen] - errors[lasso.selection.by_one_fold]
        return [
            exact("coefficient difference", self.worst, "of the largest", "to scikit-learn, the worst of all"),
            exact("zero sets that agree", same, f"of {sets}", "exact zeros where scikit-learn has them"),
            exact("L1 strength chosen", lasso.strengths[chosen[0]], "", "by cross-validation, first shuffle"),
            exact("LassoCV agrees", self.agreeing, f"of {len(chosen)} shuffles", "chooses the same strength"),
            exact("exact zeros, proximal", zeros(lasso.theta).sum(), "weights", "of all strengths together"),
            exact("exact zeros, gradient", zeros(self.subgradient).sum(), "weights", "of L1's plain gradient"),
            mean("L1 - least squares", gain, "mean test error, strength by cross-validation; over patients"),
            mean("cross-validation - one fold", ways, "mean test error of L1's chosen strengths; over shuffles"),
        ]

    def sections(self) -> list[Section]:
        """From agreement over paths and zeros to the choice."""
        return [self._reached(), self._paths(), self._sparsity(), self._choice()]

    def _reached(self) -> Section:
        rows: list[list[str | float | None]] = [
            [
                name,
                one.penalty.reference,
                f"{one.strengths[0]:.3g} to {one.strengths[-1]:.3g}",
                f"{one.differences.max():.1e}",
                f"{one.same_zeros.sum()} of {one.same_zeros.size}",
            ]
            for name, one in self.outcomes.items()
        ]
        return {
            "title": "scikit-learn reached",
            "text": [
                (
                    "Each penalty is added to half the mean squared error, as scikit-learn does for Lasso; the "
                    f"elastic net is {RATIO:g} L1 and {1 - RATIO:g} L2. The intercept is free. Our models take "
                    "full-batch steps in float32 from random weights; scikit-learn solves in float64."
                )
            ],
            "tables": [
                {
                    "title": "Largest difference of a coefficient, as a part of the largest coefficient, at the worst "
                    "strength; and at how many strengths the zeros are the same.",
                    "columns": ["Penalty", "Solver", "Strengths", "Difference", "Same zeros"],
                    "rows": rows,
                }
            ],
            "charts": [],
        }

    def _paths(self) -> Section:
        titles = {"L1": "L1 takes one measurement after the other", "L2": "L2 keeps them all and shrinks them"}
        return {
            "title": "Paths",
            "text": [
                (
                    "A coefficient says by how many standard deviations the disease progresses more for one standard "
                    "deviation more of the measurement. To the right the penalty is weaker. s1, s2 and s3 say almost "
                    "the same of a patient: without a penalty they grow against each other."
                )
            ],
            "tables": [],
            "charts": [self._path(name, titles[name]) for name in titles],
        }

    def _path(self, name: str, title: str) -> Chart:
        one = self.outcomes[name]
        return {
            "name": f"{name.lower()}-path",
            "title": title,
            "caption": "Coefficients of the model trained on all 354 patients that are not for the test.",
            "x": "1 / strength",
            "y": "coefficient",
            "x_log": True,
            "series": [line(name, one, one.theta[:, i]) for i, name in enumerate(FEATURES)],
        }

    def _sparsity(self) -> Section:
        lasso, near = self.lasso, np.abs(self.subgradient[:, :-1])
        shown = range(0, len(lasso.strengths), max(1, len(lasso.strengths) // 7))
        rows: list[list[str | float | None]] = [
            [
                f"{lasso.strengths[i]:.3g}",
                int(zeros(lasso.theta)[i]),
                int((lasso.reference[i] == 0).sum()),
                int(zeros(self.subgradient)[i]),
                f"{near[i].min():.1e}",
            ]
            for i in shown
        ]
        series = [line(name, one, zeros(one.theta)) for name, one in self.outcomes.items()]
        series.append(line("L1's gradient", lasso, zeros(self.subgradient)))
        return {
            "title": "Which weights are zero",
            "text": [
                (
                    "The absolute value has a kink at zero. A proximal step (soft thresholding) stops there: the zero "
                    "is exact. Adding the gradient of the penalty, strength times the weight's sign, steps over zero "
                    "and back for ever: the weights become small, never zero."
                )
            ],
            "tables": [
                {
                    "title": f"Exact zeros among {len(FEATURES)} weights.",
                    "columns": ["Strength", "Proximal", "Lasso", "Gradient", "Gradient's smallest weight"],
                    "rows": rows,
                }
            ],
            "charts": [
                {
                    "name": "zeros",
                    "title": "Exact zeros",
                    "caption": "To the right the penalty is weaker. L2 has none at any strength.",
                    "x": "1 / strength",
                    "y": "weights that are zero",
                    "x_log": True,
                    "series": series,
                }
            ],
        }

    def _choice(self) -> Section:
        rows = [choice_row(name, one, self.free) for name, one in self.outcomes.items()]
        series = [curve(name, one) for name, one in self.outcomes.items()]
        return {
            "title": "Which strength",
            "text": [
                (
                    f"Two ways: {self.folds}-fold cross-validation, where every patient is held out once, and a grid "
                    "judged on one set of validation data, here the first fold alone. Both are repeated with other "
                    f"shuffles of the same patients. LassoCV with the same folds chooses the same L1 strength in "
                    f"{self.agreeing} of {len(self.lasso_cv)} shuffles. The patients for the test had no say."
                )
            ],
            "tables": [
                {
                    "title": "Strengths chosen over the shuffles, lowest to highest. Difference: mean squared error on "
                    "the test patients, strength by cross-validation of the first shuffle, minus that of least "
                    "squares; 95% interval over the patients.",
                    "columns": ["Penalty", "First shuffle", "By folds", "By one fold", "Test error", "Difference"],
                    "rows": rows,
                }
            ],
            "charts": [
                {
                    "name": "cross-validation",
                    "title": "Error on patients held out",
                    "caption": "Mean squared error by cross-validation, mean and range of the shuffles, where within "
                    "a tenth of the least.",
                    "x": "1 / strength",
                    "y": "squared error held out",
                    "x_log": True,
                    "series": series,
                }
            ],
        }


def zeros(theta: Float[np.ndarray, "strengths features+1"]) -> np.ndarray:
    """How many weights are exactly zero, for each strength."""
    return (theta[:, :-1] == 0).sum(axis=1)


def spread(one: Outcome, chosen: np.ndarray) -> float:
    """The highest chosen strength over the lowest."""
    strengths = one.strengths[chosen]
    return float(strengths.max() / strengths.min())


def mean(name: str, values: np.ndarray, meaning: str, unit: str = "squared error") -> Number:
    """A mean with its t interval."""
    interval: list[float | None] = [end if np.isfinite(end) else None for end in verdict.t_interval(values)]
    return {"name": name, "value": float(values.mean()), "interval": interval, "unit": unit, "meaning": meaning}


def choice_row(name: str, one: Outcome, free: np.ndarray) -> list[str | float | None]:
    """What was chosen, and what it is worth on the test."""
    test = one.test[one.selection.by_folds[0]]
    low, high = verdict.t_interval(test - free)
    ranges = (one.strengths[chosen] for chosen in one.selection[1:])
    return [
        name,
        f"{one.strengths[one.selection.by_folds[0]]:.3g}",
        *(f"{strengths.min():.3g} to {strengths.max():.3g}" for strengths in ranges),
        f"{test.mean():.4f}",
        f"{(test - free).mean():+.4f} ({low:+.4f} to {high:+.4f})",
    ]


def line(name: str, one: Outcome, values: np.ndarray) -> Series:
    """Values against the strength, the weakest last."""
    return {"name": name, "x": (1 / one.strengths[::-1]).tolist(), "y": values[::-1].astype(float).tolist()}


def curve(name: str, one: Outcome) -> Series:
    """The error held out against the strength, where it is low."""
    errors = one.selection.errors.mean(axis=1)[:, ::-1]
    low = errors.mean(axis=0) <= NEAR * errors.mean(axis=0).min()
    return {
        "name": name,
        "x": (1 / one.strengths[::-1])[low].tolist(),
        "y": errors.mean(axis=0)[low].tolist(),
        "low": errors.min(axis=0)[low].tolist(),
        "high": errors.max(axis=0)[low].tolist(),
    }
