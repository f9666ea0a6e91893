import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.core import storage

BF16 = np.dtype(jnp.bfloat16)


def _nearest_below_and_above(x):
    """The two bfloat16 neighbours of float32 values, by the definition of the format."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    toward_zero = (bits & 0xFFFF0000).view(np.float32)
    away = np.where(bits & 0xFFFF, (bits & 0xFFFF0000) + 0x10000, bits).astype(np.uint32).view(np.float32)
    return toward_zero, away


@pytest.fixture(scope="module")
def draws():
    """Values of every size, each rounded 4,000 times with a seed of its own."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(64) * 10.0 ** rng.integers(-20, 20, 64)).astype(np.float32)
    seeds = jax.vmap(lambda step: storage.seed_of("layer/kernel", 0, step))(jnp.arange(4000))
    rounded = jax.jit(jax.vmap(storage.round_stochastically, in_axes=(None, 0)))(x, seeds)
    return x, np.asarray(rounded)


def test_rounds_to_a_neighbour(draws):
    x, rounded = draws
    toward_zero, away = _nearest_below_and_above(x)
    assert rounded.dtype == BF16
    values = rounded.astype(np.float32)
    assert np.all((values == toward_zero) | (values == away))


def test_rounding_is_unbiased(draws):
    x, rounded = draws
    toward_zero, away = _nearest_below_and_above(x)
    p = (x.astype(np.float64) - toward_zero) / (away.astype(np.float64) - toward_zero)
    frequency = np.mean(rounded.astype(np.float32) == away, axis=0)
    error = np.sqrt(p * (1 - p) / len(rounded))
    # 64 binomial frequencies: their squared z-scores add to a chi-square of 64, below 108.5 with p = 4e-4.
    assert np.sum(((frequency - p) / error) ** 2) < 108.5


def test_bits_of_neighbours_and_of_steps_are_independent(draws):
    x, rounded = draws
    up = (rounded.astype(np.float32) == _nearest_below_and_above(x)[1]).astype(np.float64)
    centred = (up - up.mean(0)) / (up.std(0) + 1e-12)
    across = centred.T @ centred / len(centred) - np.eye(64) * (centred**2).mean(0)
    along = np.mean(centred[1:] * centred[:-1], axis=0)
    assert np.abs(across).max() < 5 / np.sqrt(len(centred))
    assert np.abs(along).max() < 5 / np.sqrt(len(centred))


def test_what_is_exact_stays():
    finfo = jnp.finfo(jnp.bfloat16)
    exact = [0.0, -0.0, 1.0, -1.5, float(finfo.max), float(finfo.min), float(finfo.tiny), np.inf, -np.inf]
    exact = np.array(exact, np.float32)
    seeds = jax.vmap(storage.seed_of, in_axes=(None, 0))("x", jnp.arange(200))
    rounded = jax.vmap(lambda seed: storage.round_stochastically(jnp.asarray(exact), seed))(seeds)
    values = np.asarray(rounded).astype(np.float32)
    np.testing.assert_array_equal(values.view(np.uint32), np.broadcast_to(exact, values.shape).view(np.uint32))


def test_nan_stays_and_finite_stays_finite():
    seeds = jax.vmap(storage.seed_of, in_axes=(None, 0))("x", jnp.arange(200))
    largest = float(np.finfo(np.float32).max)
    x = jnp.array([jnp.nan, largest, -largest, 3.395e38])
    rounded = np.asarray(jax.vmap(lambda seed: storage.round_stochastically(x, seed))(seeds)).astype(np.float32)
    assert np.all(np.isnan(rounded[:, 0]))
    assert np.all(np.isfinite(rounded[:, 1:]))
    # A NaN whose payload sits in the bits that are cut off must not become inf.
    payload = jax.lax.bitcast_convert_type(jnp.uint32(0x7F800001), jnp.float32)
    assert jnp.isnan(storage.round_stochastically(payload[None], jnp.uint32(1)))[0]


def test_sign_survives():
    x = jnp.linspace(-1e-3, 1e-3, 101)
    rounded = storage.round_stochastically(x, jnp.uint32(7))
    np.testing.assert_array_equal(np.sign(np.asarray(rounded).astype(np.float32)), np.sign(x))


def test_same_seed_same_bits_other_seed_other_bits():
    x = jnp.full(1000, 1.001)
    one = storage.round_stochastically(x, storage.seed_of("a", 0, 3))
    np.testing.assert_array_equal(one, storage.round_stochastically(x, storage.seed_of("a", 0, 3)))
    for other in (storage.seed_of("b", 0, 3), storage.seed_of("a", 1, 3), storage.seed_of("a", 0, 4)):
        assert np.mean(np.asarray(one != storage.round_stochastically(x, other))) > 0.1


def test_seed_traces_in_the_step():
    assert jax.jit(lambda step: storage.seed_of("a", step))(5) == storage.seed_of("a", 5)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (2, 0, 3), (2, 3, 4), (2, 1, 3, 1, 2)])
def test_random_bits_are_those_of_the_flat_index(shape):
    flat = storage.random_bits((int(np.prod(shape)),), jnp.uint32(3))
    np.testing.assert_array_equal(storage.random_bits(shape, jnp.uint32(3)).ravel(), flat)


def test_random_bits_are_fair():
    bits = np.asarray(storage.random_bits((1 << 16,), jnp.uint32(11)))
    each = (bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    # Standard deviation of each frequency: 0.5 / 256.
    assert np.abs(each.mean(0) - 0.5).max() < 5 * 0.5 / 256


def test_encode_and_decode():
    slot = storage.Slot(jnp.full(3, 1.001), signed=False)
    assert storage.encode(slot, "float32", "w", 0).dtype == jnp.float32
    assert storage.encode(slot, "bfloat16", "w", 0).dtype == jnp.bfloat16
    assert storage.decode(storage.encode(slot, "bfloat16", "w", 0)).dtype == jnp.float32
    exact = storage.Slot(jnp.full(3, 1.001), low_bit=False)
    assert storage.encode(exact, "bfloat16", "w", 0).dtype == jnp.float32
    np.testing.assert_array_equal(storage.encode(exact, "bfloat16", "w", 0), exact.value)


def test_zeros():
    slot = storage.zeros(jnp.ones((2, 3), jnp.float16), signed=False)
    assert (slot.value.dtype, slot.value.shape, slot.signed, slot.low_bit) == (jnp.float32, (2, 3), False, True)


def test_unknown_store():
    with pytest.raises(ValueError, match="state_dtype = 'bf16': unknown, did you mean 'bfloat16'"):
        storage.check_store("bf16")


def _format(store, name="w", shape=(128, 64), **kwargs):
    return storage.format_of(storage.Slot(jnp.zeros(shape), **kwargs), storage.check_store(store), name)


def test_rules_over_names_decide():
    rules = [("embed", "float32"), ("head$", "bfloat16"), (".*", "int8")]
    found = [_format(rules, name) for name in ("embed/table", "block/head", "block/w")]
    assert found == ["float32", "bfloat16", "int8"]
    with pytest.raises(ValueError, match="no rule matches 'block/w'"):
        _format(rules[:2], "block/w")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        *(((), "float32"), ((0, 64), "float32"), ((2, 0), "float32"), ((63,), "float32"), ((1000, 7), "float32")),
        *(((64,), "int8"), ((8, 8), "int8"), ((1, 3, 4, 10), "int8")),
    ],
)
def test_what_is_small_stays_exact(shape, wanted):
    assert _format("int8", shape=shape) == wanted
    assert _format("bfloat16", shape=shape) == "bfloat16"
    assert _format("int8", shape=shape, low_bit=False) == "float32"


@pytest.mark.parametrize("bits", [8, 4])
def test_blocks_are_encoded_and_decoded(bits):
    slot = storage.Slot(jnp.linspace(-1, 1, 128).reshape(2, 64))
    stored = storage.encode(slot, f"int{bits}", "w", 0)
    assert isinstance(stored, storage.Blocks)
    assert (stored.bits, stored.signed, stored.length) == (bits, True, 64)
    assert storage.decode(stored).dtype == jnp.float32
    np.testing.assert_allclose(storage.decode(stored), slot.value, atol=2.0**-5 if bits == 8 else 0.5)


@pytest.mark.usefixtures("x64")
def test_blocks_decode_to_the_precision_of_the_arithmetic():
    stored = storage.encode(storage.Slot(jnp.ones(64)), "int8", "w", 0)
    assert storage.decode(stored).dtype == jnp.float64


@pytest.mark.parametrize(
    ("store", "error", "message"),
    [
        ("int9", ValueError, "state_dtype = 'int9': unknown, did you mean 'int8'"),
        ([("w", "int9")], ValueError, r"state_dtype\['w'\] = 'int9': unknown, did you mean 'int8'"),
        ([("(", "int8")], ValueError, "is no regular expression"),
        ([("w", "int8", 3)], TypeError, "accepted are float32, bfloat16, int8, int4, and"),
        ([(3, "int8")], TypeError, "accepted are float32"),
        (8, TypeError, "state_dtype = 8: accepted are float32"),
        ((), ValueError, "state_dtype"),
    ],
)
def test_bad_formats_are_refused(store, error, message):
    with pytest.raises(error, match=message):
        storage.check_store(store)
