"""The head's product: half precision in, float32 out, and so backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab import losses
from jaxlab.losses.head import head_logits

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(6, 64)).astype(np.float32)
KERNEL = RNG.normal(size=(64, 9)).astype(np.float32)
LABELS = RNG.integers(9, size=6)
HALF = [jnp.bfloat16, jnp.float16]


def products(function, *arguments):
    """Of every product of matrices in a program, loops included: dtypes of what goes in, and of what comes out."""

    def of(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                yield *(str(x.aval.dtype) for x in equation.invars), str(equation.outvars[0].aval.dtype)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    yield from of(inner)

    return list(of(jax.make_jaxpr(function)(*arguments).jaxpr))


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_is_multiplied_as_it_is_and_summed_in_float32(dtype):
    hidden, kernel = jnp.asarray(HIDDEN, dtype), jnp.asarray(KERNEL, dtype)
    logits = head_logits(hidden, kernel)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, np.float64(hidden) @ np.float64(kernel), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_no_product_forward_or_backward_is_of_wider_numbers(dtype, chunk_size):
    def loss(hidden, kernel):
        if chunk_size is None:
            return losses.cross_entropy(head_logits(hidden, kernel), LABELS)
        return losses.chunked_cross_entropy(hidden, LABELS, kernel, chunk_size=chunk_size)

    half, name = (jnp.asarray(HIDDEN, dtype), jnp.asarray(KERNEL, dtype)), jnp.dtype(dtype).name
    slopes = jax.grad(loss, argnums=(0, 1))
    found = products(slopes, *half)
    assert all(one[:2] == (name, name) for one in found)
    assert (name, name, "float32") in found
    assert len(found) == (3 if chunk_size is None else 4)
    full = jax.jit(slopes)(*(x.astype(jnp.float32) for x in half))
    for own, exact in zip(jax.jit(slopes)(*half), full, strict=True):
        assert own.dtype == dtype
        error = np.linalg.norm(np.float32(own) - exact) / np.linalg.norm(exact)
        assert error < float(jnp.finfo(dtype).eps)


def test_other_dtypes_are_float32_throughout():
    for hidden, kernel in [(HIDDEN, KERNEL), (jnp.asarray(HIDDEN, jnp.bfloat16), KERNEL)]:
        (one,) = products(head_logits, jnp.asarray(hidden), jnp.asarray(kernel))
        assert one == ("float32",) * 3


def test_double_precision_where_it_is_enabled(x64):
    assert head_logits(jnp.float64(HIDDEN), jnp.float64(KERNEL)).dtype == jnp.float64
    assert head_logits(jnp.asarray(HIDDEN, jnp.bfloat16), jnp.asarray(KERNEL, jnp.bfloat16)).dtype == jnp.float64


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_curvature_along_a_direction(chunk_size):
    """Forward over reverse, whose answer in half precision is that of float32 up to its rounding."""

    def loss(kernel, hidden):
        if chunk_size is None:
            return losses.cross_entropy(head_logits(hidden, kernel), LABELS)
        return losses.chunked_cross_entropy(hidden, LABELS, kernel, chunk_size=chunk_size)

    def curvature(kernel, along, hidden):
        return jax.jvp(jax.grad(lambda kernel: loss(kernel, hidden)), (kernel,), (along,))[1]

    half = [jnp.asarray(x, jnp.bfloat16) for x in (0.1 * KERNEL, RNG.normal(size=KERNEL.shape), HIDDEN)]
    found = jax.jit(curvature)(*half)
    exact = jax.jit(curvature)(*(x.astype(jnp.float32) for x in half))
    assert found.dtype == jnp.bfloat16
    assert np.linalg.norm(np.float32(found) - exact) < 0.02 * np.linalg.norm(exact)
