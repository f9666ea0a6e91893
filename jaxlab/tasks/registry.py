"""Every task by name; a task's module is imported when the task is asked for."""

import importlib
from typing import Any

from jaxlab.core import hyper
from jaxlab.tasks.adapt import adapt
from jaxlab.tasks.base import Task

_TASKS = {
    "line": "jaxlab.tasks.line:task",
    "rosenbrock": "jaxlab.tasks.rosenbrock:task",
    "quadratic_1": "jaxlab.tasks.quadratics:quadratic_1",
    "quadratic_1e2": "jaxlab.tasks.quadratics:quadratic_1e2",
    "quadratic_1e4": "jaxlab.tasks.quadratics:quadratic_1e4",
    "quadratic_1e6": "jaxlab.tasks.quadratics:quadratic_1e6",
    "diabetes": "jaxlab.tasks.diabetes:task",
    "breast_cancer": "jaxlab.tasks.breast_cancer:task",
    "digits_mlp": "jaxlab.tasks.digits_mlp:task",
    "digits_cnn": "jaxlab.tasks.digits_cnn:task",
    "fashion_mnist_cnn": "jaxlab.tasks.fashion_mnist_cnn:task",
    "image_coordinates": "jaxlab.tasks.image_coordinates:task",
    "snippet_modules": "jaxlab.tasks.snippet_modules:task",
    "word_bigrams": "jaxlab.tasks.word_bigrams:task",
    "bytes_gpt": "jaxlab.tasks.bytes_gpt:task",
}
_OWN = "package.module:object of your own"


def names() -> tuple[str, ...]:
    """The names of all tasks that come with jaxlab.

    >>> names()  # doctest: +ELLIPSIS
    ('line', 'rosenbrock', 'quadratic_1', ...)
    """
    return tuple(_TASKS)


def get(name: str) -> Task:
    """A task with its data, by name or, for one's own, as ``package.module:object`` (see :func:`load`).

    Raises:
      ValueError: an unknown name; the nearest is suggested.
      FileNotFoundError: the task's data are not on this machine; the message says how to get them.

    >>> get("line").metric
    'mse'
    >>> get("digit_mlp")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: task = 'digit_mlp': unknown, did you mean 'digits_mlp'? Accepted are: line, rosenbrock, ...
    """
    if ":" in name:
        return load(name)
    hyper.one_of("task", name, (*_TASKS, _OWN))
    return load(_TASKS[name])


def load(path: str) -> Task:
    """The task that a module of the user's holds.

    Args:
      path: ``"package.module:object"``, importable from where Python looks (``python -m`` looks in the
        working directory, too); the object is whatever :func:`as_task` takes.

    Raises:
      ValueError: another form, a module that is not found, or one that lacks the object.
      TypeError: as from :func:`as_task`.

    >>> load("jaxlab.tasks.line:task").name
    'line'
    """
    module_name, _, attribute = path.partition(":")
    if not (module_name and attribute):
        raise ValueError(f"task = {path!r}: accepted is package.module:object")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise ValueError(f"task = {path!r}: no module {error.name!r} is found from here") from None
    if not hasattr(module, attribute):
        raise ValueError(f"task = {path!r}: module {module_name!r} has no {attribute!r}")
    return adapt(getattr(module, attribute))


def as_task(task: Any) -> Task:
    """A task, a task's name, or an object with ``init``, ``loss`` and ``data``, as a task.

    Args:
      task: a name is looked up with :func:`get`, all else goes through :func:`~jaxlab.tasks.adapt.adapt`.

    Raises:
      TypeError, ValueError, FileNotFoundError: as those do.

    >>> as_task("line").name
    'line'
    """
    return get(task) if isinstance(task, str) else adapt(task)
