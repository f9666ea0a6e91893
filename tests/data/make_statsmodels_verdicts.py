"""Writes statsmodels_verdicts.json: statsmodels' corrections, equivalence tests, power and intervals, to compare with.

Run with statsmodels 0.15.0, outside jaxlab's environment: ``python tests/data/make_statsmodels_verdicts.py``.
"""

import itertools
import json
import pathlib

import numpy as np
import statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired

RNG = np.random.default_rng(0)


def holm() -> list[dict]:
    cases = [(RNG.uniform(size=m) ** 3).round(6).tolist() for m in (1, 2, 5, 28)] + [[0.01, 0.01, 0.04, 0.04]]
    return [{"p": p, "corrected": multipletests(p, method="holm")[1].tolist()} for p in cases]


def equivalence() -> list[dict]:
    found = []
    for seeds, margin in itertools.product((2, 5, 12), (0.1, 0.5, 2.0)):
        a, b = RNG.normal(0.2, 1.0, seeds).round(6), RNG.normal(size=seeds).round(6)
        p = float(ttost_paired(a, b, -margin, margin)[0])
        found.append({"a": a.tolist(), "b": b.tolist(), "margin": margin, "p": p})
    return found


def power() -> list[dict]:
    # One-sided at half the level: the chance of the wrong sign is not counted.
    return [
        {
            "effect": effect,
            "seeds": seeds,
            "alpha": alpha,
            "power": float(TTestPower().power(effect, seeds, alpha / 2.0, alternative="larger")),
        }
        for effect, seeds, alpha in itertools.product((0.2, 1.0, 3.0), (2, 5, 20), (0.05, 0.05 / 28))
    ]


def effects() -> list[dict]:
    return [
        {
            "seeds": seeds,
            "pairs": pairs,
            "effect": float(TTestPower().solve_power(nobs=seeds, alpha=0.025 / pairs, power=0.8, alternative="larger")),
        }
        for seeds, pairs in itertools.product((3, 5, 10, 30), (1, 3, 28))
    ]


def proportions() -> list[dict]:
    cases = [(0, 5), (1, 5), (5, 5), (3, 17), (499, 1000)]
    return [
        {
            "successes": successes,
            "trials": trials,
            "level": level,
            "interval": [float(end) for end in proportion_confint(successes, trials, 1.0 - level, method="beta")],
        }
        for (successes, trials), level in itertools.product(cases, (0.9, 0.95))
    ]


if __name__ == "__main__":
    contents = {
        "statsmodels": statsmodels.__version__,
        "holm": holm(),
        "equivalence": equivalence(),
        "power": power(),
        "effects": effects(),
        "proportions": proportions(),
    }
    path = pathlib.Path(__file__).with_name("statsmodels_verdicts.json")
    path.write_text(json.dumps(contents) + "\n")
