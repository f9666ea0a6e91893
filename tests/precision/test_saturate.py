"""Casts that end at the largest finite number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.precision import saturating_cast

LARGEST = {"float16": 65504.0, "bfloat16": float.fromhex("0x1.fep127")}


@pytest.mark.parametrize(
    ("source", "target"), [("float32", "float16"), ("float32", "bfloat16"), ("bfloat16", "float16")]
)
def test_beyond_the_range_lies_its_end(source, target):
    end = LARGEST[target]
    beyond = [float(jnp.finfo(source).max), 65536.0, np.nextafter(np.float32(end), np.float32(np.inf))]
    given = [x for x in map(float, jnp.asarray(beyond, source)) if x > end]
    x = jnp.asarray([*given, *(-y for y in given), jnp.inf, -jnp.inf, jnp.nan, 0.0, -2.0, 1.5], source)
    expected = [*(end for _ in given), *(-end for _ in given), np.inf, -np.inf, np.nan, 0, -2, 1.5]

    found, slope = jax.jit(jax.vmap(jax.value_and_grad(lambda x: saturating_cast(x, target).astype(jnp.float32))))(x)
    assert given
    assert saturating_cast(x, target).dtype == target
    np.testing.assert_array_equal(found, np.float32(jnp.asarray(expected, target)))
    # One where a number stays about what it is, infinity and NaN among them, and nothing where it saturated.
    np.testing.assert_array_equal(np.float32(slope), [0] * (2 * len(given)) + [1] * 6)


def test_the_end_of_the_range_is_no_kink():
    slope = jax.grad(lambda x: saturating_cast(x, "float16").astype(jnp.float32))(65504.0)
    assert slope == 1


def test_a_wider_range_is_a_plain_cast():
    x = jnp.asarray([6e4, -1e-7, jnp.inf], jnp.float16)
    np.testing.assert_array_equal(saturating_cast(x, "bfloat16"), x.astype(jnp.bfloat16))
    np.testing.assert_array_equal(saturating_cast(x, "float32"), x.astype(jnp.float32))


def test_numbers_of_the_host_are_cast_and_other_dtypes_refused():
    assert saturating_cast([1e6, 2], "float16").tolist() == [65504, 2]
    with pytest.raises(TypeError, match="dtype = 'int8': accepted is a floating dtype"):
        saturating_cast(jnp.ones(2), "int8")
