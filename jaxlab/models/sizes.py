"""One dial for the size of a GPT: how many parameters it is to have."""

import dataclasses
import math
import re

from jaxlab.core import hyper
from jaxlab.models.gpt import GPT
from jaxlab.models.pure import PureModel, pure

EXPANSIONS = {"gelu": 4.0, "relu2": 4.0, "swiglu": 8 / 3}
"""Hidden features over width: with these, every feed-forward layer has about 8 width^2 parameters."""


@dataclasses.dataclass(frozen=True)
class GPTShape:
    """The sizes of a :class:`~jaxlab.models.gpt.GPT`; made by :func:`shape_of`, or by hand.

    Attributes:
      vocabulary: tokens.
      width, layers, heads, kv_heads: as of the model.
      activation: of the feed-forward layers; what they expand to follows (:data:`EXPANSIONS`), in multiples of 32.
      tied: whether the head is the embedding.

    >>> GPTShape(50_304, 768, 12, 12, 12, tied=True).parameters
    123587328
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    activation: str = "relu2"
    tied: bool = False

    def __post_init__(self) -> None:
        hyper.one_of("activation", self.activation, tuple(EXPANSIONS))

    @property
    def hidden(self) -> int:
        """Features between the feed-forward layers."""
        return max(32, round(EXPANSIONS[self.activation] * self.width / 32) * 32)

    @property
    def parameters(self) -> int:
        """How many there are in all."""
        tables = self.vocabulary * self.width * (1 if self.tied else 2)
        return tables + self.layers * (self._products_of_block() + 2 * self.width) + self.width

    def _products_of_block(self) -> int:
        attention = 2 * self.width**2 * (1 + self.kv_heads / self.heads)
        return round(attention) + (3 if self.activation == "swiglu" else 2) * self.width * self.hidden

    def flops_per_token(self, context: int) -> int:
        r"""Floating point operations of one token's training step: what MFU counts as useful.

        .. math:: 6 N + 12\, L\, d\, T

        with N parameters that multiply (blocks and head, not the table of embeddings), two operations for each forward
        and four backward; and the products of queries with keys and of weights with values over the context :math:`T`
        as if none were masked. What is made again in the backward pass does not count.

        Args:
          context: tokens that a training example has.

        Reference: Chowdhery et al., PaLM, https://arxiv.org/abs/2204.02311, appendix B.

        >>> GPTShape(256, 128, 5, 4, 4).flops_per_token(256)
        8060928
        """
        products = self.layers * self._products_of_block() + self.vocabulary * self.width
        return 6 * products + 12 * self.layers * self.width * context

    def model(self, *, scan: bool = False, remat: str = "none", qk_norm: bool = True) -> PureModel:
        """The model of these sizes, with normalised queries and keys.

        Args:
          scan, remat, qk_norm: as of :class:`~jaxlab.models.gpt.GPT`.

        Raises:
          ValueError: sizes that do not fit each other.
        """
        sizes = {"width": self.width, "layers": self.layers, "heads": self.heads, "kv_heads": self.kv_heads}
        return pure(
            lambda rngs: GPT(
                self.vocabulary,
                **sizes,
                expansion=self.hidden / self.width,
                activation=self.activation,
                tied=self.tied,
                qk_norm=qk_norm,
                scan=scan,
                remat=remat,
                rngs=rngs,
            )
        )


def shape_of(size: str | float, vocabulary: int, *, activation: str = "relu2", tied: bool = False) -> GPTShape:
    r"""The sizes of a model with about so many parameters, embeddings and head included.

    Width over layers rises slowly with the size, :math:`25\, (N / 10^6)^{0.18}`: 25 at a million, 60 at 124 million,
    124 at 7 billion, near what published models of each size have. Widths are multiples of 32 below 256, of 64 below
    512, of 256 below 2048, then of 512; a head has 32 features below a width of 256, 64 below 1024, then 128. From a
    billion parameters on four heads share their keys and values, widths are at least 2048, and layers are multiples of
    8: devices that share an optimizer's work take whole matrices, and equally many, or else each does all of it
    (:func:`~jaxlab.core.placement.spread`). The price: such a model has up to a sixth less or more than was asked for;
    smaller ones are nearer, but for those of very few layers. :attr:`GPTShape.parameters` is exact.

    Args:
      size: such as ``"1M"``, ``"124M"`` or ``"7B"``, or a number of parameters.
      vocabulary: tokens.
      activation, tied: as of :class:`GPTShape`.

    Raises:
      ValueError: a text of another form, or fewer parameters than the smallest model with such a vocabulary has.

    >>> shape_of("124M", 50_304, tied=True)
    GPTShape(vocabulary=50304, width=768, layers=12, heads=12, kv_heads=12, activation='relu2', tied=True)
    >>> shape_of("7B", 32_768).layers, shape_of("7B", 32_768).width
    (40, 4096)
    """
    count = parameters_of(size)
    hyper.integer("vocabulary", vocabulary, at_least=1)
    aspect = 25 * (count / 1e6) ** 0.18

    def of_width(width: int) -> GPTShape:
        heads = width // (32 if width < 256 else 64 if width < 1024 else 128)
        kv_heads = heads // 4 if count >= 1e9 and heads % 4 == 0 else heads
        one, two = (GPTShape(vocabulary, width, n, heads, kv_heads, activation, tied) for n in (1, 2))
        block, many = two.parameters - one.parameters, 8 if count >= 1e9 else 1
        layers = max(1, round((count - (one.parameters - block)) / block / many)) * many
        return dataclasses.replace(one, layers=layers)

    def misfit(shape: GPTShape) -> float:
        return abs(math.log(shape.width / shape.layers / aspect)) + 4 * abs(math.log(shape.parameters / count))

    # Even numbers of heads, and from 2048 on multiples of four, divide well among devices.
    small = [*range(32, 256, 32), *range(256, 512, 64), *range(512, 2048, 256)]
    widths = [*(small if count < 1e9 else []), *range(2048, 32_768, 512)]
    best = min(map(of_width, widths), key=misfit)
    if not 0.75 < best.parameters / count < 1.33:
        raise ValueError(
            f"size = {size!r} with a vocabulary of {vocabulary}: accepted are sizes from about "
            f"{of_width(32).parameters / 1e6:.2g}M parameters on"
        )
    return best


def parameters_of(size: str | float) -> float:
    """How many parameters a text such as ``"124M"`` means.

    Raises:
      ValueError: a text of another form, or no positive number.

    >>> parameters_of("1.5B")
    1500000000.0
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kKmMbB]?)", size.strip()) if isinstance(size, str) else None
    count = float(found[1]) * {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}[found[2].lower()] if found else size
    if isinstance(count, str | bool) or not isinstance(count, int | float) or not 0 < count < math.inf:
        raise ValueError(f'size = {size!r}: accepted are a number of parameters and texts such as "1M", "124M", "7B"')
    return float(count)
