"""Populations of training runs: many recipes and seeds inside one compiled program, by a fair protocol."""

from jaxlab.sweep.arms import check_storage, run_arms
from jaxlab.sweep.cost import StepCost, step_cost
from jaxlab.sweep.devices import use_every_core
from jaxlab.sweep.outcome import Outcome
from jaxlab.sweep.population import History, run_population
from jaxlab.sweep.protocol import Arm, Protocol, protocol_of, recipe_arm
from jaxlab.sweep.pruning import Patience, SuccessiveHalving
from jaxlab.sweep.sampler import sample
from jaxlab.sweep.storage import Storage
from jaxlab.sweep.tuning import Tuning, seed_keys, tune

__all__ = [
    "Arm",
    "History",
    "Outcome",
    "Patience",
    "Protocol",
    "StepCost",
    "Storage",
    "SuccessiveHalving",
    "Tuning",
    "check_storage",
    "protocol_of",
    "recipe_arm",
    "run_arms",
    "run_population",
    "sample",
    "seed_keys",
    "step_cost",
    "tune",
    "use_every_core",
]
