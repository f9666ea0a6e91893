"""Chunked cross entropy: equal to the plain one in value and gradients, in a fraction of its memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxlab import losses

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(2, 5, 4)).astype(np.float32)
KERNEL = RNG.normal(size=(4, 7)).astype(np.float32)
LABELS = RNG.integers(7, size=(2, 5))
WEIGHTS = RNG.uniform(size=(2, 5)).astype(np.float32)


def plain(hidden, labels, kernel, *options, z_loss_strength=0.0, weights=None, reduction="mean"):
    logits = jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32)
    return losses.cross_entropy(logits, labels, *options, weights=weights, reduction=reduction) + losses.z_loss(
        logits, z_loss_strength, weights=weights, reduction=reduction
    )


def close(found, expected, tolerance=2e-6):
    def one(a, b):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())

    jax.tree.map(one, found, expected)


def with_gradients(loss, **options):
    """The loss with its gradients in the hidden states, the kernel, the smoothing, the weights and the strength."""

    def call(hidden, kernel, smoothing, weights, strength):
        return loss(hidden, LABELS, kernel, smoothing, z_loss_strength=strength, weights=weights, **options)

    return jax.jit(jax.value_and_grad(call, argnums=range(5)))(HIDDEN, KERNEL, 0.1, WEIGHTS, 0.01)


@pytest.fixture(scope="module")
def expected():
    return with_gradients(plain)


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 1024])
def test_value_and_gradients_are_those_of_cross_entropy(chunk_size, expected):
    close(with_gradients(losses.chunked_cross_entropy, chunk_size=chunk_size), expected)


def test_values_keep_their_places():
    loss = jax.jit(functools.partial(losses.chunked_cross_entropy, chunk_size=3, reduction="none"))
    found = loss(HIDDEN, LABELS, KERNEL, weights=WEIGHTS)
    assert found.shape == (2, 5)
    close(found, plain(HIDDEN, LABELS, KERNEL, weights=WEIGHTS, reduction="none"))
    close(loss(HIDDEN[0, 0], LABELS[0, 0], KERNEL), losses.cross_entropy(HIDDEN[0, 0] @ KERNEL, LABELS[0, 0]))


def test_what_is_ignored_may_be_nan():
    hidden, labels = HIDDEN.copy(), LABELS.copy()
    hidden[0, 1], labels[0, 1] = np.nan, -100
    loss = functools.partial(
        losses.chunked_cross_entropy, ignore_index=-100, z_loss_strength=0.01, chunk_size=3, label_smoothing=0.1
    )
    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 2)))(hidden, labels, KERNEL)
    kept = np.arange(10) != 1
    rows = HIDDEN.reshape(10, 4)[kept], LABELS.reshape(10)[kept]
    close(value, plain(*rows, KERNEL, 0.1, z_loss_strength=0.01))
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert not slopes[0][0, 1].any()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_kernels_gradient_is_summed_in_float32(dtype):
    # 256 chunks of one token each: a sum in 8 bits of mantissa would be off by percents.
    hidden = jnp.asarray(RNG.uniform(0.5, 1.5, size=(256, 4)), dtype)
    kernel, labels = jnp.asarray(KERNEL, dtype), np.zeros(256, np.int32)

    def slopes(loss, *arguments, **options):
        return jax.jit(jax.grad(functools.partial(loss, reduction="sum", **options), argnums=(0, 2)))(*arguments)

    found = slopes(losses.chunked_cross_entropy, hidden, labels, kernel, chunk_size=1)
    expected = slopes(plain, hidden.astype(jnp.float32), labels, kernel.astype(jnp.float32))
    assert [slope.dtype for slope in found] == [dtype, dtype]
    close(jax.tree.map(np.float32, found), expected, 2 * float(jnp.finfo(dtype).eps))


def test_logits_of_1e4_do_not_overflow_float16():
    hidden, kernel = jnp.full((4, 4), 1e4, jnp.float16), jnp.asarray(10 * KERNEL, jnp.float16)
    value, slopes = jax.jit(jax.value_and_grad(losses.chunked_cross_entropy))(hidden, np.arange(4), kernel)
    assert np.isfinite(value)
    assert np.isfinite(slopes).all()


def temporaries(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_memory_is_that_of_a_chunk(dtype):
    tokens, width, vocabulary, chunk = 4096, 16, 8192, 64
    hidden, labels = jax.ShapeDtypeStruct((tokens, width), dtype), jax.ShapeDtypeStruct((tokens,), jnp.int32)
    kernel = jax.ShapeDtypeStruct((width, vocabulary), dtype)
    chunked = functools.partial(losses.chunked_cross_entropy, chunk_size=chunk, z_loss_strength=1e-4)
    logits = 4 * tokens * vocabulary
    found = temporaries(jax.value_and_grad(chunked, argnums=(0, 2)), hidden, labels, kernel)
    # A few of a chunk's logits, of the kernel and of the hidden states, all in float32.
    assert found < 4 * 4 * (chunk * vocabulary + width * vocabulary + tokens * width)
    assert found < logits / 8
    assert temporaries(jax.value_and_grad(plain, argnums=(0, 2)), hidden, labels, kernel) > logits


def test_devices_share_every_chunk():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    hidden = RNG.normal(size=(16, 32, 4)).astype(np.float32)
    labels = RNG.integers(7, size=(16, 32))
    expected = jax.jit(jax.value_and_grad(plain, argnums=(0, 2)))(hidden, labels, KERNEL)
    by_example = NamedSharding(mesh, P("data"))
    arguments = [jax.device_put(x, by_example) for x in (hidden, labels)]
    arguments.append(jax.device_put(KERNEL, NamedSharding(mesh, P())))
    loss = functools.partial(losses.chunked_cross_entropy, chunk_size=64)
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 2))).lower(*arguments).compile()
    close(step(*arguments), expected)
    # Hidden states stay where they are: only losses and the kernel's gradient are summed over devices.
    assert "all-gather" not in step.as_text()
    assert "all-to-all" not in step.as_text()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"hidden has shape \(2, 5, 4\), kernel \(7, 4\): accepted are"):
        losses.chunked_cross_entropy(HIDDEN, LABELS, KERNEL.T)
    with pytest.raises(ValueError, match=r"hidden has shape \(2, 5, 4\), labels \(5,\): accepted are indices of"):
        losses.chunked_cross_entropy(HIDDEN, LABELS[0], KERNEL)
    with pytest.raises(ValueError, match="chunk_size = 0"):
        losses.chunked_cross_entropy(HIDDEN, LABELS, KERNEL, chunk_size=0)
    with pytest.raises(TypeError, match=r"chunk_size = 2\.5"):
        losses.chunked_cross_entropy(HIDDEN, LABELS, KERNEL, chunk_size=2.5)
    with pytest.raises(ValueError, match=r"z_loss_strength = -1"):
        losses.chunked_cross_entropy(HIDDEN, LABELS, KERNEL, z_loss_strength=-1.0)
    with pytest.raises(ValueError, match=r"label_smoothing = 2"):
        losses.chunked_cross_entropy(HIDDEN, LABELS, KERNEL, 2.0)
    with pytest.raises(TypeError, match="labels of shape"):
        losses.chunked_cross_entropy(HIDDEN, LABELS.astype(np.float32), KERNEL)
