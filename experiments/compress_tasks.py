"""What is compressed by default: the digits and a small transformer, with a smaller model of each for a student."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from jaxlab import models, tasks
from jaxlab.core import hyper
from jaxlab.tasks.prediction import NextToken

SMALL_GPT = models.pure(lambda rngs: models.GPT(256, width=64, layers=2, heads=2, rngs=rngs))
SMALLER_GPT = models.pure(lambda rngs: models.GPT(256, width=32, layers=1, heads=2, rngs=rngs))
SMALL_MLP = models.pure(lambda rngs: models.MLP((64, 16, 10), rngs=rngs))
OWN = "package.module:object of your own"


def _flat(params: PyTree, images: Array, key: Key[Array, ""] | None = None) -> Array:
    return SMALL_MLP.apply(params, images.reshape(images.shape[0], -1), key)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a task beforehand.

    Attributes:
      steps, seeds: of the runs.
      margin: differences of the metric below this do not matter.
      layout: of the population.
      student: ``init`` and ``apply`` of a smaller model.
      speed_batch: examples of the batch that is timed.
    """

    steps: int
    seeds: int
    margin: float | None
    layout: Any
    student: tuple[Callable[..., PyTree], Callable[..., Array]] | None = None
    speed_batch: int = 256


SETTINGS = {
    "digits_mlp": Setting(1_000, 20, 0.005, "vmap", (SMALL_MLP.init, _flat)),
    "small_gpt": Setting(500, 6, 0.02, "map", (SMALLER_GPT.init, SMALLER_GPT.apply), 16),
}


def task_of(name: str) -> tasks.Task:
    """A task by name; small_gpt is Python source with a quarter of its windows and a transformer of width 64."""
    if name != "small_gpt":
        if ":" not in name:
            hyper.one_of("task", name, (*SETTINGS, *sorted(set(tasks.names()) - set(SETTINGS)), OWN))
        return tasks.get(name)
    whole = tasks.get("bytes_gpt")
    fewer = {part: jax.tree.map(lambda x: x[::4], getattr(whole, part)) for part in ("data", "test")}
    pool, test = (len(fewer[part]["x"]) for part in ("data", "test"))
    return dataclasses.replace(
        whole,
        name=name,
        description=f"the next byte of Python source: every fourth of the stretches of bytes_gpt, {pool:,} of them, "
        f"{test:,} for the test; a transformer of 2 blocks, width 64, 2 heads",
        init=SMALL_GPT.init,
        loss=NextToken(SMALL_GPT.apply),
        batch_size=8,
        **fewer,
    )


def setting_of(task: tasks.Task) -> Setting:
    """What is known of a task; of others than those above, their own steps."""
    return SETTINGS.get(task.name, Setting(task.steps, 5, None, "auto"))
