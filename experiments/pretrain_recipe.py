"""The numbers that a language model is trained with by default, all in one place."""

from collections.abc import Mapping

from jaxlab import schedules
from jaxlab.models.gpt import STACKED
from jaxlab.optimizers import Recipe

SIZE, CONTEXT, BATCH_SIZE, STEPS = "1M", 128, 16, 1600
"""Of the model, in tokens, in sequences, of the run."""

NUMBERS: Mapping[str, Mapping[str, float]] = {
    "muon": {"learning_rate": 0.02, "fallback_learning_rate": 3e-3, "weight_decay": 0.01},
    "adamw": {"learning_rate": 3e-3, "b1": 0.9, "b2": 0.95, "weight_decay": 0.1},
}
"""Of the optimizers that have some; any other needs its own."""

WARMUP, DECAY = 0.02, 0.4
"""Which parts of the run the learning rate rises and falls in; for schedules that do."""


def recipe(
    optimizer: str, schedule: str, given: Mapping[str, float], *, steps: int, scan: bool
) -> tuple[Recipe, dict[str, float]]:
    """The recipe and its numbers: those given, else the defaults above.

    Args:
      optimizer, schedule: registered names.
      given: numbers in place of the defaults.
      steps: of the run.
      scan: whether the parameters are stacked over layers.

    Raises:
      ValueError: an unknown name, a number that is missing or bad.
    """
    chosen = Recipe(optimizer, schedule)
    if scan and "layouts" in chosen.info.static:
        chosen = Recipe(optimizer, schedule, (("layouts", STACKED),))
    lengths = {"warmup_steps": round(WARMUP * steps), "total_steps": steps, "decay_steps": round(DECAY * steps)}
    known = ("warmup_steps", *schedules.get(schedule).parameters)
    own = {**NUMBERS.get(optimizer, {}), **{name: float(n) for name, n in lengths.items() if name in known}}
    return chosen, chosen.hyperparams({**own, **given})
