"""The main job end to end, small, and everything that it must refuse."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import compare
from jaxlab import report, schedules, tasks

SMALL = compare.Config(
    task="line", optimizers=("sgd", "adam"), points=3, steps=40, selection_seeds=2, report_seeds=3, evaluations=4
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
    assert len(sgd["tuning"]["values"]) == 3
    assert sgd["tuning"]["chosen"] in sgd["tuning"]["values"]
    assert len(sgd["report"]["test"]) == 3
    assert sgd["curves"]["steps"] == [10, 20, 30, 40]
    assert len(results["comparisons"]) == 1


def test_selection_and_report_share_no_seed_and_arms_share_all(study):
    first, second = report.load(study)["arms"]
    assert not set(first["tuning"]["seeds"]) & set(first["report"]["seeds"])
    assert first["tuning"]["seeds"] == second["tuning"]["seeds"]
    assert first["report"]["seeds"] == second["report"]["seeds"]


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
        ({"optimizers": ("newton",), "task": "digits_mlp"}, r"\d+ parameters, accepted are at most 4096"),
        ({"optimizers": ("gauss_newton",), "task": "breast_cancer"}, "the loss has no residuals"),
        ({"optimizers": ()}, r"optimizers = \[\]: accepted is at least one"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"task": "lien"}, "did you mean 'line'"),
        ({"task": "nowhere.to_be:found"}, "no module 'nowhere'"),
        ({"steps": 0}, "steps = 0: accepted is a whole number of at least 1"),
        ({"batch_size": -1}, "batch_size = -1"),
        ({"points": 0}, "points = 0"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"selection_seeds": 5001}, "selection_seeds = 5001: accepted is .* at most 5000"),
        ({"seed": 500_000}, "seed = 500000: accepted is .* at most"),
        ({"steps": 300_000_000}, r"accepted are fewer than 2\*\*32 examples"),
        ({"learning_rates": (0.1, float("nan"))}, "learning_rate = nan: accepted is a number in"),
        ({"learning_rates": (-0.1,)}, r"learning_rate = -0\.1"),
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
    (sgd, _) = compare.prepare(with_changes(schedule=schedule, out=tmp_path / "out")).arms
    rate = schedules.get(schedule).build({**sgd.hyperparams, "learning_rate": 1.0})
    if not schedules.get(schedule).takes_loss:
        rates = [float(rate(step)) for step in range(SMALL.steps)]
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


def from_the_shell(folder, result, *options):
    (folder / "mine.py").write_text(OWN_TASK.replace("RESULT", result))
    command = [
        sys.executable,
        "-m",
        "experiments.compare",
        "--task",
        "mine:task",
        "--out",
        str(folder / "out"),
        *options,
    ]
    environment = {"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"}
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
    done = from_the_shell(tmp_path, result)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "out").exists()


def test_from_the_shell_a_users_own_task_is_compared(tmp_path):
    options = "--optimizers sgd adam --points 2 --steps 20 --selection-seeds 1 --report-seeds 2 --evaluations 2"
    done = from_the_shell(tmp_path, "jnp.mean((params['w'] - 3 + 0 * batch['x']) ** 2)", *options.split())
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["command"].startswith("python -m experiments.compare --task mine:task")
    assert results["verdict"] in " ".join(done.stdout.split())
