"""The codec of 8 and 4 bits, against its closed form in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import blocks

FORMS = [(8, True), (8, False), (4, True), (4, False)]
forms = pytest.mark.parametrize(("bits", "signed"), FORMS, ids=str)


def levels(bits, signed):
    """All magnitudes that a code can be, in units of the scale, by the definition."""
    mantissa = blocks.MANTISSA[bits, signed]
    codes = np.arange(2 ** (bits - signed))
    octaves = len(codes) // 2**mantissa
    values = 2.0 ** (codes // 2**mantissa - octaves) * (1 + codes % 2**mantissa / 2**mantissa)
    return values - values[0] if signed else values


def values_of(shape, signed, seed=0):
    """Of many sizes, with zeros among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-4, 2, shape)
    x = np.where(rng.random(shape) < 0.1, 0, x if signed else x**2)
    return x.astype(np.float32)


def roundings(x, bits, signed, count):
    """The same array rounded again and again, each time from a seed of its own."""

    def one(seed):
        stored = blocks.encode(x, seed, bits=bits, signed=signed)
        return blocks.decode(stored), stored.scales

    decoded, scales = jax.jit(jax.vmap(one))(jnp.arange(count, dtype=jnp.uint32))
    return np.asarray(decoded, np.float64), 2.0 ** (np.asarray(scales[0], np.float64) - 127)


@pytest.fixture(scope="module")
def drawn():
    """256 values in 8 blocks, rounded 2,000 times in every form: values, roundings, both neighbours in float64."""
    found = {}
    for bits, signed in FORMS:
        x = values_of(256, signed)
        decoded, scales = roundings(x, bits, signed, 2000)
        scale = np.repeat(scales, 32)
        places = np.abs(x.astype(np.float64)) / scale
        grid = levels(bits, signed)
        below = np.clip(np.searchsorted(grid, places, side="right") - 1, 0, len(grid) - 2)
        low, high = (np.sign(x + (x == 0)) * grid[i] * scale for i in (below, below + 1))
        found[bits, signed] = x.astype(np.float64), decoded, low, high
    return found


@forms
def test_every_value_becomes_one_of_its_neighbours(drawn, bits, signed):
    x, decoded, low, high = drawn[bits, signed]
    assert np.all((decoded == low) | (decoded == high))
    # Only what is unsigned and below the least level, zero among it, has no neighbour below.
    assert np.all(decoded[:, np.abs(x) < np.abs(low)] == low[np.abs(x) < np.abs(low)])


@forms
def test_rounding_is_unbiased(drawn, bits, signed):
    x, decoded, low, high = drawn[bits, signed]
    inside = np.abs(x) >= np.abs(low)
    p = ((x - low) / (high - low))[inside]
    frequency = np.mean(decoded == high, axis=0)[inside]
    error = np.sqrt(np.maximum(p * (1 - p), 1e-4) / len(decoded))
    # At most 256 squared z-scores: a chi-square of 256 is below 340 with a probability of 0.9996.
    assert inside.sum() > 60
    assert np.sum(((frequency - p) / error) ** 2) < 340


@forms
def test_the_largest_of_a_block_is_never_clipped_and_wastes_at_most_an_octave(bits, signed):
    x = values_of((2000, 32), signed, seed=1)
    stored = blocks.encode(x, jnp.uint32(3), bits=bits, signed=signed)
    scales = 2.0 ** (np.asarray(stored.scales, np.float64)[:, 0] - 127)
    place = np.abs(x.astype(np.float64)).max(1) / scales / levels(bits, signed)[-1]
    assert place.max() <= 1 + 1e-6
    assert place.min() > 0.5 - 1e-6


@forms
def test_levels_are_exact_and_stay(bits, signed):
    """What a code stands for is stored without error, whatever the noise: what decays and grows does so on average."""
    grid = levels(bits, signed)
    grid = np.concatenate([-grid[::-1], grid]) if signed else grid
    # The largest in every block, so that all have the same scale; 31 others beside it.
    rows = np.stack([np.full(32, grid[-1]) for _ in range(-(-len(grid) // 31))])
    rows[:, 1:].flat[: len(grid)] = grid
    x = (rows * 2.0**-7).astype(np.float32)
    decoded, _ = roundings(jnp.asarray(x), bits, signed, 20)
    np.testing.assert_array_equal(decoded, np.broadcast_to(x, decoded.shape))


@forms
@pytest.mark.parametrize(
    "shape", [(8,), (10,), (31,), (33,), (64,), (100,), (3, 96), (2, 3, 25), (2, 1, 3, 1, 40), (3, 1)]
)
def test_every_shape_comes_back_within_its_spacing(bits, signed, shape):
    x = values_of(shape, signed, seed=2)
    stored = blocks.encode(x, jnp.uint32(0), bits=bits, signed=signed)
    decoded = np.asarray(blocks.decode(stored))
    assert decoded.shape == shape
    assert decoded.dtype == np.float32
    # By rows: an error is at most the widest spacing, that at the row's largest value.
    widest = 2.0 ** -blocks.MANTISSA[bits, signed] * np.abs(x).max(-1, keepdims=True)
    assert np.all(np.abs(decoded - x) <= widest)
    count = -(-shape[-1] // blocks.LENGTH)
    assert stored.scales.shape == (*shape[:-1], count)
    if bits == 8:
        assert stored.codes.shape == shape
    else:
        assert stored.codes.shape[-1] <= shape[-1] / 2 + count
    assert stored.codes.dtype == stored.scales.dtype == jnp.uint8


@forms
def test_zeros(bits, signed):
    x = np.zeros((2, 64), np.float32)
    stored = blocks.encode(x, jnp.uint32(0), bits=bits, signed=signed)
    assert not np.asarray(stored.scales).any()
    np.testing.assert_array_equal(blocks.decode(stored), x)
    x[:, 5] = 3.0
    decoded, _ = roundings(jnp.asarray(x), bits, signed, 200)
    others = np.delete(decoded[..., :32], 5, axis=-1)
    # A zero that has a sign stays for good; one that may be divided by never comes back from a block with others.
    assert np.all(others == 0) if signed else np.all(others > 0)
    assert np.all(decoded[..., 32:] == 0)


@forms
def test_order_is_kept(bits, signed):
    """With the same noise for both, the larger of two values never becomes the smaller."""
    x = np.sort(values_of((32, 500), signed, seed=4), axis=1)
    x[0], x[1] = np.abs(x).max() * 1.01, 0
    decode = jax.vmap(lambda row: blocks.decode(blocks.encode(row, jnp.uint32(9), bits=bits, signed=signed)), in_axes=1)
    rows = np.asarray(decode(jnp.asarray(x)))
    assert np.all(np.diff(rows[:, 1:], axis=0) >= 0)


@forms
@pytest.mark.parametrize("value", [1e-37, 1e30, 3.4e38])
def test_extremes_stay_finite(bits, signed, value):
    x = np.full(64, 1.0, np.float32)
    x[0] = value
    decoded = np.asarray(blocks.decode(blocks.encode(x, jnp.uint32(0), bits=bits, signed=signed)))
    assert np.all(np.isfinite(decoded))
    # The end of float32's range is out of reach; what is far below the least level rounds to it, or to zero.
    assert value < 1e-30 or value / 8 <= float(decoded[0]) <= 2 * value
    np.testing.assert_allclose(decoded[32:], 1, rtol=0.5)


@forms
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows(bits, signed, value):
    x = np.ones(64, np.float32)
    x[0] = value
    decoded = np.asarray(blocks.decode(blocks.encode(x, jnp.uint32(0), bits=bits, signed=signed)))
    assert not np.isfinite(decoded[0])
    assert np.all(np.isfinite(decoded[32:]))


def test_signs_of_unsigned_values_are_dropped():
    stored = blocks.encode(jnp.full(8, -1.0), jnp.uint32(0), bits=8, signed=False)
    np.testing.assert_array_equal(blocks.decode(stored), 1)


@pytest.mark.parametrize(("bits", "bound"), [(8, 1.04), (4, 0.54)])
def test_bytes(bits, bound):
    stored = jax.eval_shape(lambda: blocks.encode(jnp.zeros((128, 1024)), jnp.uint32(0), bits=bits, signed=True))
    assert sum(leaf.size for leaf in jax.tree.leaves(stored)) / (128 * 1024) <= bound
