"""Which examples a step sees: a function of the run's key and the step, with no memory.

An epoch is a pseudo-random permutation of the examples that is computed index by index, never stored. So a
batch can be asked for at any step, on any device, inside a compiled program, and a resumed run continues
exactly where it stopped. Every example is shown once per epoch, also where the batch size does not divide
the number of examples: then a batch holds the end of one epoch and the beginning of the next.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Key, PyTree, UInt32

from jaxlab.core import hyper, storage

_ROUNDS = 6
_SPLIT, _EPOCH = 1, 2


def permute(index: Int32[Array, "..."], n: int, seed: UInt32[Array, ""]) -> Int32[Array, "..."]:
    """A pseudo-random permutation of ``0 .. n-1``, evaluated at ``index``.

    A Feistel network on pairs ``(l, r)`` with ``l < a, r < b`` and ``a * b`` just above ``n``: each round adds
    a hash of one half to the other, which can be undone, so the whole is a bijection of the pairs. Where it
    leaves the range it is applied again until it is back (fewer than one index in the root of ``n`` is).

    Args:
      index: integers in ``[0, n)``, any shape.
      n: static, at least 1.
      seed: which permutation.

    >>> order = permute(jnp.arange(10), 10, jnp.uint32(7))
    >>> sorted(order.tolist()) == list(range(10))
    True
    """
    a = max(1, math.isqrt(n - 1) + 1)
    b = -(-n // a)

    def shuffle(x: Array) -> Array:
        left, right = x // b, x % b
        for number in range(_ROUNDS):
            if number % 2:
                right = (right + storage.hash_bits(left, storage.seed_of("", number, seed)) % b) % b
            else:
                left = (left + storage.hash_bits(right, storage.seed_of("", number, seed)) % a) % a
        return left * b + right

    def outside(x: Array) -> Array:
        return x >= n

    start = shuffle(jnp.asarray(index).astype(jnp.uint32))
    inside = jax.lax.while_loop(lambda x: jnp.any(outside(x)), lambda x: jnp.where(outside(x), shuffle(x), x), start)
    return inside.astype(jnp.int32)


def key_seed(key: Key[Array, ""], purpose: int) -> UInt32[Array, ""]:
    """32 bits of a key, another draw for each purpose."""
    words = jax.random.key_data(key).reshape(-1)
    return storage.seed_of("", *words, purpose)


def batch_indices(key: Key[Array, ""], step: Int32[Array, ""], *, examples: int, batch_size: int) -> Int32[Array, "b"]:
    """The examples of a step's batch.

    Position ``step * batch_size + i`` of an endless sequence of permutations, one for each epoch. Positions
    are counted in 32 bits: ``steps * batch_size`` must stay below 4.29e9 (:func:`check_length`).

    Args:
      key: the run's.
      step: from 0; traced or not.
      examples: how many there are, static.
      batch_size: static; may exceed ``examples``.

    Raises:
      ValueError: no examples, or a batch size below 1.

    >>> first, second = (batch_indices(jax.random.key(0), s, examples=6, batch_size=3) for s in (0, 1))
    >>> sorted([*first.tolist(), *second.tolist()])
    [0, 1, 2, 3, 4, 5]
    """
    hyper.integer("examples", examples, at_least=1)
    hyper.integer("batch_size", batch_size, at_least=1)
    position = jnp.asarray(step).astype(jnp.uint32) * jnp.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    epoch, offset = position // examples, position % examples
    seed = key_seed(key, _EPOCH)
    # One permutation for the whole batch where it lies within an epoch would need a branch; one seed for
    # each example costs a hash.
    seeds = storage.hash_bits(epoch, seed)
    return jax.vmap(lambda i, s: permute(i, examples, s))(offset, seeds)


def split_indices(key: Key[Array, ""], index: Int32[Array, "..."], *, pool: int) -> Int32[Array, "..."]:
    """Where the seed's split puts example ``index`` of its training set (the first indices) or validation set.

    The pool is permuted once by the key; training takes the first part, validation the rest
    (:func:`split_sizes`), so no example is in both.
    """
    return permute(index, pool, key_seed(key, _SPLIT))


def split_sizes(pool: int, validation_fraction: float) -> tuple[int, int]:
    """How many examples of a pool train and how many validate; at least one each where any validate.

    >>> split_sizes(1000, 0.2)
    (800, 200)
    """
    hyper.number("validation_fraction", validation_fraction, "[0, 1)")
    validation = round(pool * validation_fraction)
    if validation_fraction and not 0 < validation < pool:
        raise ValueError(f"validation_fraction = {validation_fraction} of {pool} examples leaves one side empty")
    return pool - validation, validation


def take(data: PyTree[Array], indices: Int32[Array, "b"]) -> PyTree[Array]:
    """The examples at ``indices`` along every leaf's leading axis."""
    return jax.tree.map(lambda leaf: leaf[indices], data)


def count(data: PyTree[Array]) -> int:
    """How many examples a tree of arrays holds.

    Raises:
      ValueError: no arrays, or leading axes that differ.
    """
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or () in sizes:
        found = sorted(sizes) or "no arrays"
        raise ValueError(f"data has leading axes {found}: accepted are arrays with one common leading axis of examples")
    return sizes.pop()[0]


def check_length(steps: int, batch_size: int) -> None:
    """Refuses a run that would count beyond 32 bits of examples."""
    if steps * batch_size >= 2**32:
        raise ValueError(
            f"steps = {steps} times batch_size = {batch_size}: accepted are fewer than 2**32 examples in all; "
            "stream longer runs through fit"
        )


def micro_batches(k: int, batch: PyTree[Array]) -> PyTree[Array]:
    """A batch as ``k`` smaller ones, on a leading axis.

    Raises:
      ValueError: a size that ``k`` does not divide, leaves without or with different numbers of examples.

    >>> micro_batches(2, jnp.arange(6)).tolist()
    [[0, 2, 4], [1, 3, 5]]
    """
    shapes = sorted({jnp.shape(leaf) for leaf in jax.tree.leaves(batch)})
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or () in sizes:
        raise ValueError(
            f"accumulate = {k}: accepted are leaves of the batch with one and the same leading axis, of examples; "
            f"their shapes are {', '.join(map(str, shapes))}"
        )
    if shapes[0][0] % k:
        raise ValueError(f"accumulate = {k}: accepted is a divisor of the batch size, {shapes[0][0]}")
    return jax.tree.map(lambda leaf: every(k, leaf), batch)


def every(k: int, leaf: Array) -> Array:
    """The examples as ``k`` parts: every k-th, not blocks, so that a batch sharded over devices stays evenly spread."""
    return jnp.moveaxis(leaf.reshape(-1, k, *leaf.shape[1:]), 1, 0)
