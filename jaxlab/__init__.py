"""jaxlab: a functional optimization lab in JAX.

Transforms to import into any JAX project, a training step that is one compiled XLA program, and experiments
that end in a verdict. Importing this package loads jax and optax; the parts that lean on flax, orbax,
matplotlib or scikit-learn are loaded when they are first asked for.

>>> import jaxlab
>>> tx = jaxlab.optimizers.adamw(1e-3)
"""

import importlib
from typing import TYPE_CHECKING

from jaxlab import losses, modifiers, optimizers, regularizers, schedules

if TYPE_CHECKING:
    from jaxlab import models, precision, report, sharding, sweep, tasks, train, verdict

__version__ = "0.1.0"

_LAZY = ("models", "precision", "report", "sharding", "sweep", "tasks", "train", "verdict")

__all__ = [
    "losses",
    "models",
    "modifiers",
    "optimizers",
    "precision",
    "regularizers",
    "report",
    "schedules",
    "sharding",
    "sweep",
    "tasks",
    "train",
    "verdict",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return importlib.import_module(f"jaxlab.{name}")
    raise AttributeError(f"module 'jaxlab' has no attribute {name!r}; its parts are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
