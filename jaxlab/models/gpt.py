"""A small decoder-only transformer: the GPT of today, without biases, with RMSNorm and rotary positions."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from jaxlab.core import hyper
from jaxlab.models.attention import CausalAttention, dense
from jaxlab.models.dropout import dropout
from jaxlab.models.linear import in_dtype_of
from jaxlab.models.norm import RMSNorm
from jaxlab.models.stochastic_depth import linear_rates, stochastic_depth
from jaxlab.sharding.constrain import constrain
from jaxlab.sharding.rules import Rules

SMALL = jax.nn.initializers.normal(0.02)


class Embed(nnx.Module):
    """A vector for each token; also the head that compares with each of them.

    Parameters: ``embedding`` [vocabulary, width], normal with deviation 0.02.
    """

    def __init__(self, vocabulary: int, width: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Param(SMALL(rngs.params(), (vocabulary, width), jnp.float32))

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length width"]:
        """The vectors of tokens."""
        return self.embedding[...][tokens]

    def logits(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length vocabulary"]:
        """How much each position resembles each token."""
        embedding = self.embedding[...]
        return in_dtype_of(x, embedding) @ embedding.T


class FeedForward(nnx.Module):
    """Two layers for each position alone, with a GELU between.

    Parameters: ``up/kernel`` [width, hidden], ``down/kernel`` [hidden, width].
    """

    def __init__(self, width: int, hidden: int, *, out_init: jax.nn.initializers.Initializer, rngs: nnx.Rngs) -> None:
        self.up = dense(width, hidden, rngs=rngs)
        self.down = dense(hidden, width, kernel_init=out_init, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
        """The features of each position."""
        return self.down(constrain(jax.nn.gelu(self.up(x)), "batch", "sequence", "hidden"))


class Block(nnx.Module):
    """Attention, then the feed-forward layers, each normalised before and added after.

    The stream has the dtype of the embedding, or that of what is added if that is wider: a layer in float32 makes it
    float32 from there on, so that large sums are kept. What reads it is normalised first, and has its layer's dtype.

    Args:
      width, heads, hidden: as in :class:`GPT`, ``hidden`` features in the feed-forward layers.
      dropout: probability of dropping a feature of what is added.
      stochastic_depth: probability of adding nothing, for each example and each of the two.
      out_init: initializer of the two matrices that add to the residual stream.
      rngs: for the initial weights.

    Parameters: ``attention_norm``, ``attention``, ``mlp_norm``, ``mlp``.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        dropout: float,
        stochastic_depth: float,
        out_init: jax.nn.initializers.Initializer,
        rngs: nnx.Rngs,
    ) -> None:
        self.attention_norm = RMSNorm(width)
        self.attention = CausalAttention(width, heads, out_init=out_init, rngs=rngs)
        self.mlp_norm = RMSNorm(width)
        self.mlp = FeedForward(width, hidden, out_init=out_init, rngs=rngs)
        self.dropout, self.stochastic_depth = dropout, stochastic_depth

    def __call__(
        self, x: Float[Array, "batch length width"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch length width"]:
        """The residual stream after the block."""
        first, second = (None, None) if key is None else jax.random.split(key)
        x = x + self._noisy(self.attention(self.attention_norm(x)), first)
        return x + self._noisy(self.mlp(self.mlp_norm(x)), second)

    def _noisy(self, residual: Array, key: Key[Array, ""] | None) -> Array:
        features, branch = (None, None) if key is None else jax.random.split(key)
        return stochastic_depth(dropout(residual, self.dropout, features), self.stochastic_depth, branch)


class GPT(nnx.Module):
    r"""Logits of the next token at every position, from that token and those before it.

    .. math::
        x = E_{\text{tokens}}, \quad x \leftarrow x + \operatorname{attention}(\operatorname{norm}(x)), \quad
        x \leftarrow x + \operatorname{mlp}(\operatorname{norm}(x)), \quad z = \operatorname{norm}(x)\, W

    with the middle two in every block. Matrices are normal with variance 1 / fan-in; those that add to the
    residual stream with :math:`1 / (2 L)` of that, so that the stream does not grow with the depth
    :math:`L`; the embedding and the head with deviation 0.02, so that all tokens are about equally likely at first.

    Args:
      vocabulary: how many tokens there are.
      width: features of the residual stream.
      layers: blocks.
      heads: of attention, a divisor of ``width``; each has an even number of features.
      expansion: features between the feed-forward layers, over ``width``.
      tied: whether the head is the embedding, transposed.
      dropout: probability of dropping a feature of the embedding and of what a block adds, when the call is
        given a key.
      stochastic_depth: probability of leaving a branch of the last block out; rises linearly from the first.
      rngs: for the initial weights.

    Raises:
      ValueError: a size below 1, heads that do not fit the width, a rate outside [0, 1).

    Parameters: ``embed/embedding`` [vocabulary, width], ``blocks_0/attention_norm/scale``,
    ``blocks_0/attention/{query,key,value,out}/kernel``, ``blocks_0/mlp_norm/scale``,
    ``blocks_0/mlp/{up,down}/kernel``, and so on, ``norm/scale`` and, not tied, ``head/kernel`` [width, vocabulary].

    References: https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf,
    section 2.3 (GPT-2); :class:`~jaxlab.models.norm.RMSNorm`, :func:`~jaxlab.models.attention.rotate`.

    >>> import jax.numpy as jnp
    >>> from jaxlab.models import pure
    >>> model = pure(lambda rngs: GPT(256, width=16, layers=2, heads=2, rngs=rngs))
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> model.apply(params, jnp.zeros((3, 8), jnp.uint8)).shape
    (3, 8, 256)
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int,
        layers: int,
        heads: int,
        expansion: int = 4,
        tied: bool = False,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = {"vocabulary": vocabulary, "width": width, "layers": layers, "expansion": expansion}
        for name, size in sizes.items():
            hyper.integer(name, size, at_least=1)
        hyper.number("dropout", dropout, "[0, 1)")
        out_init = jax.nn.initializers.variance_scaling(1 / (2 * layers), "fan_in", "normal")
        self.embed = Embed(vocabulary, width, rngs=rngs)
        for i, rate in enumerate(linear_rates(stochastic_depth, layers)):
            block = Block(
                width, heads, expansion * width, dropout=dropout, stochastic_depth=rate, out_init=out_init, rngs=rngs
            )
            setattr(self, f"blocks_{i}", block)
        self.norm = RMSNorm(width)
        self.head = None if tied else dense(width, vocabulary, kernel_init=SMALL, rngs=rngs)
        self.layers, self.dropout = layers, dropout

    def __call__(
        self, tokens: Int[Array, "batch length"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch length vocabulary"]:
        """The logits; with a key, features and branches are dropped."""
        keys = [None] * (self.layers + 1) if key is None else jax.random.split(key, self.layers + 1)
        x = dropout(constrain(self.embed(tokens), "batch", "sequence"), self.dropout, keys[self.layers])
        for i in range(self.layers):
            x = constrain(getattr(self, f"blocks_{i}")(x, keys[i]), "batch", "sequence")
        x = self.norm(x)
        logits = self.embed.logits(x) if self.head is None else self.head(x)
        return constrain(logits, "batch", "sequence", "vocabulary")

    def tensor_rules(self) -> Rules:
        """What enters a branch is cut by columns (heads, hidden features), what leaves it by rows, words by vocabulary.

        Each branch of a block sends one sum. The axis ``tensor`` divides heads, hidden features and vocabulary.
        See :meth:`~jaxlab.models.pure.PureModel.tensor_rules`.
        """
        rules = (
            ("attention/(query|key|value)/kernel$", (None, "tensor")),
            ("attention/out/kernel$", ("tensor", None)),
            ("mlp/up/kernel$", (None, "tensor")),
            ("mlp/down/kernel$", ("tensor", None)),
            ("embed/embedding$", ("tensor", None)),
        )
        return rules if self.head is None else (*rules, ("head/kernel$", (None, "tensor")))
