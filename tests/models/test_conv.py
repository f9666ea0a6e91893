"""Both ways of convolution against each other and against the definition."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxlab.models import Conv, DepthwiseConv, conv2d, depthwise_conv2d

GEOMETRIES = [
    # image, window, stride, padding
    ((7, 6), (3, 3), 1, "SAME"),
    ((8, 8), (5, 5), 2, "SAME"),
    ((9, 7), (2, 4), 3, "SAME"),
    ((7, 6), (3, 2), 1, "VALID"),
    ((8, 9), (3, 3), 2, "VALID"),
    ((5, 5), (1, 1), 1, "SAME"),
]


def arrays(image, window):
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    return jax.random.normal(x_key, (2, *image, 3)), jax.random.normal(kernel_key, (*window, 3, 4))


def by_definition(x, kernel, stride, padding):
    """Four loops in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    kh, kw = kernel.shape[:2]
    if padding == "SAME":
        pads = []
        for size, reach in zip(x.shape[1:3], (kh, kw), strict=True):
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    y = np.zeros((x.shape[0], height, width, kernel.shape[3]))
    for i, j in itertools.product(range(height), range(width)):
        window = x[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
        y[:, i, j] = np.einsum("buvc,uvco->bo", window, kernel)
    return y


@pytest.mark.parametrize(("image", "window", "stride", "padding"), GEOMETRIES)
def test_both_methods_follow_the_definition_and_have_equal_gradients(image, window, stride, padding):
    x, kernel = arrays(image, window)

    def value_and_gradients(method):
        def weighted(x, kernel):
            y = conv2d(x, kernel, stride=stride, padding=padding, method=method)
            return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)), y

        return jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)(x, kernel)

    (_, patches), patches_grads = jax.jit(value_and_gradients, static_argnums=0)("patches")
    (_, native), native_grads = jax.jit(value_and_gradients, static_argnums=0)("native")
    expected = by_definition(x, kernel, stride, padding)
    np.testing.assert_allclose(patches, expected, atol=2e-5)
    np.testing.assert_allclose(native, expected, atol=2e-5)
    for a, b in zip(patches_grads, native_grads, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5)


@pytest.mark.parametrize(("image", "window", "stride", "padding"), GEOMETRIES)
def test_each_channel_by_itself_follows_the_definition_and_has_equal_gradients(image, window, stride, padding):
    x, kernel = arrays(image, window)
    kernel = kernel[:, :, :1, :3]

    def value_and_gradients(method):
        def weighted(x, kernel):
            y = depthwise_conv2d(x, kernel, stride=stride, padding=padding, method=method)
            return jnp.sum(y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)), y

        return jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)(x, kernel)

    ((_, shifts), shifts_grads), ((_, native), native_grads) = jax.jit(
        lambda: (value_and_gradients("shifts"), value_and_gradients("native"))
    )()
    # The definition of a convolution whose kernel is diagonal in its channels.
    expected = by_definition(x, kernel * jnp.eye(3), stride, padding)
    np.testing.assert_allclose(shifts, expected, atol=2e-5)
    np.testing.assert_allclose(native, expected, atol=2e-5)
    for a, b in zip(shifts_grads, native_grads, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5)


def test_second_derivatives_agree():
    x, kernel = arrays((5, 5), (3, 3))

    def curvature(method):
        gradient = jax.grad(lambda k: jnp.sum(conv2d(x, k, method=method) ** 3))
        return jax.jvp(gradient, (kernel,), (kernel,))[1]

    patches, native = jax.jit(lambda: (curvature("patches"), curvature("native")))()
    np.testing.assert_allclose(patches, native, rtol=1e-4, atol=1e-2)


def test_derivatives_of_each_channel_by_itself_agree_forward_mapped_and_twice():
    x, kernel = arrays((7, 6), (3, 2))
    kernel = kernel[:, :, :1, :3]

    def all_of(method):
        convolved = lambda x, k: depthwise_conv2d(x, k, stride=2, method=method)  # noqa: E731
        gradient = jax.grad(lambda k: jnp.sum(convolved(x, k) ** 3))
        forward = jax.jvp(convolved, (x, kernel), (jnp.cos(x), jnp.sin(kernel)))[1]
        of_one = jax.jvp(lambda k: convolved(x, k), (kernel,), (kernel,))[1]
        curvature = jax.jvp(gradient, (kernel,), (jnp.sin(kernel),))[1]
        return forward, of_one, curvature, jax.vmap(gradient)(jnp.stack([kernel, -kernel]))

    for shifts, native in zip(*jax.jit(lambda: (all_of("shifts"), all_of("native")))(), strict=True):
        np.testing.assert_allclose(shifts, native, rtol=1e-4, atol=1e-3)


def test_a_cpu_uses_patches_and_other_backends_their_own(monkeypatch):
    x, kernel = arrays((5, 5), (3, 3))
    assert "conv_general_dilated" not in str(jax.make_jaxpr(conv2d)(x, kernel))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in str(jax.make_jaxpr(functools.partial(conv2d, stride=1))(x, kernel))


def test_a_batch_of_kernels_is_a_loop_over_kernels():
    x, kernel = arrays((5, 5), (3, 3))
    kernels = jnp.stack([kernel, -2 * kernel])
    together = jax.vmap(lambda k: conv2d(x, k, method="patches"))(kernels)
    np.testing.assert_allclose(together[1], -2 * together[0], rtol=1e-5)


@pytest.mark.parametrize("method", ["patches", "native"])
def test_the_module_adds_its_bias_and_computes_in_the_dtype_it_is_given(method):
    layer = Conv(3, 4, stride=2, method=method, rngs=nnx.Rngs(0))
    layer.bias = nnx.Param(jnp.arange(4.0))
    x, _ = arrays((6, 6), (3, 3))
    y = layer(x)
    np.testing.assert_allclose(
        y - conv2d(x, layer.kernel[...], stride=2), jnp.broadcast_to(jnp.arange(4.0), y.shape), atol=1e-5
    )
    graphdef, params = nnx.split(layer, nnx.Param)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), nnx.to_pure_dict(params))
    low = nnx.merge(graphdef, half)(x.astype(jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), y, atol=0.15)


def test_a_convolution_may_have_no_bias():
    layer = Conv(3, 4, use_bias=False, rngs=nnx.Rngs(0))
    x, _ = arrays((6, 6), (3, 3))
    np.testing.assert_array_equal(layer(x), conv2d(x, layer.kernel[...]))
    assert list(nnx.to_pure_dict(nnx.state(layer))) == ["kernel"]


def test_the_depthwise_module_computes_in_the_dtype_of_its_kernel():
    layer = DepthwiseConv(3, stride=2, rngs=nnx.Rngs(0))
    x, _ = arrays((6, 6), (3, 3))
    np.testing.assert_array_equal(layer(x), depthwise_conv2d(x, layer.kernel[...], stride=2))
    layer.kernel = nnx.Param(layer.kernel[...].astype(jnp.bfloat16))
    assert layer(x).dtype == jnp.bfloat16


def test_weights_have_the_variance_a_relu_wants():
    kernel = Conv(32, 64, rngs=nnx.Rngs(0)).kernel[...]
    assert float(kernel.std()) == pytest.approx(np.sqrt(2 / (9 * 32)), rel=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "same"}, "padding = 'same': unknown. Accepted are: SAME, VALID"),
        ({"method": "nativ"}, "method = 'nativ': unknown, did you mean 'native'"),
        ({"stride": 0}, "stride = 0: accepted is a whole number of at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        conv2d(*arrays((5, 5), (3, 3)), **options)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"x has shape \(1, 4, 4, 2\), kernel \(3, 3, 1, 1\)"):
        conv2d(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 1)))
    with pytest.raises(ValueError, match=r"x has shape \(1, 4, 4, 2\), kernel \(3, 3, 2, 2\)"):
        depthwise_conv2d(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"method = 'patches': unknown\. Accepted are: auto, shifts, native"):
        depthwise_conv2d(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2)), method="patches")
