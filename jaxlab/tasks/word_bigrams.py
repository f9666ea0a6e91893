"""The next word from the one before: a table of 1,024 x 1,024 logits, convex, its classes heavy-tailed.

A few words make up most of the text and most words are rare, which is where Adam leaves gradient descent behind
even on a linear model (Kunstner et al., 2024, https://arxiv.org/abs/2402.19449).
"""

import collections

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.tasks import stdlib
from jaxlab.tasks.base import Task
from jaxlab.tasks.prediction import NextToken
from jaxlab.text.corpus import HELD_OUT_PERCENT

CLASSES = 1_024
UNKNOWN = CLASSES - 1
PAIRS, TEST_PAIRS = 2**18, 2**14
Params = dict[str, Float[Array, "..."]]
Pairs = dict[str, Int[np.ndarray, " n"]]


def init(key: Key[Array, ""]) -> Params:
    """Zeros, whatever the key: the loss is convex."""
    return {"table": jnp.zeros((CLASSES, CLASSES), hyper.arithmetic_dtype())}


def apply(params: Params, x: Int[Array, " batch"], key: Key[Array, ""] | None = None) -> Float[Array, "batch classes"]:
    """A row of the table for each word."""
    return params["table"][x.astype(jnp.int32)]


def pairs(words: list[bytes], index: dict[bytes, int], count: int) -> Pairs:
    """Words ``x`` and their followers ``y``, as classes, at so many places evenly spread over a text."""
    classes = np.array([index.get(word, UNKNOWN) for word in words], np.int16)
    places = np.linspace(0, len(classes) - 2, count).astype(int)
    return {"x": classes[places], "y": classes[places + 1]}


def add_one_bits(pool: Pairs, test: Pairs) -> float:
    """Bits a word, on the test, of the pool's counts of pairs plus one: Laplace's rule, what to beat.

    >>> pool = {"x": np.array([0, 0, 0]), "y": np.array([1, 1, 1])}
    >>> round(2 ** add_one_bits(pool, {"x": np.array([0]), "y": np.array([1])}))  # 1,027 places, 4 of them right
    257
    """
    counts = np.ones((CLASSES, CLASSES))
    np.add.at(counts, (pool["x"], pool["y"]), 1)
    chosen = counts[test["x"], test["y"]] / counts.sum(axis=1)[test["x"]]
    return float(-np.log2(chosen).mean())


def task() -> Task:
    """262,144 pairs from a text of 2.3 million words, 16,384 pairs from its held-out files for the test.

    Words are those of :func:`~jaxlab.tasks.stdlib.tokens`, signs too: the 1,023 most frequent of the training files
    are a class each, all others together one more. The target is what counting reaches, :func:`add_one_bits`: on Python
    3.11.7 5.49 bits, where the frequencies of words alone have 6.37, and the default recipe reached 4.95.
    """
    library = stdlib.library()
    training, held_out = (stdlib.tokens(library.text(held_out=test)) for test in (False, True))
    frequent = collections.Counter(training).most_common(CLASSES - 1)
    index = {word: place for place, (word, _) in enumerate(frequent)}
    pool, test = pairs(training, index, PAIRS), pairs(held_out, index, TEST_PAIRS)
    return Task(
        name="word_bigrams",
        description=f"the next word from the one before, {CLASSES:,} classes, {PAIRS:,} pairs, {TEST_PAIRS:,} for the "
        f"test from {HELD_OUT_PERCENT}% of the files; {library.describe()}; a table of logits",
        data={name: jnp.asarray(words) for name, words in pool.items()},
        test={name: jnp.asarray(words) for name, words in test.items()},
        init=init,
        loss=NextToken(apply),
        metric="bits_per_token",
        unit="bits (all classes alike: 10)",
        target=add_one_bits(pool, test),
        validation_fraction=1 / 16,
        batch_size=1_024,
        steps=500,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 0.1, "weight_decay": 0.0, "total_steps": 500},
    )
