"""Tasks: data, model, loss, metric and target, each real; listing them loads nothing heavy."""

from jaxlab.tasks.augmented import Augmented
from jaxlab.tasks.base import Task
from jaxlab.tasks.check import check, check_optimizer
from jaxlab.tasks.registry import as_task, get, load, names
from jaxlab.tasks.split import standardise, train_test_split

__all__ = [
    "Augmented",
    "Task",
    "as_task",
    "check",
    "check_optimizer",
    "get",
    "load",
    "names",
    "standardise",
    "train_test_split",
]
