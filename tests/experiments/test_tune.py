"""A search from start to recipe, killed and resumed, shared by two processes, within a budget; and what it refuses."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import train, tune
from experiments import tune_page as page
from jaxlab import report
from jaxlab.optimizers import load_about, load_recipe
from jaxlab.report.results import save
from jaxlab.sweep.final import chosen_of, finals_of
from jaxlab.sweep.search import Search, Trial, trials_of
from jaxlab.sweep.storage import Stage, Storage

ROOT = Path(__file__).parents[2]
SMALL = tune.Config(
    task="line", optimizers=("momentum",), steps=40, trials=6, round_size=3, selection_seeds=2, seeds=3, evaluations=4
)
OPTIONS = [
    "--task=line",
    "--optimizer=momentum",
    "--steps=40",
    "--trials=6",
    "--round-size=3",
    "--seeds=3",
    "--evaluations=4",
]
TIMES = {"seconds", "cost", "compilations", "command", "environment", "program"}


def results_of(folder) -> Any:
    return report.load(folder)


def without_times(found):
    """Results apart from what depends on how long things took."""
    if isinstance(found, dict):
        return {key: without_times(value) for key, value in found.items() if key not in TIMES}
    if isinstance(found, list):
        return [without_times(one) for one in found if not (isinstance(one, dict) and one.get("title") == "Cost")]
    return found


def tuned(out, **changes):
    tune.run(tune.prepare(dataclasses.replace(SMALL, out=out, **changes)))
    return out


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return tuned(tmp_path_factory.mktemp("tune") / "out")


@pytest.fixture(scope="module")
def trials(complete):
    plan = tune.prepare(dataclasses.replace(SMALL, storage=f"sqlite:///{complete / 'study.db'}", out=complete / "new"))
    return plan, trials_of(tune.open_stages(plan)[1][0])


def test_the_finalist_with_the_best_validation_mean_is_chosen(complete, trials):
    plan, found = trials
    whole = [trial for trial in found if trial.steps == 40]
    assert len(found) == 6
    assert len(whole) == 2  # of each round of three, halved twice, one
    (final,) = finals_of(plan.searches, [found], 4)
    stage = Storage(plan.config.storage).stage(
        "tune/line/momentum/final of 6", final.identity, final.search.space, higher_is_better=False
    )
    again = trials_of(stage)
    best = min(again, key=lambda trial: trial.scores.mean())
    assert len(again) == 2
    results = results_of(complete)
    arm = results["studies"][0]["arms"][0]
    assert arm["hyperparams"] == plan.searches[0].numbers(best.values)
    assert results["numbers"][0]["value"] == best.scores.mean()
    assert f"learning rate {best.values['learning_rate']:.3g}" in results["verdict"]
    seeds = [plan.searches[0].seeds, final.search.seeds, tuple(arm["report"]["seeds"])]
    assert len(set().union(*seeds)) == sum(map(len, seeds))  # none has two purposes
    assert [one["name"] for one in results["studies"][0]["arms"]] == ["tuned", "default"]


def test_the_recipe_is_a_file_that_trains(complete, tmp_path):
    recipe, numbers = load_recipe(complete)
    arm = results_of(complete)["studies"][0]["arms"][0]
    assert (recipe.optimizer, recipe.schedule, numbers) == ("momentum", "cosine", arm["hyperparams"])
    about = load_about(complete)
    assert (about["task"], about["steps"], about["trials"]) == ("line", 40, 6)
    assert about["test"]["scores"] == arm["report"]["test"]
    plan = train.prepare(train.Config(recipe=complete / "recipe.json", out=tmp_path / "out"))
    assert (plan.hyperparams, plan.steps, plan.batch_size) == (numbers, 40, about["batch_size"])


def test_the_page_tells_the_space_the_search_and_the_cost(complete):
    sections = {section["title"]: section for section in results_of(complete)["sections"]}
    assert list(sections) == [
        "What was searched",
        "How the search went",
        "The final",
        "Hyperparameters of momentum, one by one",
        "Cost",
    ]
    (best_so_far,) = sections["How the search went"]["charts"]
    values = [value for value in best_so_far["series"][0]["y"] if value is not None]
    assert values == sorted(values, reverse=True)
    slices = sections["Hyperparameters of momentum, one by one"]["charts"]
    assert [chart["title"] for chart in slices] == ["learning rate", "momentum"]
    assert sum(len(series["x"]) for series in slices[0]["series"]) == 6
    (searched, final) = sections["Cost"]["tables"][0]["rows"]
    assert searched[1:3] == [12, 2 * 2 * (3 * 10 + 2 * 10 + 1 * 20)]
    assert final[1:3] == [6, 6 * 40]
    assert len(sections["The final"]["tables"][0]["rows"]) == 2
    assert (complete / "report.html").exists()
    assert not (complete / "rounds").exists()


@pytest.fixture
def results_alone(monkeypatch):
    """No page and no plots."""
    monkeypatch.setattr("experiments.cli.finish", lambda results, out, console: save(results, out / "results.json"))


@pytest.mark.parametrize("where", ["in a round", "while it is told", "in the report"])
def test_interrupted_and_resumed_it_ends_with_the_same_results(complete, tmp_path, monkeypatch, results_alone, where):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "in a round":
            work = Search.work

            def in_the_second_round(self, stage, trials, **options):
                return work(self, stage, trials, **options | {"progress": interrupt if stage.finished() else None})

            patch.setattr(Search, "work", in_the_second_round)
        elif where == "while it is told":
            tell = Stage.tell
            patch.setattr(
                Stage, "tell", lambda self, point, *rest: interrupt() if point == 4 else tell(self, point, *rest)
            )
        else:
            patch.setattr("experiments.study.run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tuned(tmp_path / "out")
    assert not (tmp_path / "out" / "results.json").exists()
    tune.run(tune.prepare(tune.Config(resume=tmp_path / "out")))
    assert without_times(results_of(tmp_path / "out")) == without_times(results_of(complete))
    assert load_recipe(tmp_path / "out") == load_recipe(complete)


def started(folder, *options):
    """The same search as a process of its own; it inherits the tests' flags, thus as many devices."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "experiments.tune", *OPTIONS, "--out", str(folder), *options]
    return subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_and_resumed_it_ends_with_the_same_results(complete, tmp_path, results_alone):
    with started(tmp_path / "out") as process:
        assert process.stdout is not None
        assert any("3 of 6 trials" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out" / "results.json").exists()
    tune.run(tune.prepare(tune.Config(resume=tmp_path / "out")))
    assert without_times(results_of(tmp_path / "out")) == without_times(results_of(complete))


def test_two_processes_share_one_study_and_nothing_is_lost_or_done_twice(tmp_path, results_alone):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    changes = {"storage": url, "trials": 12, "sampler": "halton"}
    with started(tmp_path / "one", f"--storage={url}", "--trials=12", "--sampler=halton") as process:
        assert process.stdout is not None
        assert any("3 of 12 trials" in line for line in process.stdout)
        tuned(tmp_path / "other", **changes)
        process.communicate(timeout=300)
    assert process.returncode == 0
    plan = tune.prepare(dataclasses.replace(SMALL, out=tmp_path / "new", **changes))
    found = trials_of(tune.open_stages(plan)[1][0])
    assert [trial.point for trial in found] == list(range(12))
    assert len({trial.values["learning_rate"] for trial in found}) == 12
    one, other = (without_times(results_of(tmp_path / name)) for name in ("one", "other"))
    assert one["studies"] == other["studies"]
    assert one["verdict"] == other["verdict"]


def test_several_optimizers_are_searched_alike_and_one_is_chosen(tmp_path, monkeypatch):
    """Trained in words alone: whoever has the smallest rate has the smallest loss, but momentum halves it."""
    reported = []

    def train(self, points, *, layout, **_):
        factor = 0.5 if self.recipe.optimizer == "momentum" else 1.0
        cost = {"seconds": 1.0, "compile_seconds": 0.0, "compilations": 0, "member_steps": 80}
        return [
            Trial(point, values, np.full(len(self.seeds), factor * values["learning_rate"]), 40, cost, layout)
            for point, values in points.items()
        ]

    def run(question, arms, *arguments, **options):
        reported.extend(arms)
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "train", train)
    monkeypatch.setattr("experiments.study.run", run)
    changes = {"optimizers": ("sgd", "momentum", "sgd"), "halving": False}
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "out", **changes)
    plan = tune.prepare(
        dataclasses.replace(
            SMALL, storage=f"sqlite:///{tmp_path / 'out' / 'study.db'}", out=tmp_path / "new", **changes
        )
    )
    tried = [trials_of(stage) for stage in tune.open_stages(plan)[1]]
    assert [len(trials) for trials in tried] == [6, 6]
    best = min(tried[0] + tried[1], key=lambda trial: trial.scores.mean())
    assert reported[0].hyperparams["learning_rate"] == best.values["learning_rate"]
    assert reported[0].optimizer == ("momentum" if best in tried[1] else "sgd")
    finals = finals_of(plan.searches, tried, 4)
    again = [[trial._replace(point=i) for i, trial in enumerate(final.finalists)] for final in finals]
    chosen = chosen_of(finals, again)
    assert chosen is not None
    assert chosen.trial is best
    sections = page.sections(plan.searches, tried, finals, again, chosen)
    series = sections[1]["charts"][0]["series"]
    assert [(one["name"], len(one["x"])) for one in series] == [("sgd", 4), ("momentum", 4)]


def test_a_budget_plans_the_rounds_once_and_a_resumed_run_keeps_the_plan(tmp_path, monkeypatch, results_alone):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("experiments.tune_rounds.Budget._fitting", lambda self: 6)
        patch.setattr("experiments.study.run", lambda *arguments, **options: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tuned(out, trials=None, budget_minutes=5.0)
    monkeypatch.setattr("experiments.tune_rounds.Budget._fitting", lambda self: pytest.fail("planned again"))
    tune.run(tune.prepare(tune.Config(resume=out)))
    assert results_of(out)["config"]["trials"] == 6


def test_a_budget_is_divided_by_what_the_first_round_took():
    search = tune.prepare(dataclasses.replace(SMALL, out=Path("nowhere"))).searches[0]
    storage = Storage()
    stage = storage.stage("search", search.identity, search.space)
    points = {point: {"learning_rate": 0.1, "momentum": 0.9} for point in range(3)}
    stage.claim(points)
    cost = {"seconds": 2.0, "compile_seconds": 1.0, "compilations": 1, "member_steps": 80}
    for point in points:
        stage.tell(point, {"scores": [1.0, 1.0], "steps": 40, "cost": cost, "layout": "vmap"}, 1.0)
    # A round takes 6 seconds, a member's step 0.025, the final 6, a report of two arms and 3 seeds 6, and 3 to compile
    # each.
    budget = tune.Budget(1.15, [search], [stage], 3, time.perf_counter())
    assert budget.trials(storage, "one", None) == 3 * (1 + (69 - 18) // 6) == 27
    assert tune.Budget(9.0, [search], [stage], 3, time.perf_counter()).trials(storage, "two", 10) == 10
    assert tune.Budget(0.1, [search], [stage], 3, time.perf_counter()).trials(storage, "three", None) == 3


def test_a_budget_too_small_for_a_round_is_refused_at_its_second_evaluation(tmp_path, capsys, monkeypatch):
    seen = []
    watch = tune.Budget.watch
    monkeypatch.setattr(tune.Budget, "watch", lambda self, done, steps: (seen.append(done), watch(self, done, steps)))
    with pytest.raises(SystemExit) as exit_code:
        tuned(tmp_path / "out", budget_minutes=1e-5)
    assert exit_code.value.code == 2
    assert seen == [10, 20]
    assert "budget_minutes = 1e-05: a round of 3 trials" in capsys.readouterr().err


def test_where_every_run_diverges_nothing_is_chosen(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("experiments.tune.chosen_of", lambda *arguments: None)
    with pytest.raises(SystemExit):
        tuned(tmp_path / "out", trials=3)
    assert "every run of every trial diverged on line" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": ("adma",)}, "optimizer = 'adma': unknown"),
        ({"optimizers": ("newton",), "task": "digits_mlp"}, r"\d+ parameters, accepted are at most 4096"),
        ({"task": "lien"}, "did you mean 'line'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"warmup": 1.0}, r"warmup = 1\.0"),
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"trials": 0}, "trials = 0"),
        ({"round_size": 0}, "round_size = 0"),
        ({"finalists": 0}, "finalists = 0"),
        ({"selection_seeds": 1000, "round_size": 4}, "selection_seeds = 1000 with round_size = 4"),
        ({"budget_minutes": 0.0}, r"budget_minutes = 0\.0"),
        ({"selection_seeds": 0}, "selection_seeds = 0"),
        ({"seeds": 0}, "seeds = 0"),
        ({"evaluations": 0}, "evaluations = 0"),
        ({"margin": -1.0}, r"margin = -1\.0"),
        ({"seed": -1}, "seed = -1"),
        ({"layout": "vmpa"}, "did you mean 'vmap'"),
        ({"layout": "0"}, "layout = 0"),
        ({"storage": "sqlite:////nowhere/to/be/found.db"}, "there is no folder /nowhere/to/be"),
        ({"storage": "no url"}, "storage = 'no url'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        tune.prepare(dataclasses.replace(SMALL, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("layout", "kept"), [("auto", "auto"), ("map", "map"), ("4", 4)])
def test_layouts_are_those_of_compare(layout, kept, tmp_path):
    plan = tune.prepare(dataclasses.replace(SMALL, layout=layout, out=tmp_path / "out"))
    assert plan.searches[0].layout == kept


def test_a_storage_that_holds_another_study_is_refused(trials, complete, tmp_path):
    storage = f"sqlite:///{complete / 'study.db'}"
    with pytest.raises(ValueError, match="steps = 40, here it is 50"):
        tune.prepare(dataclasses.replace(SMALL, storage=storage, steps=50, out=tmp_path / "out"))


def test_what_cannot_be_resumed_is_refused(complete, tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        tune.prepare(tune.Config(resume=tmp_path))
    with pytest.raises(ValueError, match="that run is complete"):
        tune.prepare(tune.Config(resume=complete))
    with pytest.raises(ValueError, match="accepted without other options"):
        tune.prepare(tune.Config(resume=complete, steps=10))
