"""A study as it could have been: made-up numbers, real statistics."""

from typing import Any

import numpy as np
import pytest

from jaxlab import verdict

# name: best validation accuracy, its log10 learning rate, how fast it falls off, where runs begin to diverge.
RECIPES = {
    "sgd": (0.9520, -0.5, 0.020, 0.6),
    "momentum": (0.9660, -1.2, 0.024, -0.2),
    "rmsprop": (0.9640, -2.6, 0.030, -1.2),
    "adagrad": (0.9560, -1.5, 0.014, 0.8),
    "adam": (0.9700, -2.4, 0.018, -1.1),
    "adamw": (0.9716, -2.3, 0.018, -1.0),
    "lion": (0.9690, -3.4, 0.034, -2.2),
    "nesterov": (0.9665, -1.2, 0.024, -0.2),
    "gradient_descent": (0.9518, -0.5, 0.020, 0.6),
    "adamw_bfloat16": (0.9712, -2.3, 0.018, -1.0),
    "rmsprop_warm": (0.9655, -2.5, 0.028, -1.2),
    "lion_slow_decay": (0.9683, -3.4, 0.034, -2.2),
}


def make_results(
    arms: int = 7,
    rates: int = 8,
    selection: int = 3,
    seeds: int = 5,
    *,
    lost: dict[str, int] | None = None,
    loss: bool = False,
    far: tuple[str, ...] = (),
    margin: float | None = None,
    board: str | None = None,
) -> dict[str, Any]:
    """Results of a study.

    Args:
      arms, rates, selection, seeds: how many of each.
      lost: arm -> how many of its report runs diverged.
      loss: report a loss, for which lower is better, in place of an accuracy.
      far: arms that learned next to nothing.
      margin: of equivalence.
      board: "one-knob" or "full": with all that a file may have beside the least; None: the least.
    """
    rng = np.random.default_rng(0)
    shared = rng.normal(0.0, 0.004, seeds)
    turn = (lambda x: 30.0 * (1.0 - x)) if loss else (lambda x: x)
    made = [
        _arm(name, rng, shared, rates, selection, (lost or {}).get(name, 0), name in far)
        for name in list(RECIPES)[:arms]
    ]
    for arm in made:
        arm["tuning"]["validation"] = turn(arm["tuning"]["validation"])
        arm["report"]["test"] = turn(arm["report"]["test"])
        arm["curves"]["validation"] = turn(arm["curves"]["validation"])
        arm["report"]["mean"] = float(np.mean(arm["report"]["test"]))
        arm["report"]["interval"] = verdict.t_interval(arm["report"]["test"])
    unit = "mean squared error" if loss else "fraction correct"
    measure = verdict.Measure("loss" if loss else "accuracy", unit, higher_is_better=not loss)
    tests = {arm["name"]: arm["report"]["test"] for arm in made}
    found = verdict.comparisons(tests, not loss, margin=margin)
    results = {
        "schema": "jaxlab.results/1",
        "experiment": "compare",
        "question": "Which optimizer should I use on digits_mlp?",
        "command": "python -m experiments.compare --task digits_mlp --report-seeds 5",
        "environment": {
            "python": "3.11.7",
            "processor": "AMD EPYC",
            "cores": 2,
            "devices": {"cpu": 2},
            "packages": {"jax": "0.10.2", "optax": "0.2.8"},
            "commit": None,
        },
        "config": {"task": "digits_mlp", "points": rates, "steps": 1000, "margin": margin},
        "task": {
            "name": "digits_mlp",
            "metric": measure.metric,
            "unit": unit,
            "higher_is_better": not loss,
            "target": None,
            "description": "scikit-learn's digits, 1,797 images of 8x8; 1,437 for training and validation (20% of them "
            "for validation, by the seed), 360 for the test; MLP with two hidden layers of 128 units.",
        },
        "arms": made,
        "comparisons": [vars(c) for c in found],
        "verdict": verdict.overall(tests, found, measure),
        "seconds": {"total": 74.2, "compile": 11.9},
    }
    if board is not None:
        tell_more(results, board)
    return results


def tell_more(results: dict[str, Any], board: str) -> None:
    """Adds what a file may have beside the least: numbers that a test can know, and those of jaxlab.verdict."""
    higher, arms = results["task"]["higher_is_better"], results["arms"]
    results |= {
        "steps": 1000,
        "trials": len(arms[0]["tuning"]["validation"]),
        "board": board,
        "power": {"seeds": 5, "pairs": len(results["comparisons"]), "effect": 4.12, "difference": 0.0123},
        "program": {
            "layout": "8",
            "trial": {"vmap": 0.0021, "map": 0.0048, "8": 0.00175},
            "devices": 2,
            "backend": "cpu",
            "compilations": 9,
        },
    }
    for i, arm in enumerate(arms):
        tuning, report = arm["tuning"], arm["report"]
        if board == "full":
            tuning["points"] = _points(tuning, i)
            arm["hyperparams"] |= {
                name: values[list(tuning["values"]).index(tuning["chosen"])]
                for name, values in tuning["points"].items()
            }
        if tuning["at_edge"]:
            tuning["edges"] = ["learning_rate"]
        runs = [*np.ravel(tuning["validation"]), *report["test"]]
        scores = tuning["validation"].mean(axis=1)
        variance = verdict.study_variance(tuning["validation"], report["test"], higher)
        arm["measures"] = {
            "divergence": verdict.divergence_rate(runs)._asdict(),
            "sensitivity": verdict.lr_sensitivity(tuning["values"], scores, higher)._asdict(),
            "best_of": verdict.expected_best(scores, higher),
            "steps_to_target": {
                "target": 0.96,
                "steps": [200, 250, None, 300, 1000][: len(report["seeds"])],
                "median": 300.0,
                "interval": [200.0, None],
            },
            "study": {"seed_sd": variance.seed_sd, "search_sd": variance.search_sd, "interval": variance.interval},
        }
        size = 4 * 2 * (1 + (arm["name"][:4] == "adam"))
        arm["cost"] |= {
            "compilations": 1,
            "seconds_per_step": 0.001234 * (i + 1),
            "flops_per_step": 1.25e6 * (i + 1),
            "params": 42_310,
            "state_bytes": 42_310 * size,
            "state_bytes_per_param": float(size),
        }
    tests = {arm["name"]: arm["report"]["test"] for arm in arms}
    for pair in results["comparisons"]:
        found = verdict.p_better(tests[pair["a"]], tests[pair["b"]], higher)
        pair |= {"p_better": found.probability, "p_better_interval": found.interval}


def _points(tuning: dict[str, Any], i: int) -> dict[str, Any]:
    """What was varied beside the learning rate: a momentum for all, and more for every second arm."""
    rng, trials = np.random.default_rng(i), len(tuning["values"])
    points = {"learning_rate": tuning["values"], "b1": 1.0 - 10.0 ** rng.uniform(-2.0, -0.3, trials)}
    if i % 2:
        points["b2"] = 1.0 - 10.0 ** rng.uniform(-3.0, -1.0, trials)
        points["weight_decay"] = 10.0 ** rng.uniform(-3.0, 0.0, trials)
        points["smoothing"] = rng.uniform(0.0, 0.2, trials)
    return points


def _arm(
    name: str, rng: np.random.Generator, shared: np.ndarray, rates: int, selection: int, lost: int, far: bool
) -> dict[str, Any]:
    best, at, fall, breaks = RECIPES[name]
    seeds = shared.size
    grid = 10.0 ** np.linspace(at - 2.0, at + 1.8, rates)
    distance = np.log10(grid) - at
    validation = best - fall * distance**2 * (1 + (distance < 0)) + rng.normal(0, 0.003, (selection, rates))
    validation = np.clip(validation, 0.1, 1.0).T
    validation[np.log10(grid) > breaks] = np.nan
    validation[np.log10(grid) > breaks - 0.4, :1] = np.nan
    means = np.nan_to_num(validation, nan=0.0).mean(axis=1)
    chosen = int(means.argmax())
    final = (0.12 if far else best) + shared + rng.normal(0, 0.0025, seeds)
    steps = np.arange(50, 1001, 50)
    speed = rng.uniform(60, 160)
    curve = final[:, None] - (final[:, None] - 0.1) * np.exp(-steps / speed) + rng.normal(0, 0.002, (seeds, 20))
    final[:lost] = np.nan
    for seed in range(lost):
        curve[seed, 4 + seed :] = np.nan
    return {
        "name": name,
        "optimizer": name,
        "schedule": "cosine",
        "reference": "https://arxiv.org/abs/1412.6980",
        "hyperparams": {"learning_rate": float(grid[chosen]), "warmup_steps": 50.0, "total_steps": 1000.0},
        "tuning": {
            "parameter": "learning_rate",
            "values": grid,
            "seeds": list(range(selection)),
            "validation": validation,
            "chosen": float(grid[chosen]),
            "at_edge": chosen in (0, rates - 1),
        },
        "report": {"seeds": [1000 + i for i in range(seeds)], "test": final, "diverged": lost},
        "curves": {"steps": steps, "validation": curve, "train_loss": 2.3 * np.exp(-steps / speed) + 0 * curve},
        "cost": {
            "seconds_tuning": float(rng.uniform(4, 8)),
            "seconds_report": float(rng.uniform(1, 2)),
            "compile_seconds": float(rng.uniform(0.7, 1.5)),
            "state_bytes_per_param": 4.0 * (1 + (name[:4] == "adam")),
        },
    }


@pytest.fixture(scope="session")
def study():
    """The maker itself: every test asks for the study it wants."""
    return make_results
