"""The study of augmentations, small and end to end, on handwritten digits that are dressed as Fashion-MNIST."""

import copy
import dataclasses
import gzip
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import image

from experiments import augmentation as experiment
from experiments import augmentation_arms as arms
from experiments import augmentation_page as page
from jaxlab import augment, report
from jaxlab.report.reading import tuning_of
from jaxlab.tasks import fashion_mnist as source
from jaxlab.tasks.digits import digits

SMALL = experiment.Config(
    operations=("rotation", "mixup"),
    labels=32,
    validation=32,
    steps=6,
    all_steps=4,
    selection_seeds=1,
    report_seeds=4,
)


def with_changes(**changes):
    return dataclasses.replace(SMALL, **changes)


def packed(array):
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    """Digits of 8 x 8 pixels as files of Fashion-MNIST: each pixel three times as wide and high, with a black rim.

    So few that 32 labels and 32 more are all: few labels and all share what is compiled.
    """
    folder = tmp_path_factory.mktemp("data")
    (folder / "fashion-mnist").mkdir()
    for part, name, most in zip(digits(), ("train", "t10k"), (64, 64), strict=True):
        pixels = np.asarray(part["x"])[:most, ..., 0]
        pixels = np.rint(255 * (pixels - pixels.min()) / np.ptp(pixels))
        large = np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
        (folder / f"fashion-mnist/{name}-images-idx3-ubyte.gz").write_bytes(packed(large))
        (folder / f"fashion-mnist/{name}-labels-idx1-ubyte.gz").write_bytes(packed(np.asarray(part["y"])[:most]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXLAB_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("augmentation") / "out"
    experiment.run(experiment.prepare(with_changes(out=out)))
    return out


@pytest.fixture(scope="module")
def results(folder):
    return report.load(folder)


def few():
    return arms.Setting(arms.task_of(source.fashion_mnist(), 32, 32, arms.augmented(SMALL.operations)), 6)


def test_the_page_answers_for_few_labels_and_for_all(results):
    found, every, alone = results.get("studies", [])
    assert [arm["name"] for arm in found["arms"]] == ["none", "recipe", "textbook"]
    assert [arm["name"] for arm in every["arms"]] == ["none", "recipe", "textbook"]
    assert [arm["name"] for arm in alone["arms"]] == ["none", "rotation", "mixup"]
    assert {one["task"]["name"] for one in (found, every)} == {"fashion_mnist, 32 labels", "fashion_mnist, all labels"}
    assert results["verdict"].startswith("With 32 labels, the recipe that validation chose (")
    numbers = {number["name"]: number for number in results.get("numbers", [])}
    assert {"recipe - none, 32 labels", "textbook - none, all labels", "mixup - none, 32 labels"} <= set(numbers)
    assert numbers["step, textbook"]["value"] > 0
    tests = {arm["name"]: np.array(arm["report"]["test"], np.float64) for arm in found["arms"]}
    shown = numbers["recipe - none, 32 labels"]["value"]
    assert shown == pytest.approx(100 * (tests["recipe"] - tests["none"]).mean(), abs=1e-9)


def test_every_arm_has_equally_many_trials_and_no_seed_is_used_twice(results):
    for one in results.get("studies", []):
        assert {len(tuning_of(arm)["values"]) for arm in one["arms"]} == {arms.TRIALS}
        for arm in one["arms"]:
            assert not set(tuning_of(arm)["seeds"]) & set(arm["report"]["seeds"])


def test_an_arm_that_is_in_two_studies_is_one(results):
    found, _, alone = results.get("studies", [])
    assert found["arms"][0] == alone["arms"][0]


def test_the_recipe_is_chosen_by_validation_alone(results):
    found, _, alone = copy.deepcopy(results.get("studies", []))
    rows = {arm["name"]: np.array(tuning_of(arm)["validation"], np.float64).mean(axis=1) for arm in alone["arms"]}
    gains = {name: row.max() - rows["none"].max() for name, row in rows.items() if name != "none"}
    assert arms.gains_of(alone) == pytest.approx(gains)
    tried = set(tuning_of(found["arms"][1]).get("points", {})) - {"learning_rate"}
    helped = {name for name, gain in gains.items() if gain > 0}
    assert tried == (helped or {max(gains, key=lambda name: gains[name])})
    best = {name: tuning_of(arms.arm_of(alone, name))["chosen"] for name in gains}
    before = arms.together(arms.gains_of(alone), best)
    for arm in alone["arms"]:
        arm["report"]["test"] = [0.0 for _ in arm["report"]["test"]]
    assert arms.together(arms.gains_of(alone), best) == before
    # The first thing that is tried together is the best operation as it was alone: the same run.
    (name, *_), first = before, tuning_of(found["arms"][1])["validation"][0]
    values, validation = (tuning_of(arms.arm_of(alone, name))[part] for part in ("values", "validation"))
    assert first == validation[values.index(best[name])]


def test_files(folder):
    assert {"operations.png", "strengths-geometric.svg", "strengths-other.png"} <= {
        path.name for path in (folder / "plots").iterdir()
    }


def test_all_arms_are_one_program_with_other_numbers():
    setting = few()
    made = [
        setting.none(),
        setting.textbook(),
        setting.alone("mixup", 0.01),
        setting.recipe({"mixup": [0.1, 0.2]}, 0.01),
    ]
    assert len({arm.build for arm in made}) == len({arm.task.loss for arm in made}) == 1
    names = [{*arm.hyperparams, *arm.points} for arm in made]
    assert all(one == names[0] for one in names)
    assert set(augment.textbook().strengths) < names[0]


def test_operations_that_are_off_leave_the_loss_as_it_is():
    task = few().task
    params = jax.jit(task.init)(jax.random.key(0))
    batch = jax.tree.map(lambda leaf: leaf[:8], task.data)
    at = jax.jit(lambda strength: task.loss.given({"rotation": strength})(params, batch, jax.random.key(1)))
    (loss, metrics), (turned, _) = at(0.0), at(45.0)
    plain, expected = jax.jit(lambda: arms.CLASSIFIER(params, batch, jax.random.key(2)))()
    assert loss == pytest.approx(float(plain), rel=1e-6)
    assert metrics["accuracy"] == expected["accuracy"]
    assert abs(float(turned) - float(plain)) > 1e-4


def test_few_labels_are_that_many():
    (pool, test), loss = source.fashion_mnist(), arms.augmented(("rotation",))
    task, every = (arms.task_of((pool, test), labels, 20, loss) for labels in (12, None))
    assert len(task.data["y"]) == len(task.data["x"]) == 32
    assert round(task.validation_fraction * 32) == 20
    assert len(every.data["y"]) == len(pool["y"]) == 64
    assert round(every.validation_fraction * 64) == 20
    np.testing.assert_array_equal(np.sort(np.asarray(every.data["y"])), np.sort(pool["y"]))
    np.testing.assert_array_equal(task.test["x"], test["x"])


def test_strengths_are_of_the_registry_and_a_crop_s_are_pixels():
    assert arms.strengths_of("rotation") == (3.75, 7.5, 15.0, 30.0)
    assert augment.get("rotation").search.from_unit(1.0) == 45
    assert arms.strengths_of("horizontal_flip")[-1] == 0.667
    assert all(strength == round(strength) >= 1 for strength in arms.strengths_of("crop"))
    for name in augment.names():
        strengths = arms.strengths_of(name)
        assert len(set(strengths)) == arms.TRIALS
        for strength in strengths:
            augment.get(name).factory(strength)


@pytest.mark.parametrize("helped", range(6))
def test_together_there_are_always_as_many_trials_and_none_twice(helped):
    names = augment.names()[:5]
    gains = {name: (1.0 if place < helped else -1.0) - place / 10 for place, name in enumerate(names)}
    points = arms.together(gains, {name: arms.strengths_of(name)[1] for name in names})
    assert list(points) == list(names[: max(1, helped)])
    trials = list(zip(*points.values(), strict=True))
    assert len(set(trials)) == len(trials) == arms.TRIALS
    assert [strength > 0 for strength in trials[0]] == [True] + [False] * (len(points) - 1)


def test_the_picture_shows_every_operation(tmp_path):
    out = tmp_path / "out"
    experiment.run(experiment.prepare(with_changes(preview=True, out=out)))
    assert [path.name for path in out.iterdir()] == ["operations.png"]
    picture = page.picture_of(source.fashion_mnist()[0], SMALL.operations)
    assert picture["rows"] == ["as it is", "rotation 15", "mixup 0.2"]
    assert image.imread(out / "operations.png").shape[1] == 968


def test_without_fashion_mnist_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLAB_DATA", str(tmp_path))
    (tmp_path / "fashion-mnist").mkdir()
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        experiment.prepare(SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operations": ("rotatoin",)}, "operations = 'rotatoin': unknown, did you mean 'rotation'"),
        ({"operations": ()}, r"operations = \(\): accepted is at least one"),
        ({"operations": ("shift", "shift")}, "accepted is at least one, and each once"),
        ({"labels": 0}, "labels = 0: accepted is a whole number of at least 1"),
        ({"labels": 33}, "labels = 33"),
        ({"validation": 64}, "validation = 64"),
        ({"steps": 3}, "steps = 3: accepted is a whole number of at least 4"),
        ({"all_steps": 2}, "all_steps = 2: accepted is 0, or at least 4"),
        ({"all_steps": -1}, "all_steps = -1"),
        ({"selection_seeds": 0}, "selection_seeds = 0"),
        ({"report_seeds": 0}, "report_seeds = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"out": Path("/proc/nothing/here")}, "cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=message):
        experiment.prepare(with_changes(**changes))
    assert not list(tmp_path.iterdir())


def test_a_strength_is_never_beyond_what_the_operation_accepts():
    assert arms.at("zoom", 0.7) == arms.strengths_of("zoom")[-1]
    assert arms.at("shift", 0.12345) == 0.123
    assert jnp.isfinite(augment.zoom(arms.at("zoom", 0.7)).strength)
