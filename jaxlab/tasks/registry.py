"""Every task by name; a task's module is imported when the task is asked for."""

import importlib
from typing import Any

from jaxlab.core import hyper
from jaxlab.tasks.adapt import adapt
from jaxlab.tasks.base import Task

_MODULES = {
    "line": "jaxlab.tasks.line",
    "diabetes": "jaxlab.tasks.diabetes",
    "breast_cancer": "jaxlab.tasks.breast_cancer",
    "digits_mlp": "jaxlab.tasks.digits_mlp",
    "digits_cnn": "jaxlab.tasks.digits_cnn",
    "fashion_mnist_cnn": "jaxlab.tasks.fashion_mnist_cnn",
}
_OWN = "package.module:object of your own"


def names() -> tuple[str, ...]:
    """The names of all tasks that come with jaxlab.

    >>> names()
    ('line', 'diabetes', 'breast_cancer', 'digits_mlp', 'digits_cnn', 'fashion_mnist_cnn')
    """
    return tuple(_MODULES)


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
    ValueError: task = 'digit_mlp': unknown, did you mean 'digits_mlp'? Accepted are: line, diabetes, ...
    """
    if ":" in name:
        return load(name)
    hyper.one_of("task", name, (*_MODULES, _OWN))
    return importlib.import_module(_MODULES[name]).task()


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
