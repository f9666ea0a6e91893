"""Populations of training runs: many recipes and seeds inside one compiled program."""

from jaxlab.sweep.devices import use_every_core
from jaxlab.sweep.population import History, run_population
from jaxlab.sweep.tuning import Tuning, seed_keys, tune

__all__ = ["History", "Tuning", "run_population", "seed_keys", "tune", "use_every_core"]
