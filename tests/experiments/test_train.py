"""One recipe from start to page; interrupted and resumed it ends the same."""

import dataclasses
import json

import pytest

from experiments import train
from jaxlab import report
from jaxlab.optimizers import Recipe, load_recipe, save_recipe
from jaxlab.precision import as_policy
from jaxlab.train import Checkpoints

SMALL = train.Config(task="line", steps=50, evaluations=5)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    train.run(train.prepare(dataclasses.replace(SMALL, out=out)))
    return out


def test_it_leaves_a_log_checkpoints_and_a_page(complete):
    records = [json.loads(line) for line in (complete / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [10, 20, 30, 40, 50]
    assert {"loss", "learning_rate", "grad_norm", "skipped", "validation_mse"} <= records[0].keys()
    (arm,) = report.load(complete)["arms"]
    assert arm["tuning"] is None
    assert arm["report"]["mean"] == pytest.approx(0.01, abs=0.05)
    assert arm["curves"]["validation"][0] == [record["validation_mse"] for record in records]
    assert "was trained for 50 steps" in (complete / "report.html").read_text()


@pytest.mark.parametrize("when", ["before the log", "after the log"])
def test_stopped_and_resumed_it_ends_with_the_same_numbers(complete, tmp_path, monkeypatch, when):
    add = train.Log.add

    def interrupted(self, step, metrics):
        if when == "after the log":
            add(self, step, metrics)
        if step == 30:
            raise KeyboardInterrupt
        if when == "before the log":
            add(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train.Log, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.run(train.prepare(dataclasses.replace(SMALL, out=tmp_path / "run")))
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        assert checkpoints.steps() == [10, 20]
    train.run(train.prepare(train.Config(resume=tmp_path / "run")))
    assert report.load(tmp_path / "run")["command"] == report.load(complete)["command"]
    assert (tmp_path / "run" / "log.jsonl").read_text() == (complete / "log.jsonl").read_text()
    one, other = report.load(tmp_path / "run"), report.load(complete)
    assert one["arms"][0]["report"] == other["arms"][0]["report"]
    assert one["arms"][0]["curves"] == other["arms"][0]["curves"]


def test_under_any_layout_it_ends_with_the_same_numbers(complete, tmp_path, monkeypatch, capsys):
    add = train.Log.add

    def interrupted(self, step, metrics):
        if step == 30:
            raise KeyboardInterrupt
        add(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train.Log, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.run(train.prepare(dataclasses.replace(SMALL, layout="data=8", zero=1, out=tmp_path / "run")))
    plan = train.prepare(train.Config(resume=tmp_path / "run"))
    assert (plan.layout.axes, plan.layout.zero) == ({"data": 8}, 1)
    train.run(train.prepare(train.Config(resume=tmp_path / "run", layout="data=2,fsdp=4", zero=3)))
    shown = " ".join(capsys.readouterr().out.split())
    assert "now laid out over data=2,fsdp=4, ZeRO-3, until here laid out over data=8, ZeRO-1" in shown
    one, other = report.load(complete), report.load(tmp_path / "run")
    assert (other["config"]["layout"], other["config"]["zero"]) == ("data=2,fsdp=4", 3)
    for curve in ("validation", "train_loss"):
        (wanted,), (found,) = one["arms"][0]["curves"][curve], other["arms"][0]["curves"][curve]
        assert found == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zero": 1}, "zero = 1: accepted beside a layout"),
        ({"layout": "data=8", "zero": 4}, "zero = 4: accepted are 0, 1, 2, 3"),
        ({"layout": "data=3"}, "its axes take 3 devices and there are 8"),
        ({"layout": "tensor=8"}, "layout = 'tensor=8': accepted are axes data and fsdp"),
        ({"layout": "data=8", "batch_size": 12}, "12"),
        ({"optimizer": "adma"}, "optimizer = 'adma': unknown, did you mean 'adam"),
        ({"optimizer": "adam", "schedule": "constant"}, "misses learning_rate"),
        ({"hyperparams": {"learning_rat": 0.1}}, "did you mean 'learning_rate'"),
        ({"hyperparams": {"learning_rate": -1.0}}, r"learning_rate = -1\.0"),
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"evaluations": 0}, "evaluations = 0"),
        ({"precision": "bfloat61"}, "did you mean 'bfloat16'"),
        ({"task": "lien"}, "did you mean 'line'"),
        (
            {"optimizer": "gauss_newton", "task": "breast_cancer", "hyperparams": {"learning_rate": 1.0}},
            "'gauss_newton' on task 'breast_cancer': the loss has no residuals",
        ),
        (
            {"optimizer": "newton", "task": "digits_mlp", "hyperparams": {"learning_rate": 1.0}},
            r"'newton' on task 'digits_mlp': \d+ parameters, accepted are at most 4096",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        train.prepare(dataclasses.replace(SMALL, **changes))
    assert not list(tmp_path.iterdir())


def test_the_device_chooses_the_precision_and_the_run_remembers_it(tmp_path, monkeypatch, capsys):
    def interrupted(self, step, metrics):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.Log, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.run(train.prepare(dataclasses.replace(SMALL, precision="auto", out=tmp_path / "run")))
    shown = " ".join(capsys.readouterr().out.split())
    assert "precision: parameters float32, compute float32, results float32; a CPU gains no speed" in shown
    plan = train.prepare(train.Config(resume=tmp_path / "run"))
    assert (plan.config.precision, plan.policy) == ("float32", as_policy("float32"))


def test_a_stopped_runs_folder_is_not_trained_into(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is not empty"):
        train.prepare(dataclasses.replace(SMALL, out=tmp_path))


def test_what_cannot_be_resumed_is_refused(complete, tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        train.prepare(train.Config(resume=tmp_path))
    with pytest.raises(ValueError, match="that run is complete"):
        train.prepare(train.Config(resume=complete))
    with pytest.raises(ValueError, match="accepted without other options"):
        train.prepare(train.Config(resume=complete, steps=10))


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.json"
    numbers = {"learning_rate": 0.05, "momentum": 0.5, "total_steps": 40, "warmup_steps": 4}
    save_recipe(path, Recipe("momentum", "cosine"), numbers, task="line", steps=40, batch_size=16)
    return path


def test_a_recipe_file_says_what_is_trained(recipe, tmp_path):
    plan = train.prepare(train.Config(recipe=recipe, out=tmp_path / "out"))
    assert (plan.task.name, plan.steps, plan.batch_size) == ("line", 40, 16)
    assert (plan.recipe, plan.hyperparams) == load_recipe(recipe)


def test_options_beside_a_recipe_file_win_and_its_lengths_follow(recipe, tmp_path):
    given = {"steps": 80, "batch_size": 8, "hyperparams": {"momentum": 0.75}, "optimizer": "momentum"}
    plan = train.prepare(train.Config(recipe=recipe, out=tmp_path / "out", **given))
    assert (plan.steps, plan.batch_size) == (80, 8)
    numbers = {"learning_rate": 0.05, "momentum": 0.75, "total_steps": 80, "warmup_steps": 8}
    assert numbers.items() <= plan.hyperparams.items()


def test_a_run_keeps_its_own_copy_of_a_recipe_file(recipe, tmp_path, monkeypatch):
    config = train.Config(recipe=recipe, out=tmp_path / "out", evaluations=2, hyperparams={"momentum": 0.75})
    with monkeypatch.context() as patch:
        patch.setattr(train.Log, "add", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train.run(train.prepare(config))
    recipe.unlink()
    plan = train.prepare(train.Config(resume=tmp_path / "out"))
    assert (plan.recipe.optimizer, plan.steps, plan.hyperparams["momentum"]) == ("momentum", 40, 0.75)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adam"}, "optimizer = 'adam': accepted beside recipe = .* is its own, 'momentum'"),
        ({"schedule": "constant"}, "schedule = 'constant': accepted beside recipe = .* is its own, 'cosine'"),
        ({"hyperparams": {"momentun": 0.5}}, "did you mean 'momentum'"),
        ({"recipe": "nothing.json"}, "there is no such file"),
    ],
)
def test_what_contradicts_a_recipe_file_is_refused(changes, message, recipe, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train.prepare(train.Config(**{"recipe": recipe, "out": tmp_path / "out", **changes}))
