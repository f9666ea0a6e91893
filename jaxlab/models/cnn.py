"""A small convolutional network for small images."""

from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.models.conv import Conv
from jaxlab.models.dropout import dropout
from jaxlab.models.mlp import MLP
from jaxlab.sharding.rules import Rules


class CNN(nnx.Module):
    """Blocks of 3 x 3 convolution, ReLU and 2 x 2 max pooling; then a perceptron with one hidden layer.

    Every block halves height and width (rounded down).

    Args:
      image: height, width and channels of the input.
      channels: output channels of each block.
      hidden: features of the hidden layer.
      classes: logits.
      dropout: probability of dropping a pooled or a hidden feature, when the call is given a key.
      method: how convolutions are computed, see :func:`~jaxlab.models.conv.conv2d`.
      rngs: for the initial weights.

    Raises:
      ValueError: more blocks than the image can be halved, a size below 1, a rate outside [0, 1).

    Parameters: ``conv_0/kernel``, ``conv_0/bias``, and so on, ``head/dense_0/...``, ``head/dense_1/...``.

    >>> import jax.numpy as jnp
    >>> from jaxlab.models import pure
    >>> model = pure(lambda rngs: CNN((8, 8, 1), channels=(4, 8), hidden=16, classes=10, rngs=rngs))
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> model.apply(params, jnp.ones((2, 8, 8, 1))).shape
    (2, 10)
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        *,
        channels: Sequence[int],
        hidden: int,
        classes: int,
        dropout: float = 0.0,
        method: str = "auto",
        rngs: nnx.Rngs,
    ) -> None:
        height, width, inputs = image
        self.blocks = len(channels)
        self.dropout = dropout
        for i, outputs in enumerate(channels):
            hyper.integer("channels", outputs, at_least=1)
            setattr(self, f"conv_{i}", Conv(inputs, outputs, method=method, rngs=rngs))
            height, width, inputs = height // 2, width // 2, outputs
        if not height * width:
            raise ValueError(
                f"channels = {tuple(channels)}: accepted are fewer blocks: each halves the {image[:2]} image"
            )
        self.head = MLP((height * width * inputs, hidden, classes), dropout=dropout, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch height width channels"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch classes"]:
        """The logits; with a key, features are dropped."""
        for i in range(self.blocks):
            x = max_pool(jax.nn.relu(getattr(self, f"conv_{i}")(x)))
        pooled, hidden = (None, None) if key is None else jax.random.split(key)
        x = dropout(x.reshape(x.shape[0], -1), self.dropout, pooled)
        return self.head(x, hidden)

    def tensor_rules(self) -> Rules:
        """Convolutions in pairs, the first cut by output channels, the second by input channels; likewise the head.

        An odd last convolution is whole. See :meth:`~jaxlab.models.pure.PureModel.tensor_rules`.
        """
        rules: list[tuple[str, tuple[str | None, ...]]] = []
        for i in range(0, self.blocks - 1, 2):
            rules += [
                (f"conv_{i}/kernel$", (None, None, None, "tensor")),
                (f"conv_{i}/bias$", ("tensor",)),
                (f"conv_{i + 1}/kernel$", (None, None, "tensor", None)),
            ]
        return (*rules, *self.head.tensor_rules())


def max_pool(x: Float[Array, "batch height width channels"]) -> Float[Array, "batch height2 width2 channels"]:
    """The largest of each 2 x 2 square; an odd last row or column is left out.

    By reshape and maximum: the gradient of XLA's windowed reduction is slow on a CPU.

    >>> import jax.numpy as jnp
    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    batch, height, width, channels = x.shape
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(batch, height, 2, width, 2, channels).max((2, 4))
