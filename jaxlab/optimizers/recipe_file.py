"""A recipe as a file: what a search found, for whoever trains with it.

JSON of schema ``jaxlab.recipe/1``: ``optimizer``, ``schedule``, ``static`` (structure), ``hyperparams`` (all numbers,
the optimizer's defaults among them) and ``about``, where the recipe comes from: task, steps, batch size and whatever
else its maker wrote.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxlab.core.files import write_atomically
from jaxlab.optimizers.recipe import Recipe

SCHEMA = "jaxlab.recipe/1"
_PARTS = ("optimizer", "schedule", "static", "hyperparams", "about")


def save_recipe(path: str | Path, recipe: Recipe, hyperparams: Mapping[str, Any], **about: Any) -> None:
    """Writes a recipe and its numbers, whole or not at all.

    Args:
      path: of the file; one that is there is replaced.
      recipe: the structure.
      hyperparams: its numbers; the optimizer's defaults are filled in, so that the file says all.
      about: JSON data that go with it, such as ``task``, ``steps``, ``batch_size``, ``metric``, ``validation``.

    Raises:
      ValueError: a number that the recipe refuses.
      TypeError: something that JSON cannot hold, such as a mask that is a function; it is named.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "recipe.json"
    >>> save_recipe(path, Recipe("adam", "cosine"), {"learning_rate": 0.01, "total_steps": 500}, steps=500)
    >>> recipe, numbers = load_recipe(path)
    >>> tx = recipe.build(numbers)
    >>> recipe.schedule, numbers["learning_rate"], numbers["b2"], load_about(path)
    ('cosine', 0.01, 0.999, {'steps': 500})
    """
    numbers = recipe.hyperparams(hyperparams)
    content = {
        "schema": SCHEMA,
        "optimizer": recipe.optimizer,
        "schedule": recipe.schedule,
        "static": {name: _plain(f"static.{name}", value) for name, value in recipe.static},
        "hyperparams": {name: float(value) for name, value in numbers.items()},
        "about": {name: _plain(f"about.{name}", value) for name, value in about.items()},
    }
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def load_recipe(path: str | Path) -> tuple[Recipe, dict[str, float]]:
    """Reads a recipe and its numbers, checked: ``recipe.build(numbers)`` is the transform.

    Args:
      path: of the file, or of a folder that holds a recipe.json.

    Raises:
      FileNotFoundError: there is none.
      ValueError: no JSON, another schema, an optimizer that is not registered, a number that the recipe refuses; the
        message begins with the path.
    """
    path, content = _read(path)
    try:
        static = {name: _hashable(value) for name, value in content["static"].items()}
        recipe = Recipe(content["optimizer"], content["schedule"], tuple(static.items()))
        recipe.hyperparams(content["hyperparams"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe, content["hyperparams"]


def load_about(path: str | Path) -> dict[str, Any]:
    """What a recipe's file says of where it comes from.

    Raises:
      FileNotFoundError, ValueError: as in :func:`load_recipe`.
    """
    return _read(path)[1]["about"]


def _read(path: str | Path) -> tuple[Path, dict[str, Any]]:
    path = Path(path)
    path = path / "recipe.json" if path.is_dir() else path
    if not path.exists():
        raise FileNotFoundError(f"recipe = {str(path)!r}: there is no such file; accepted is what save_recipe wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path}: schema = {schema!r}: accepted is {SCHEMA!r}")
    missing = [part for part in _PARTS if part not in content]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}: accepted are all of {', '.join(_PARTS)}")
    for part in ("static", "hyperparams", "about"):
        if not isinstance(content[part], dict):
            raise ValueError(f"{path}: {part} = {content[part]!r}: accepted is an object, names with values")
    return path, content


def _plain(name: str, value: Any) -> Any:
    """What JSON gives back for a value."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} = {value!r}: accepted is what JSON can hold: {error}") from None


def _hashable(value: Any) -> Any:
    """Lists as tuples, as a recipe's structure has them."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
