"""The compiled training step, the whole run as one program, and the loop for streams."""

import importlib
from typing import TYPE_CHECKING

from jaxlab.core.noise_scale import NoiseScale, noise_scale, noise_scale_of_two
from jaxlab.train.apply import apply_updates
from jaxlab.train.evaluate import evaluate, params_to_evaluate
from jaxlab.train.given import beside
from jaxlab.train.loop import fit
from jaxlab.train.run import abstract_state, init_run, make_run
from jaxlab.train.state import Ema, TrainState, init_state, set_hyperparams, whole_params
from jaxlab.train.step import make_train_step, step_fn
from jaxlab.train.stopping import Stopping
from jaxlab.train.throughput import utilization

if TYPE_CHECKING:
    from jaxlab.train.checkpoint import Checkpoints

__all__ = [
    "Checkpoints",
    "Ema",
    "NoiseScale",
    "Stopping",
    "TrainState",
    "abstract_state",
    "apply_updates",
    "beside",
    "evaluate",
    "fit",
    "init_run",
    "init_state",
    "make_run",
    "make_train_step",
    "noise_scale",
    "noise_scale_of_two",
    "params_to_evaluate",
    "set_hyperparams",
    "step_fn",
    "utilization",
    "whole_params",
]


def __getattr__(name: str) -> object:
    # Orbax is slow to import, and most steps are never saved.
    if name == "Checkpoints":
        return importlib.import_module("jaxlab.train.checkpoint").Checkpoints
    raise AttributeError(f"module 'jaxlab.train' has no attribute {name!r}")
