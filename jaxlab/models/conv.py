"""Two-dimensional convolution that is fast where it runs."""

import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.models.linear import in_dtype_of

METHODS = ("auto", "patches", "native")
DEPTHWISE_METHODS = ("auto", "shifts", "native")


def conv2d(
    x: Float[Array, "batch height width in"],
    kernel: Float[Array, "kh kw in out"],
    *,
    stride: int = 1,
    padding: str = "SAME",
    method: str = "auto",
) -> Float[Array, "batch height2 width2 out"]:
    r"""Cross-correlation of images with a kernel, as deep learning understands convolution.

    .. math::
        y_{b,i,j,o} = \sum_{u,v,c} x_{b,\,si+u,\,sj+v,\,c}\; k_{u,v,c,o}

    with :math:`x` padded by zeros. There are two ways to the same result: XLA's own convolution, and
    patches: the :math:`k_h k_w` shifted images side by side, times the kernel as a matrix. On a CPU XLA's
    convolution runs up to ten times slower inside a loop (``scan``, ``lax.map``) than outside, and under
    ``vmap`` of the kernel slower still; patches do not. On GPU and TPU the native one is right.

    Args:
      x: images, channels last.
      kernel: height, width, input channels, output channels.
      stride: step between windows, in pixels, along both axes.
      padding: ``"SAME"`` (output size is input size / stride, rounded up) or ``"VALID"`` (no padding).
      method: ``"patches"``, ``"native"``, or ``"auto"``: patches where JAX's default backend at the time of
        tracing is a CPU. Name the method when compiling for hardware that is not here.

    Raises:
      ValueError: an unknown padding or method, a stride below 1, shapes that do not fit.

    Memory of patches: the input :math:`k_h k_w / s^2` times.

    >>> x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    >>> conv2d(x, kernel)[0, :, :, 0].tolist()
    [[4.0, 6.0, 6.0, 4.0], [6.0, 9.0, 9.0, 6.0], [6.0, 9.0, 9.0, 6.0], [4.0, 6.0, 6.0, 4.0]]
    """
    _check(stride, padding, method, METHODS)
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"x has shape {x.shape}, kernel {kernel.shape}: accepted are "
            "(batch, height, width, in) and (height, width, in, out)"
        )
    if method == "auto":
        method = "patches" if jax.default_backend() == "cpu" else "native"
    if method == "native":
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    patches = jnp.concatenate(_shifted(x, kernel.shape[:2], stride, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[3])


def depthwise_conv2d(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "kh kw 1 channels"],
    *,
    stride: int = 1,
    padding: str = "SAME",
    method: str = "auto",
) -> Float[Array, "batch height2 width2 channels"]:
    r"""Cross-correlation of each channel with a kernel of its own.

    .. math::
        y_{b,i,j,c} = \sum_{u,v} x_{b,\,si+u,\,sj+v,\,c}\; k_{u,v,c}

    There are two ways to the same result: XLA's own convolution with as many groups as channels, and shifts: the sum
    of :math:`k_h k_w` shifted images, each times a number for each channel. On a CPU shifts are 5 to 40 times faster,
    and an EfficientNet with them 15 times. On GPU and TPU the native one is right.

    Args:
      x: images, channels last.
      kernel: height, width, 1, channels.
      stride, padding: as in :func:`conv2d`.
      method: ``"shifts"``, ``"native"``, or ``"auto"``: shifts where JAX's default backend at the time of tracing is
        a CPU.

    Raises:
      ValueError: an unknown padding or method, a stride below 1, shapes that do not fit.

    Reference: Chollet, https://arxiv.org/abs/1610.02357, section 1.

    >>> x, kernel = jnp.ones((1, 2, 2, 2)), jnp.stack([jnp.ones((3, 3, 1)), jnp.zeros((3, 3, 1))], -1)
    >>> depthwise_conv2d(x, kernel)[0].tolist()
    [[[4.0, 0.0], [4.0, 0.0]], [[4.0, 0.0], [4.0, 0.0]]]
    """
    _check(stride, padding, method, DEPTHWISE_METHODS)
    if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[2:] != (1, x.shape[3]):
        raise ValueError(
            f"x has shape {x.shape}, kernel {kernel.shape}: accepted are "
            "(batch, height, width, channels) and (height, width, 1, channels)"
        )
    if method == "auto":
        method = "shifts" if jax.default_backend() == "cpu" else "native"
    if method == "native":
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[3],
        )  # fmt: skip
    return _shifts(x, kernel, stride, padding)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _shifts(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """The sum of shifted images, each times its numbers: one loop over all pixels, whatever the window."""
    numbers = kernel.reshape(-1, kernel.shape[3])
    shifted = _shifted(x, kernel.shape[:2], stride, padding)
    return functools.reduce(operator.add, (image * number for image, number in zip(shifted, numbers, strict=True)))


def _shifts_jvp(stride: int, padding: str, primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """Linear in both. What is linear in the kernel is written as a loop, for the sake of its transpose.

    That is the gradient of the kernel: a sum over all pixels for each place in the window. Without the loop XLA makes
    as many programs of them, each of which computes anew what the images come from: an EfficientNet's gradient took
    twice the time and three times the memory.
    """
    (x, kernel), (x_tangent, kernel_tangent) = primals, tangents
    y = _shifts(x, kernel, stride, padding)
    tangent = jnp.zeros_like(y)
    if not isinstance(x_tangent, SymbolicZero):
        tangent += _shifts(x_tangent, kernel, stride, padding)
    if not isinstance(kernel_tangent, SymbolicZero):
        # Linear already; but JAX 0.7 transposes no loop but those that it has linearized itself.
        loop = functools.partial(_one_by_one, x, stride=stride, padding=padding)
        tangent += jax.jvp(loop, (kernel,), (kernel_tangent,))[1]
    return y, tangent


_shifts.defjvp(_shifts_jvp, symbolic_zeros=True)


def _one_by_one(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """The same as :func:`_shifts`, one place in the window after another."""
    window = kernel.shape[:2]
    x, (height, width) = _padded(x, window, stride, padding)
    reach = (x.shape[0], (height - 1) * stride + 1, (width - 1) * stride + 1, x.shape[3])

    @jax.checkpoint  # Or the shifted images would all be kept for the backward pass.
    def add(y: Array, place: tuple[Array, Array, Array]) -> tuple[Array, None]:
        i, j, number = place
        return y + jax.lax.dynamic_slice(x, (0, i, j, 0), reach)[:, ::stride, ::stride] * number, None

    i, j = jnp.divmod(jnp.arange(math.prod(window)), window[1])
    nothing = jnp.zeros((x.shape[0], height, width, x.shape[3]), jnp.result_type(x, kernel))
    return jax.lax.scan(add, nothing, (i, j, kernel.reshape(-1, kernel.shape[3])))[0]


def _check(stride: int, padding: str, method: str, methods: tuple[str, ...]) -> None:
    hyper.integer("stride", stride, at_least=1)
    hyper.one_of("padding", padding, ("SAME", "VALID"))
    hyper.one_of("method", method, methods)


def _shifted(
    x: Array, window: tuple[int, ...], stride: int, padding: str
) -> list[Float[Array, "batch height2 width2 channels"]]:
    """For each place in a window what stands there in all windows, ordered as a kernel's first two axes are."""
    x, (height, width) = _padded(x, window, stride, padding)
    return [
        x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(window[0])
        for j in range(window[1])
    ]


def _padded(x: Array, window: tuple[int, ...], stride: int, padding: str) -> tuple[Array, tuple[int, int]]:
    """The images with zeros around them, and height and width of what comes out."""
    pads = jax.lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = ((size - reach) // stride + 1 for size, reach in zip(x.shape[1:3], window, strict=True))
    return x, (height, width)


class Conv(nnx.Module):
    """A convolution with a bias: :func:`conv2d` as a module.

    Weights are normal with variance 2 / fan-in, as a ReLU wants them; the bias starts at zero.

    Args:
      inputs: input channels.
      outputs: output channels.
      window: height and width of the kernel.
      stride, padding, method: as in :func:`conv2d`.
      use_bias: whether there is a bias; a normalisation that follows has its own.
      rngs: for the initial weights.

    Parameters: ``kernel`` [height, width, inputs, outputs], ``bias`` [outputs].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: tuple[int, int] = (3, 3),
        *,
        stride: int = 1,
        padding: str = "SAME",
        method: str = "auto",
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*window, inputs, outputs)
        self.kernel = nnx.Param(jax.nn.initializers.he_normal()(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32)) if use_bias else None
        self.stride, self.padding, self.method = stride, padding, method

    def __call__(self, x: Float[Array, "batch height width in"]) -> Float[Array, "batch height2 width2 out"]:
        """The convolved images."""
        kernel, bias = self.kernel[...], None if self.bias is None else self.bias[...]
        x = in_dtype_of(x, kernel, bias)
        y = conv2d(x, kernel.astype(x.dtype), stride=self.stride, padding=self.padding, method=self.method)
        return y if bias is None else y + bias


class DepthwiseConv(nnx.Module):
    """:func:`depthwise_conv2d` as a module, without a bias: a normalisation follows it everywhere.

    Weights are normal with variance 2 / (height x width of the kernel), as a ReLU wants them.

    Args:
      channels: of the input, and of the output.
      window: height and width of the kernels.
      stride, padding, method: as in :func:`depthwise_conv2d`.
      rngs: for the initial weights.

    Parameters: ``kernel`` [height, width, 1, channels].
    """

    def __init__(
        self,
        channels: int,
        window: tuple[int, int] = (3, 3),
        *,
        stride: int = 1,
        padding: str = "SAME",
        method: str = "auto",
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*window, 1, channels)
        self.kernel = nnx.Param(jax.nn.initializers.he_normal()(rngs.params(), shape, jnp.float32))
        self.stride, self.padding, self.method = stride, padding, method

    def __call__(self, x: Float[Array, "batch height width channels"]) -> Float[Array, "batch height2 width2 channels"]:
        """The convolved images."""
        kernel = self.kernel[...]
        x = in_dtype_of(x, kernel)
        return depthwise_conv2d(x, kernel, stride=self.stride, padding=self.padding, method=self.method)
