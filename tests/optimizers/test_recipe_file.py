"""A recipe's file: what goes in comes out, and what is no recipe is refused by name."""

import json

import numpy as np
import pytest

from jaxlab.optimizers import Recipe, load_about, load_recipe, names, save_recipe
from jaxlab.optimizers.recipe_file import SCHEMA

NUMBERS = {"learning_rate": 0.1 + 0.2, "total_steps": 500, "warmup_steps": np.float32(25), "b1": np.float64(0.85)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipe.json"
    save_recipe(path, Recipe("adamw", "cosine"), NUMBERS, task="digits_mlp", steps=500, validation=[0.9, 0.91])
    return path


def changed(path, **parts):
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))
    return path


def test_what_goes_in_comes_out_to_the_bit(path):
    recipe, numbers = load_recipe(path)
    assert recipe == Recipe("adamw", "cosine")
    assert recipe.build is Recipe("adamw", "cosine").build
    assert numbers == Recipe("adamw", "cosine").hyperparams(NUMBERS)
    assert load_about(path) == {"task": "digits_mlp", "steps": 500, "validation": [0.9, 0.91]}
    assert load_recipe(path.parent) == (recipe, numbers)


def test_defaults_are_written_so_that_the_file_says_all(path):
    assert json.loads(path.read_text())["hyperparams"]["weight_decay"] == 0.01
    assert json.loads(path.read_text())["schema"] == SCHEMA


def test_structure_survives_rules_and_all(tmp_path):
    recipe = Recipe("adamw", static={"state_dtype": "bfloat16", "decay_mask": (("bias", False), (".*", True))})
    save_recipe(tmp_path / "r.json", recipe, {"learning_rate": 0.1})
    assert load_recipe(tmp_path / "r.json")[0] == recipe


@pytest.mark.parametrize("name", names())
def test_every_optimizer_has_a_file(name, tmp_path):
    recipe = Recipe(name)
    save_recipe(tmp_path / "r.json", recipe, {"learning_rate": 0.1})
    assert load_recipe(tmp_path / "r.json") == (recipe, recipe.hyperparams({"learning_rate": 0.1}))


def test_a_failed_write_leaves_what_was_there(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="learning_rate = -1"):
        save_recipe(path, Recipe("sgd"), {"learning_rate": -1.0})
    with pytest.raises(TypeError, match=r"static\.decay_mask = <function .*: accepted is what JSON can hold"):
        save_recipe(path, Recipe("adamw", static={"decay_mask": lambda params: params}), {"learning_rate": 0.1})
    with pytest.raises(TypeError, match=r"about\.score = nan: accepted is what JSON can hold"):
        save_recipe(path, Recipe("sgd"), {"learning_rate": 0.1}, score=float("nan"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"schema": "jaxlab.recipe/2"}, r"schema = 'jaxlab\.recipe/2': accepted is 'jaxlab\.recipe/1'"),
        ({"optimizer": "adamv"}, r"recipe\.json: optimizer = 'adamv': unknown, did you mean 'adam"),
        ({"optimizer": ["adamw"]}, r"optimizer = \['adamw'\]: unknown"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"static": {"state_dtyp": "bfloat16"}}, "did you mean 'state_dtype'"),
        ({"static": []}, r"static = \[\]: accepted is an object"),
        ({"hyperparams": {"learning_rate": -0.1, "total_steps": 5}}, r"recipe\.json: learning_rate = -0\.1: accepted"),
        ({"hyperparams": {"learning_rate": "0.1", "total_steps": 5}}, "learning_rate = '0.1': accepted is one number"),
        ({"hyperparams": {"learning_rate": 0.1}}, "misses total_steps"),
        ({"hyperparams": {"learning_rate": 0.1, "total_steps": 5, "b9": 0.5}}, "b9"),
        ({"hyperparams": {"learning_rate": float("nan"), "total_steps": 5}}, "learning_rate = nan"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_path(path, parts, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(changed(path, **parts))


def test_no_file_no_json_no_object_no_part(path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_recipe(path.parent / "nothing.json")
    content = json.loads(path.read_text())
    for text, message in (
        ("{", "is no JSON"),
        ("[]", "schema = None"),
        (
            json.dumps({"schema": SCHEMA, "optimizer": content["optimizer"]}),
            "has no schedule, static, hyperparams, about",
        ),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_recipe(path)
