"""Rotary positions and causal attention against float64 NumPy and their laws."""

import functools
from contextlib import nullcontext
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.attention import attended, rotated

from jaxlab.models import CausalAttention, rotate
from jaxlab.models.attention import attended as gathered
from jaxlab.sharding import make_mesh

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


KERNELS = ("query", "key", "value", "out")


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (3, 3), (6, 2), (6, 1)])
def test_attention_position_by_position(heads, kv_heads, qk_norm):
    width = 12
    options = {"kv_heads": kv_heads, "qk_norm": qk_norm, "out_init": jax.nn.initializers.lecun_normal()}
    module = CausalAttention(width, heads, **options, rngs=nnx.Rngs(0))
    kernels = {name: np.float64(getattr(module, name).kernel[...]) for name in KERNELS}
    # Heads that share keys and values are heads of which each has the same ones.
    for name in ("key", "value"):
        by_head = kernels[name].reshape(width, kv_heads, width // heads)
        kernels[name] = np.repeat(by_head, heads // kv_heads, axis=1).reshape(width, width)
    x = RNG.standard_normal((2, 5, width))
    found = module(jnp.asarray(x, jnp.float32))
    expected = np.stack([attended(row, *kernels.values(), heads, qk_norm=qk_norm) for row in x])
    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_normalised_queries_and_keys_bound_the_scores():
    # Kernels a thousand times larger change nothing but the values: where a position looks depends on directions.
    options = {"qk_norm": True, "out_init": jax.nn.initializers.lecun_normal()}
    module = CausalAttention(8, 2, **options, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.standard_normal((1, 5, 8)), jnp.float32)
    before = module(x)
    for layer in (module.query, module.key):
        layer.kernel[...] = 1e3 * layer.kernel[...]
    np.testing.assert_allclose(module(x), before, atol=1e-5)


@pytest.mark.parametrize("kv_heads", [0, 3, 8])
def test_groups_that_do_not_fit_are_refused(kv_heads):
    with pytest.raises(ValueError, match=f"kv_heads = {kv_heads}: accepted"):
        CausalAttention(8, 4, kv_heads=kv_heads, out_init=jax.nn.initializers.lecun_normal(), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(("width", "heads"), [(8, 3), (6, 2), (8, 0)])
def test_heads_that_do_not_fit_are_refused(width, heads):
    with pytest.raises(ValueError, match=f"heads = {heads}: accepted"):
        CausalAttention(width, heads, out_init=jax.nn.initializers.lecun_normal(), rngs=nnx.Rngs(0))


def test_an_odd_head_cannot_be_rotated():
    with pytest.raises(ValueError, match="size of a head = 3: accepted is an even number"):
        rotate(jnp.ones((1, 2, 1, 3)))


@pytest.mark.parametrize(
    ("capability", "dtype", "size", "mesh", "wanted"),
    [
        ("8.0", "bfloat16", 64, None, "cudnn"),
        ("12.0", "float16", 128, "data=8", "cudnn"),
        ("7.5", "float16", 64, None, None),  # a T4
        ("gfx90a", "bfloat16", 64, None, None),
        ("9.0", "float32", 64, None, None),
        ("9.0", "bfloat16", 20, None, None),
        ("9.0", "bfloat16", 256, None, None),
        ("9.0", "bfloat16", 64, "data=4,sequence=2", None),
    ],
)
def test_the_fused_kernel_is_for_what_it_can(capability, dtype, size, mesh, wanted, monkeypatch):
    chosen = []

    def stands_in(query, *_, implementation, **__):
        chosen.append(implementation)
        return query

    x = jax.ShapeDtypeStruct((8, 4, 2, size), dtype)
    with nullcontext() if mesh is None else jax.set_mesh(make_mesh(mesh)), monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        patch.setattr(jax, "devices", lambda: [SimpleNamespace(compute_capability=capability)])
        patch.setattr(jax.nn, "dot_product_attention", stands_in)
        jax.eval_shape(functools.partial(gathered), x, x, x)  # A function of its own: nothing is remembered.
    assert chosen == [wanted]
