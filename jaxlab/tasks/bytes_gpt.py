"""The next byte of Python source by a small transformer."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxlab.models import GPT, pure
from jaxlab.optimizers import Recipe
from jaxlab.tasks import stdlib
from jaxlab.tasks.base import Task
from jaxlab.tasks.prediction import NextToken
from jaxlab.text.corpus import HELD_OUT_PERCENT

CONTEXT = 64
WINDOWS, TEST_WINDOWS = 32_768, 1_024
MODEL = pure(lambda rngs: GPT(256, width=96, layers=3, heads=3, rngs=rngs))


def windows(text: bytes, count: int) -> dict[str, Int[np.ndarray, "n context"]]:
    """Stretches of 64 bytes ``x``, evenly spread over a text, and ``y``, the same one byte later.

    >>> windows(bytes(range(130)), 2)["y"][:, 0].tolist()
    [1, 66]
    """
    whole = np.frombuffer(text, np.uint8)
    starts = np.linspace(0, len(whole) - CONTEXT - 1, count).astype(int)
    cut = whole[starts[:, None] + np.arange(CONTEXT + 1)]
    return {"x": cut[:, :-1], "y": cut[:, 1:]}


def task() -> Task:
    """32,768 stretches of 64 bytes, 1,024 from held-out files for the test.

    ``python -m experiments.train --task bytes_gpt`` reached 1.815 bits a byte on the test, on Python 3.11.7, in 499 s
    on two CPU cores that had much other work; stored as ``benchmarks/results/cpu-2-cores/train-bytes_gpt.json``.
    """
    library = stdlib.library()
    pool, test = windows(library.text(held_out=False), WINDOWS), windows(library.text(held_out=True), TEST_WINDOWS)
    return Task(
        name="bytes_gpt",
        description=f"the next byte of stretches of {CONTEXT}, {WINDOWS:,} of them, {TEST_WINDOWS:,} for the test from "
        f"{HELD_OUT_PERCENT}% of the files; {library.describe()}; a transformer of 3 blocks, width 96, 3 heads",
        data={name: jnp.asarray(cut) for name, cut in pool.items()},
        test={name: jnp.asarray(cut) for name, cut in test.items()},
        init=MODEL.init,
        loss=NextToken(MODEL.apply),
        metric="bits_per_token",
        unit="bits a byte (all alike: 8)",
        target=1.9,
        validation_fraction=1 / 32,
        batch_size=32,
        steps=2_000,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 3e-3, "b2": 0.99, "weight_decay": 0.1, "warmup_steps": 100, "total_steps": 2_000},
    )
