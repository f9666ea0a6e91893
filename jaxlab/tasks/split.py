"""Test sets that stay the same for ever, and constants that come from the pool alone."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from jaxlab.core import hyper


def train_test_split(data: PyTree, test_fraction: float = 0.2, seed: int = 0) -> tuple[PyTree, PyTree]:
    """A pool and a test set, by a fixed permutation of the examples.

    The permutation is ``numpy.random.RandomState(seed).permutation(n)``, a stream that NumPy has promised
    never to change; its first ``round(n * test_fraction)`` examples are the test set.

    Args:
      data: arrays with a common leading axis of examples.
      test_fraction: in (0, 1).
      seed: which permutation. Leave it alone to compare with others.

    Returns:
      ``(pool, test)``, trees of NumPy arrays.

    Raises:
      ValueError: no arrays, or arrays without a common leading axis; a fraction that leaves one side empty.

    >>> pool, test = train_test_split(np.arange(5), 0.4)
    >>> pool.tolist(), test.tolist()
    ([1, 3, 4], [2, 0])
    """
    hyper.number("test_fraction", test_fraction, "(0, 1)")
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(data)]
    if not shapes or len({shape[:1] for shape in shapes} | {()}) != 2 or () in shapes:
        raise ValueError(f"data has arrays of shapes {shapes}: accepted is one leading axis, of examples, for all")
    examples = shapes[0][0]
    size = round(examples * test_fraction)
    if not 0 < size < examples:
        raise ValueError(f"test_fraction = {test_fraction} of {examples} examples: accepted leaves both sides some")
    order = np.random.RandomState(seed).permutation(examples)

    def chosen(indices: np.ndarray) -> PyTree:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[indices], data)

    return chosen(order[size:]), chosen(order[:size])


def standardise(
    pool: Float[np.ndarray, "n ..."], test: Float[np.ndarray, "m ..."], axis: int | None = 0
) -> tuple[Any, Any]:
    """Both arrays minus the pool's mean, over the pool's standard deviation, in the arithmetic's precision.

    Args:
      pool: decides both constants.
      test: is told neither.
      axis: 0 for constants of each feature, None for one of all.

    >>> pool, test = standardise(np.array([[1.0], [3.0]]), np.array([[4.0]]))
    >>> pool.tolist(), test.tolist()
    ([[-1.0], [1.0]], [[2.0]])
    """
    mean, deviation = pool.mean(axis), pool.std(axis)
    dtype = hyper.arithmetic_dtype()
    return ((pool - mean) / deviation).astype(dtype), ((test - mean) / deviation).astype(dtype)
