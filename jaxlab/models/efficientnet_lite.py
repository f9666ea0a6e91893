"""EfficientNet-Lite: EfficientNet (Tan and Le, 2019) without squeeze-and-excitation, with ReLU6 and a fixed stem."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.models.batch_norm import BatchNorm
from jaxlab.models.conv import Conv, DepthwiseConv
from jaxlab.models.dropout import dropout as dropped
from jaxlab.models.linear import Linear
from jaxlab.models.stochastic_depth import linear_rates, stochastic_depth

STEM, FEATURES = 32, 1280


@dataclasses.dataclass(frozen=True)
class Variant:
    """A member of the family.

    Attributes:
      width, depth: factors of the channels and of the repetitions of the stages.
      size: height and width of the images that it was made for; others are as good.
      dropout: of the pooled features.
    """

    width: float
    depth: float
    size: int
    dropout: float


VARIANTS = {
    "lite0": Variant(1.0, 1.0, 224, 0.2),
    "lite1": Variant(1.0, 1.1, 240, 0.2),
    "lite2": Variant(1.1, 1.2, 260, 0.3),
    "lite3": Variant(1.2, 1.4, 280, 0.3),
    "lite4": Variant(1.4, 1.8, 300, 0.3),
}

STAGES = (
    # repetitions, window, stride of the first, expansion, output channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class ConvNorm(nnx.Module):
    """A convolution, its normalisation, and ReLU6 where asked for.

    Parameters: ``conv/kernel``, ``norm/...`` as in :class:`~jaxlab.models.BatchNorm`.
    """

    def __init__(self, conv: Conv | DepthwiseConv, channels: int, *, relu: bool = True) -> None:
        self.conv, self.norm, self.relu = conv, BatchNorm(channels), relu

    def __call__(self, x: Float[Array, "batch height width in"]) -> Float[Array, "batch height2 width2 out"]:
        """The features."""
        y = self.norm(self.conv(x))
        return jax.nn.relu6(y) if self.relu else y


class Block(nnx.Module):
    """An inverted residual: more channels by a 1 x 1 convolution, a depthwise one, and back to few, without a ReLU.

    The input is added where it has the shape of the output.

    Parameters: ``expand/...`` (where there is an expansion), ``depthwise/...`` and ``project/...``.

    Reference: Sandler et al., https://arxiv.org/abs/1801.04381, section 3.
    """

    def __init__(
        self, inputs: int, outputs: int, *, window: int, stride: int, expansion: int, method: str, rngs: nnx.Rngs
    ) -> None:
        inner = inputs * expansion
        pointwise = lambda a, b: Conv(a, b, (1, 1), use_bias=False, rngs=rngs)  # noqa: E731
        self.expand = ConvNorm(pointwise(inputs, inner), inner) if expansion > 1 else None
        square = (window, window)
        self.depthwise = ConvNorm(DepthwiseConv(inner, square, stride=stride, method=method, rngs=rngs), inner)
        self.project = ConvNorm(pointwise(inner, outputs), outputs, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def __call__(
        self, x: Float[Array, "batch height width in"], rate: float = 0.0, key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch height2 width2 out"]:
        """The features; with a key, those of an example are dropped with probability ``rate``."""
        y = self.project(self.depthwise(x if self.expand is None else self.expand(x)))
        return x + stochastic_depth(y, rate, key) if self.residual else y


class EfficientNetLite(nnx.Module):
    """Logits of images, and the features that they are of.

    A stem, 16 blocks in seven stages (more in the larger variants), a head of 1280 channels, their mean over the
    image, and a dense layer. Images may have any size: padding is TensorFlow's ``SAME``, for the size that comes in.
    (The PyTorch package whose weights :func:`~jaxlab.transfer.efficientnet_lite0_weights` reads pads for the size that
    it is made for, 224 if not told; both are the same at that size and, with 224, at all multiples of 32.)

    Args:
      variant: ``"lite0"`` to ``"lite4"``: 4.7, 5.4, 6.1, 8.2 and 13.0 million parameters.
      classes: logits; None for a model without the dense layer, which gives the features.
      channels: of the images.
      dropout: probability of dropping a pooled feature, when the call is given a key; None for the variant's.
      stochastic_depth: probability of dropping the last block, likewise; earlier ones are dropped less.
      method: of the depthwise convolutions, see :func:`~jaxlab.models.depthwise_conv2d`.
      rngs: for the initial weights.

    Raises:
      ValueError: an unknown variant, a size below 1, a rate outside [0, 1).

    Parameters: ``stem/...``, ``block_0/...``, and so on, ``head/...`` (all :class:`ConvNorm` or :class:`Block`);
    ``classifier/kernel`` and ``classifier/bias``.

    References: Tan and Le, https://arxiv.org/abs/1905.11946, section 4 (the family); Liu,
    https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html (Lite).

    >>> from jaxlab.models import pure
    >>> model = pure(lambda rngs: EfficientNetLite("lite0", classes=10, rngs=rngs))
    >>> params = jax.eval_shape(model.init, jax.random.key(0))
    >>> sum(leaf.size for leaf in jax.tree.leaves(params["block_1"]))
    5568
    >>> jax.eval_shape(model.apply, params, jnp.ones((2, 37, 45, 3))).shape
    (2, 10)
    """

    def __init__(
        self,
        variant: str = "lite0",
        *,
        classes: int | None = 1000,
        channels: int = 3,
        dropout: float | None = None,
        stochastic_depth: float = 0.2,
        method: str = "auto",
        rngs: nnx.Rngs,
    ) -> None:
        form = VARIANTS[hyper.one_of("variant", variant, VARIANTS)]
        hyper.integer("channels", channels, at_least=1)
        self.dropout = form.dropout if dropout is None else dropout
        hyper.number("dropout", self.dropout, "[0, 1)")
        self.stem = ConvNorm(Conv(channels, STEM, stride=2, use_bias=False, rngs=rngs), STEM)
        inputs, self.blocks = STEM, 0
        for stage, (repetitions, window, stride, expansion, outputs) in enumerate(STAGES):
            outputs = rounded(outputs * form.width)  # noqa: PLW2901
            if 0 < stage < len(STAGES) - 1:
                repetitions = math.ceil(repetitions * form.depth)  # noqa: PLW2901
            for i in range(repetitions):
                step = 1 if i else stride
                block = Block(
                    inputs, outputs, window=window, stride=step, expansion=expansion, method=method, rngs=rngs
                )
                setattr(self, f"block_{self.blocks}", block)
                inputs, self.blocks = outputs, self.blocks + 1
        self.rates = linear_rates(stochastic_depth, self.blocks)
        self.head = ConvNorm(Conv(inputs, FEATURES, (1, 1), use_bias=False, rngs=rngs), FEATURES)
        if classes is not None:
            hyper.integer("classes", classes, at_least=1)
        self.classifier = None if classes is None else Linear(FEATURES, classes, rngs=rngs)

    def features(
        self, x: Float[Array, "batch height width channels"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch 1280"]:
        """The mean of the head's channels over each image; with a key, blocks are dropped."""
        x = self.stem(x)
        for i in range(self.blocks):
            x = getattr(self, f"block_{i}")(x, self.rates[i], None if key is None else jax.random.fold_in(key, i))
        return jnp.mean(self.head(x), axis=(1, 2))

    def __call__(
        self, x: Float[Array, "batch height width channels"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch classes"]:
        """The logits of standardised images, see :func:`~jaxlab.models.standardised`; with a key, some is dropped."""
        blocks, pooled = (None, None) if key is None else jax.random.split(key)
        features = dropped(self.features(x, blocks), self.dropout, pooled)
        return features if self.classifier is None else self.classifier(features)


def rounded(channels: float, divisor: int = 8) -> int:
    """Channels of a wider model: the nearest multiple of 8 that takes away no more than a tenth.

    >>> [rounded(width * 1.1) for width in (16, 24, 40, 80)]
    [16, 24, 48, 88]
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor
