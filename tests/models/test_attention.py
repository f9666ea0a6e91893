"""Rotary positions and causal attention against float64 NumPy and their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.attention import attended, rotated

from jaxlab.models import CausalAttention, rotate

RNG = np.random.RandomState(0)


@pytest.mark.parametrize("base", [10_000.0, 100.0])
def test_rotate_is_multiplication_by_complex_numbers(base):
    x = RNG.standard_normal((2, 7, 3, 8))
    found = rotate(jnp.asarray(x, jnp.float32), base)
    expected = np.stack([np.stack([rotated(x[b, :, h], base) for h in range(3)], 1) for b in range(2)])
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_scores_depend_on_the_distance_alone_and_lengths_stay():
    q, k = (np.broadcast_to(RNG.standard_normal(8), (1, 9, 1, 8)) for _ in range(2))
    rotated_q, rotated_k = (np.float64(rotate(jnp.asarray(x, jnp.float32)))[0, :, 0] for x in (q, k))
    scores = rotated_q @ rotated_k.T
    for distance in range(-8, 9):
        diagonal = np.diagonal(scores, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rotated_q, axis=1), np.linalg.norm(q[0, 0, 0]), rtol=1e-6)


def test_far_positions_stay_apart_in_bfloat16():
    x = jnp.ones((1, 2_000, 1, 2), jnp.bfloat16)
    turned = rotate(x)
    assert turned.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(turned)[0, 1_999, 0], rotated(np.ones((2_000, 2)), 1e4)[1_999], atol=0.01)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_position_by_position(heads):
    width = 12
    module = CausalAttention(width, heads, out_init=jax.nn.initializers.lecun_normal(), rngs=nnx.Rngs(0))
    kernels = [np.float64(getattr(module, name).kernel[...]) for name in ("query", "key", "value", "out")]
    x = RNG.standard_normal((2, 5, width))
    found = module(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, np.stack([attended(row, *kernels, heads) for row in x]), atol=2e-6)


@pytest.mark.parametrize(("width", "heads"), [(8, 3), (6, 2), (8, 0)])
def test_heads_that_do_not_fit_are_refused(width, heads):
    with pytest.raises(ValueError, match=f"heads = {heads}: accepted"):
        CausalAttention(width, heads, out_init=jax.nn.initializers.lecun_normal(), rngs=nnx.Rngs(0))


def test_an_odd_head_cannot_be_rotated():
    with pytest.raises(ValueError, match="size of a head = 3: accepted is an even number"):
        rotate(jnp.ones((1, 2, 1, 3)))
