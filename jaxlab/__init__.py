"""jaxlab: a functional optimization lab in JAX.

Transforms to import into any JAX project, a training step that is one compiled XLA program, and experiments
that end in a verdict. Each part is loaded when it is first asked for: the transforms need jax and optax alone, and
:mod:`jaxlab.doctor` not even these.

>>> import jaxlab
>>> tx = jaxlab.optimizers.adamw(1e-3)
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxlab import (
        aot,
        augment,
        doctor,
        images,
        losses,
        models,
        modifiers,
        optimizers,
        precision,
        regularizers,
        report,
        schedules,
        sharding,
        sweep,
        tasks,
        text,
        train,
        transfer,
        verdict,
    )

__version__ = "0.1.0"

__all__ = [
    "aot",
    "augment",
    "doctor",
    "images",
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
    "text",
    "train",
    "transfer",
    "verdict",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return importlib.import_module(f"jaxlab.{name}")
    raise AttributeError(f"module 'jaxlab' has no attribute {name!r}; its parts are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
