"""Which module is this snippet from? A linear softmax on thousands of hashed words, of which few are there."""

import collections
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxlab.core import hyper
from jaxlab.optimizers import Recipe
from jaxlab.tasks import stdlib
from jaxlab.tasks.base import Task
from jaxlab.tasks.classification import Classifier
from jaxlab.tasks.split import train_test_split

MODULES = 32
SNIPPETS = 256
LINES = 8
BUCKETS = 2**13
WORDS = 64
Params = dict[str, Float[Array, "..."]]


def init(key: Key[Array, ""]) -> Params:
    """Zeros, whatever the key: the loss is convex."""
    dtype = hyper.arithmetic_dtype()
    return {"weights": jnp.zeros((BUCKETS, MODULES), dtype), "bias": jnp.zeros(MODULES, dtype)}


def apply(
    params: Params, x: Int[Array, "batch words"], key: Key[Array, ""] | None = None
) -> Float[Array, "batch modules"]:
    """The sum of the rows of the words that are there; the matrix with a column for each bucket is never made."""
    # A padded place points behind the last row: it reads zeros, and no gradient reaches the table from it.
    rows = params["weights"].at[x.astype(jnp.int32)].get(mode="fill", fill_value=0)
    return rows.sum(axis=1) + params["bias"]


def buckets(snippet: bytes) -> Int[np.ndarray, " words"]:
    """The buckets of a snippet's different identifiers (CRC-32), the first 64 of them, padded with 8,192.

    >>> buckets(b"x = f(x)")[:3].tolist()
    [5763, 3040, 8192]
    """
    found = dict.fromkeys(zlib.crc32(word) % BUCKETS for word in stdlib.identifiers(snippet))
    padded = np.full(WORDS, BUCKETS, np.uint16)
    padded[: len(found)] = list(found)[:WORDS]
    return padded


def snippets(text: bytes) -> list[bytes]:
    """At most 256 stretches of eight lines with words, evenly spread over a text, none overlapping another."""
    lines = [line for line in text.splitlines() if stdlib.identifiers(line)]
    blocks = [b"\n".join(lines[i : i + LINES]) for i in range(0, len(lines) - LINES + 1, LINES)]
    chosen = np.linspace(0, len(blocks) - 1, min(SNIPPETS, len(blocks))).astype(int)
    return [blocks[i] for i in chosen]


def task() -> Task:
    """About 8,000 snippets of the 32 largest modules, a fifth of them for the test; 8,192 buckets.

    The test snippets are from the same files as the others, since the question is of modules that are known:
    most are one file. Chance is 0.03. On Python 3.11.7 the default recipe reached 0.84.
    """
    library = stdlib.library()
    texts: dict[str, list[bytes]] = collections.defaultdict(list)
    for file in library.files:
        texts[stdlib.module(file.path)].append(file.content)
    joined = {module: b"\n".join(contents) for module, contents in texts.items()}
    modules = sorted(joined, key=lambda module: (-len(joined[module]), module))[:MODULES]
    cut = [snippets(joined[module]) for module in modules]
    labels = np.repeat(np.arange(MODULES), [len(group) for group in cut])
    inputs = np.stack([buckets(snippet) for group in cut for snippet in group])
    pool, test = train_test_split({"x": inputs, "y": labels.astype(np.int32)})
    return Task(
        name="snippet_modules",
        description=f"which of {MODULES} modules {len(labels):,} snippets of {LINES} lines are from, a fifth of them "
        f"for the test by a fixed permutation; {library.describe()}; a linear model of words hashed into {BUCKETS:,} "
        "buckets",
        data=jax.tree.map(jnp.asarray, pool),
        test=jax.tree.map(jnp.asarray, test),
        init=init,
        loss=Classifier(apply),
        metric="accuracy",
        higher_is_better=True,
        unit="fraction correct",
        target=0.8,
        batch_size=64,
        steps=1_000,
        recipe=Recipe("adamw", "cosine"),
        hyperparams={"learning_rate": 1e-2, "weight_decay": 0.1, "total_steps": 1_000},
    )
