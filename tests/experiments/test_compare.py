"""The main job end to end, small, and everything that it must refuse."""

import dataclasses
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments import budget, compare
from jaxlab import report, schedules, tasks

SMALL = compare.Config(
    tasks=("line",),
    optimizers=("sgd", "adam"),
    trials=4,
    horizons=(40,),
    selection_seeds=2,
    seeds=3,
    evaluations=4,
    layout="vmap",
)
ROOT = Path(__file__).parents[2]


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    compare.run(compare.prepare(with_changes(out=out)))
    return out


def test_it_leaves_a_page_plots_and_checked_results(study):
    results = report.load(study)
    assert [arm["name"] for arm in results["arms"]] == ["sgd", "adam"]
    assert (study / "report.html").read_text().count("<svg") >= 3
    assert list((study / "plots").glob("*.png"))
    sgd = results["arms"][0]
    assert len(sgd["tuning"]["values"]) == 4
    assert sgd["tuning"]["chosen"] in sgd["tuning"]["values"]
    assert len(sgd["report"]["test"]) == 3
    assert sgd["curves"]["steps"] == [10, 20, 30, 40]
    assert len(results["comparisons"]) == 1


def test_selection_and_report_share_no_seed_and_arms_share_all(study):
    first, second = report.load(study)["arms"]
    assert not set(first["tuning"]["seeds"]) & set(first["report"]["seeds"])
    assert first["tuning"]["seeds"] == second["tuning"]["seeds"]
    assert first["report"]["seeds"] == second["report"]["seeds"]


def without_times(folder):
    """Results but for what a clock says, and what was compiled by which process."""
    results = json.loads((folder / "results.json").read_text())
    for name in ("seconds", "command", "environment"):
        del results[name]
    del results["program"]["compilations"]
    for arm in results["arms"]:
        for name in ("seconds_tuning", "seconds_report", "compile_seconds", "compilations", "seconds_per_step"):
            del arm["cost"][name]
    return results


def test_what_was_killed_goes_on_and_finds_the_same(study, tmp_path):
    """Killed without a chance to say goodbye, as soon as the first arm's trials are stored."""
    out = tmp_path / "out"
    options = "--trials 4 --horizons 40 --selection-seeds 2 --seeds 3 --evaluations 4 --layout vmap"
    command = [sys.executable, "-m", "experiments.compare", "--task", "line", "--optimizers", "sgd", "adam"]
    # It inherits the tests' flags, thus as many devices: another number is another program, with other rounding.
    killed = subprocess.Popen([*command, *options.split(), "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL)
    finished, deadline = 0, time.monotonic() + 300
    while not finished and time.monotonic() < deadline:
        time.sleep(0.02)
        if (out / "study.db").exists():
            try:
                with sqlite3.connect(out / "study.db") as database:
                    query = "select count(*) from trials where state = 'COMPLETE'"
                    ((finished,),) = database.execute(query).fetchall()
            except sqlite3.OperationalError:
                continue  # the tables are being made
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert finished
    assert not (out / "results.json").exists()
    with pytest.raises(ValueError, match="is not empty"):
        compare.prepare(with_changes(out=out))
    compare.run(compare.prepare(compare.Config(resume=out)))
    assert without_times(out) == without_times(study)
    with pytest.raises(ValueError, match="that run is complete"):
        compare.prepare(compare.Config(resume=out))


def test_several_tasks_and_horizons_are_several_studies_on_the_full_board(tmp_path):
    changes = {"tasks": ("line", "diabetes"), "horizons": (10, 20), "board": "full", "trials": 3, "evaluations": 1}
    compare.run(compare.prepare(with_changes(**changes, optimizers=("momentum",), seeds=2, out=tmp_path / "out")))
    results: Any = report.load(tmp_path / "out")
    assert [(one["task"]["name"], one["steps"]) for one in results["studies"]] == [
        *(("line", 10), ("line", 20), ("diabetes", 10), ("diabetes", 20))
    ]
    for one in results["studies"]:
        (tuning,) = (arm["tuning"] for arm in one["arms"])
        assert (one["board"], one["trials"]) == ("full", 3)
        assert tuning["points"].keys() == {"learning_rate", "momentum"}
        assert len(tuning["validation"]) == 3
    assert results["verdict"].startswith("Over 4 studies momentum is nowhere shown to be worse")


def test_a_budget_is_planned_from_what_was_measured(tmp_path):
    plan = compare.prepare(with_changes(out=tmp_path / "out", trials=8, optimizers=("sgd", "adam")))
    arms, measured = plan.studies[0], [budget.Measured(compile_seconds=1.0, seconds_per_step=0.01)] * 2

    def seconds(points, selection, seeds):
        return sum(budget.estimate(arm, one, points, selection, seeds) for arm, one in zip(arms, measured, strict=True))

    fits = budget.plan(1.0, 0.0, arms, measured)
    assert fits.seconds == seconds(fits.trials, fits.selection_seeds, fits.seeds) <= 0.85 * 60
    above = budget.LADDER.index((fits.trials, fits.selection_seeds, fits.seeds)) - 1
    assert seconds(*budget.LADDER[above]) > 0.85 * 60
    # By hand: 12 trials, 3 of them looked at second: 27, 9 and 10 runs, in one program of 27 places.
    assert seconds(12, 3, 10) == pytest.approx(2 * (1.0 + (27 + 27 + 27) * 40 * 0.01))
    with pytest.raises(ValueError, match=r"budget_minutes = 0\.01: one trial for each of 2 arms needs about 0\.3"):
        budget.plan(0.01, 6.0, arms, measured)


def test_a_budget_chooses_trials_and_seeds_and_is_kept(tmp_path):
    out = tmp_path / "out"
    config = with_changes(out=out, optimizers=("sgd",), budget_minutes=60.0)
    plan = compare.within_budget(compare.prepare(config), compare.Console(quiet=True))
    assert (plan.config.trials, plan.config.selection_seeds, plan.config.seeds) == (32, 5, 20)
    assert len(plan.protocol.report) == 20
    (arm,) = plan.studies[0]
    assert arm.total_trials == 32
    assert plan.budget.startswith("Planned into 60 minutes: 32 trials for each arm, 5 selection seeds, 20 report seeds")


def test_a_storage_of_another_study_is_refused_before_anything_runs(study, tmp_path):
    url = f"sqlite:///{study / 'study.db'}"
    with pytest.raises(ValueError, match=r"compare/line/40/sgd/trials was begun with evaluations = 4, here it is 5"):
        compare.prepare(with_changes(storage=url, evaluations=5, out=tmp_path / "out"))
    finished = compare.prepare(with_changes(storage=url, out=tmp_path / "out"))
    compare.run(finished)  # nothing is left to train
    assert without_times(tmp_path / "out") | {"config": None} == without_times(study) | {"config": None}


def test_another_study_has_other_seeds_and_the_same_study_the_same_numbers(study, tmp_path):
    compare.run(compare.prepare(with_changes(out=tmp_path / "again", optimizers=("sgd",))))
    again, before = report.load(tmp_path / "again")["arms"][0], report.load(study)["arms"][0]
    assert again["report"] == before["report"]
    assert again["tuning"] == before["tuning"]
    other = compare.prepare(with_changes(out=tmp_path / "other", seed=1))
    seeds = {*other.protocol.selection, *other.protocol.report}
    assert not seeds & {*before["tuning"]["seeds"], *before["report"]["seeds"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": ("lino",)}, "optimizer = 'lino': unknown, did you mean 'lion'"),
        ({"optimizers": ("newton",), "tasks": ("digits_mlp",)}, r"\d+ parameters, accepted are at most 4096"),
        ({"optimizers": ("gauss_newton",), "tasks": ("breast_cancer",)}, "the loss has no residuals"),
        ({"optimizers": ()}, r"optimizers = \[\]: accepted is at least one"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"tasks": ("lien",)}, "did you mean 'line'"),
        ({"tasks": ("nowhere.to_be:found",)}, "no module 'nowhere'"),
        ({"tasks": ()}, r"tasks = \[\]: accepted is at least one"),
        ({"horizons": (0,)}, "horizons = 0: accepted is a whole number of at least 1"),
        ({"batch_size": -1}, "batch_size = -1"),
        ({"trials": 0}, "trials = 0"),
        ({"seeds": 0}, "report_seeds = 0"),
        ({"board": "ful"}, "board = 'ful': unknown, did you mean 'full'"),
        ({"board": "full", "learning_rates": (0.1,)}, "learning_rates: accepted on the one-knob board"),
        ({"budget_minutes": 0.0}, "budget_minutes = 0.0: accepted is"),
        ({"budget_minutes": 1.0, "storage": "sqlite:///x.db"}, "budget_minutes with storage"),
        ({"storage": "nosuchthing://x"}, "storage = nosuchthing://x: unknown kind of database"),
        ({"resume": Path("/nowhere")}, "resume: accepted without other options"),
        ({"selection_seeds": 5001}, "selection_seeds = 5001: accepted is .* at most 5000"),
        ({"seed": 500_000}, "seed = 500000: accepted is .* at most"),
        ({"horizons": (300_000_000,)}, r"accepted are fewer than 2\*\*32 examples"),
        ({"learning_rates": (0.1, float("nan"))}, "learning_rates = nan: accepted is a number in"),
        ({"learning_rates": (-0.1,)}, r"learning_rates = -0\.1: accepted is a number in \(0, inf\)"),
        ({"learning_rates": (0.0,)}, r"learning_rates = 0\.0"),
        ({"trials": 10**12}, "trials = 1000000000000: accepted is .* at most 100000"),
        ({"layout": "\u00b2"}, "layout = "),
        ({"warmup": 1.0}, r"warmup = 1\.0: accepted is a number in"),
        ({"margin": -0.01}, "margin = -0.01"),
        ({"seed": -1}, "seed = -1"),
        ({"layout": "vmpa"}, "did you mean 'vmap'"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        compare.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("schedule", schedules.names())
def test_every_schedule_has_its_lengths(schedule, tmp_path):
    ((sgd, _),) = compare.prepare(with_changes(schedule=schedule, out=tmp_path / "out")).studies
    rate = schedules.get(schedule).build({**sgd.hyperparams, "learning_rate": 1.0})
    if not schedules.get(schedule).takes_loss:
        rates = [float(rate(step)) for step in range(40)]
        assert max(rates) == pytest.approx(1.0, abs=0.05)
        assert all(0 <= value <= 1 for value in rates)


def test_results_are_never_overwritten(study):
    with pytest.raises(ValueError, match="is not empty: accepted is a new or an empty folder"):
        compare.prepare(with_changes(out=study))


def test_data_that_are_missing_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr(tasks, "get", lambda name: (_ for _ in ()).throw(FileNotFoundError("apt-get install them")))
    with pytest.raises(FileNotFoundError, match="apt-get install"):
        compare.prepare(with_changes(out=tmp_path / "out"))


OWN_TASK = '''
import jax.numpy as jnp
import numpy as np

class Mine:
    """Least squares."""
    data = {"x": np.linspace(-1, 1, 64, dtype=np.float32)}
    @staticmethod
    def init(key):
        return {"w": jnp.zeros(())}
    @staticmethod
    def loss(params, batch, key):
        return RESULT

task = Mine
'''


def from_the_shell(folder, task, *options):
    command = [sys.executable, "-m", "experiments.compare", "--task", task, "--out", str(folder / "out"), *options]
    environment = {"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    # Besides, how the compiler works; the tests' number of devices is not a user's.
    environment["XLA_FLAGS"] = re.sub(r"\S+device_count=8", "", os.environ["XLA_FLAGS"])
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("params['w'] * batch['x']", "scalar"),
        ("jnp.sqrt(params['w'])", "gradient"),
    ],
)
def test_from_the_shell_a_broken_task_is_one_line_and_exit_code_2(tmp_path, result, message):
    (tmp_path / "mine.py").write_text(OWN_TASK.replace("RESULT", result))
    done = from_the_shell(tmp_path, "mine:task")
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_the_example_of_an_own_model_and_own_data_is_compared_by_one_command(tmp_path):
    """A file outside the package, in an environment that holds nothing else."""
    text = (ROOT / "experiments" / "own_task.py").read_text()
    assert len(text.splitlines()) <= 30
    (tmp_path / "mine.py").write_text(text)
    options = "--optimizers sgd adam --trials 8 --selection-seeds 1 --seeds 3 --steps 200 --layout vmap"
    done = from_the_shell(tmp_path, "mine:Spirals", *options.split())
    assert done.returncode == 0, done.stderr
    results = report.load(tmp_path / "out")
    assert {arm["name"] for arm in results["arms"]} == {"sgd", "adam"}
    assert max(arm["report"]["mean"] for arm in results["arms"]) > 0.9
    assert results["comparisons"][0]["verdict"] in ("better", "worse", "undecided")
    assert results["command"].startswith("python -m experiments.compare --task mine:Spirals")
    assert results["verdict"] in " ".join(done.stdout.split())
