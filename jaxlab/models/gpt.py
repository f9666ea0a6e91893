"""A decoder-only transformer: the GPT of today, without biases, with RMSNorm and rotary positions."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxlab.core import hyper
from jaxlab.models.attention import CausalAttention, Past, dense
from jaxlab.models.dropout import dropout
from jaxlab.models.embed import SMALL, Embed
from jaxlab.models.feed_forward import FeedForward
from jaxlab.models.linear import in_dtype_of
from jaxlab.models.norm import RMSNorm
from jaxlab.models.remat import REMATS, rematerialized
from jaxlab.models.stochastic_depth import linear_rates, stochastic_depth
from jaxlab.sharding.again import gathered_again
from jaxlab.sharding.constrain import constrain, hold_whole, mesh_over
from jaxlab.sharding.rules import Rules

SCANNED = "^blocks/"
"""The names of parameters that are stacked over layers, for a layout (``Layout(..., scanned=SCANNED)``)."""

STACKED = ((r"^blocks/.*kernel$", "brc"),)
"""What they are to optimizers of matrices: a matrix for each layer (``muon(..., layouts=STACKED)``)."""


class Block(nnx.Module):
    """Attention, then the feed-forward layers, each normalised before and added after.

    The stream has the dtype of the embedding, or that of what is added if that is wider: a layer in float32 makes it
    float32 from there on (in a loop over layers: from the start), so that large sums are kept. What reads it is
    normalised first, and has its layer's dtype.

    Args:
      attention, mlp: make the two branches of their random number generators.
      width: of the stream.
      dropout: probability of dropping a feature of what is added.
      rngs: for the initial weights.

    Parameters: ``attention_norm``, ``attention``, ``mlp_norm``, ``mlp``.
    """

    def __init__(
        self,
        attention: Callable[..., CausalAttention],
        mlp: Callable[..., FeedForward],
        width: int,
        *,
        dropout: float,
        rngs: nnx.Rngs,
    ) -> None:
        self.attention_norm = RMSNorm(width)
        self.attention = attention(rngs=rngs)
        self.mlp_norm = RMSNorm(width)
        self.mlp = mlp(rngs=rngs)
        self.dropout = dropout

    def __call__(
        self,
        x: Float[Array, "batch length width"],
        key: Key[Array, ""] | None = None,
        stochastic_depth: hyper.Scalar = 0.0,
    ) -> Float[Array, "batch length width"]:
        """The residual stream after the block; of each example a branch is left out with that probability."""
        first, second = (None, None) if key is None else jax.random.split(key)
        x = x + self._noisy(self.attention(self.attention_norm(x)), stochastic_depth, first)
        x = x + self._noisy(self.mlp(self.mlp_norm(x)), stochastic_depth, second)
        return constrain(x, "batch", "sequence")

    def following(
        self, x: Float[Array, "batch length width"], past: Past, position: Int[Array, ""], window: int | None = None
    ) -> tuple[Float[Array, "batch length width"], Past]:
        """The stream at positions that follow a past (:meth:`CausalAttention.following`), and the past with them."""
        gathered, past = self.attention.following(self.attention_norm(x), past, position, window)
        x = x + gathered
        return x + self.mlp(self.mlp_norm(x)), past

    def _noisy(self, residual: Array, rate: hyper.Scalar, key: Key[Array, ""] | None) -> Array:
        features, branch = (None, None) if key is None else jax.random.split(key)
        return stochastic_depth(dropout(residual, self.dropout, features), rate, branch)


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
      kv_heads, qk_norm: of :class:`~jaxlab.models.attention.CausalAttention`.
      expansion: features between the feed-forward layers, over ``width``; rounded to a whole number of features.
      activation: between the feed-forward layers, see :class:`~jaxlab.models.feed_forward.FeedForward`.
      tied: whether the head is the embedding, transposed.
      dropout: probability of dropping a feature of the embedding and of what a block adds, when the call is
        given a key.
      stochastic_depth: probability of leaving a branch of the last block out; rises linearly from the first.
      scan: run the blocks as one loop over parameters that are stacked over layers: a program that is compiled as fast
        for a hundred layers as for one. On a CPU a loop is somewhat slower.
      remat: what of a block the backward pass makes again (:data:`~jaxlab.models.remat.REMATS`).
      rngs: for the initial weights.

    Raises:
      ValueError: a size below 1, heads that do not fit the width, a rate outside [0, 1), an unknown word.

    Parameters: ``embed/embedding`` [vocabulary, width], ``blocks_0/attention_norm/scale``,
    ``blocks_0/attention/{query,key,value,out}/kernel``, ``blocks_0/mlp_norm/scale``,
    ``blocks_0/mlp/{up,down}/kernel``, and so on, ``norm/scale`` and, not tied, ``head/kernel`` [width, vocabulary].
    With ``scan`` all layers' are ``blocks/...``, on a leading axis.

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
        kv_heads: int | None = None,
        qk_norm: bool = False,
        expansion: float = 4,
        activation: str = "gelu",
        tied: bool = False,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        scan: bool = False,
        remat: str = "none",
        rngs: nnx.Rngs,
    ) -> None:
        for name, size in {"vocabulary": vocabulary, "width": width, "layers": layers}.items():
            hyper.integer(name, size, at_least=1)
        hyper.number("expansion", expansion, "(0, inf)")
        hidden = hyper.integer("expansion * width", round(expansion * width), at_least=1)
        hyper.number("dropout", dropout, "[0, 1)")
        hyper.flag("scan", scan)
        self.remat = hyper.one_of("remat", remat, REMATS)
        self.rates = linear_rates(stochastic_depth, layers)
        self.layers, self.scan, self.dropout = layers, scan, dropout
        out_init = jax.nn.initializers.variance_scaling(1 / (2 * layers), "fan_in", "normal")
        attention = functools.partial(
            CausalAttention, width, heads, kv_heads=kv_heads, qk_norm=qk_norm, out_init=out_init
        )
        mlp = functools.partial(FeedForward, width, hidden, activation=activation, out_init=out_init)
        block = functools.partial(Block, attention, mlp, width, dropout=dropout)
        self.embed = Embed(vocabulary, width, rngs=rngs)
        if scan:
            of_keys = nnx.split_rngs(splits=layers)(nnx.vmap(lambda rngs: block(rngs=rngs)))
            self.blocks = of_keys(rngs)
        else:
            for i in range(layers):
                setattr(self, f"blocks_{i}", block(rngs=rngs))
        self.norm = RMSNorm(width)
        self.head = None if tied else dense(width, vocabulary, kernel_init=SMALL, rngs=rngs)

    def __call__(
        self, tokens: Int[Array, "batch length"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch length vocabulary"]:
        """The logits; with a key, features and branches are dropped."""
        return self.logits(self.features(tokens, key))

    def features(
        self, tokens: Int[Array, "batch length"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch length width"]:
        """What the head reads, for losses that make the logits of a chunk of tokens at a time."""
        return self.norm(self._through_blocks(tokens, key, lambda x: None)[0])

    def activations(self, tokens: Int[Array, "batch length"]) -> dict[str, Float[Array, " layers"]]:
        """Of the stream after each block: the root mean square, and the largest magnitude."""

        def of(x: Array) -> dict[str, Array]:
            full = x.astype(hyper.arithmetic_dtype())
            return {"rms": jnp.sqrt(jnp.mean(jnp.square(full))), "largest": jnp.max(jnp.abs(full))}

        return self._through_blocks(tokens, None, of)[1]

    @property
    def head_kernel(self) -> Float[Array, "width vocabulary"]:
        """The matrix that makes logits of features."""
        return self.embed.embedding[...].T if self.head is None else self.head.kernel[...]

    def logits(self, features: Float[Array, "batch length width"]) -> Float[Array, "batch length vocabulary"]:
        """How likely each token is to be the next, up to a constant, in logarithms."""
        kernel = self.head_kernel
        return constrain(in_dtype_of(features, kernel) @ kernel, "batch", "sequence", "vocabulary")

    def nothing_past(self, batch: int, longest: int) -> Past:
        """Room for the keys and values of so many positions, stacked over layers."""
        attention = (self.blocks if self.scan else getattr(self, "blocks_0")).attention  # noqa: B009
        kernel, heads = attention.key.kernel[...], attention.kv_heads
        room = jnp.zeros((self.layers, batch, longest, heads, kernel.shape[-1] // heads), kernel.dtype)
        return Past(room, room)

    def following(
        self, tokens: Int[Array, "batch length"], past: Past, position: Int[Array, ""], window: int | None = None
    ) -> tuple[Float[Array, "batch length vocabulary"], Past]:
        """The logits at positions that follow a past, without going through it again, and the past with them.

        Args:
          tokens: those from ``position`` on.
          past: from :meth:`nothing_past` or this method.
          position: of the first of the tokens; traced or not.
          window: how many positions a layer's attention sees at most; by default all up to each token.
        """
        x = self._embedded(tokens)
        if self.scan:
            graphdef, weights = nnx.split(self.blocks, nnx.Param)
            x, past = jax.lax.scan(
                lambda x, layer: nnx.merge(graphdef, layer[0]).following(x, layer[1], position, window),
                x,
                (weights, past),
            )
        else:
            after = []
            for i in range(self.layers):
                own = jax.tree.map(lambda leaf, i=i: leaf[i], past)
                x, own = getattr(self, f"blocks_{i}").following(x, own, position, window)
                after.append(own)
            past = jax.tree.map(lambda *leaves: jnp.stack(leaves), *after)
        return self.logits(self.norm(x)), past

    def tensor_rules(self) -> Rules:
        """What enters a branch is cut by columns (heads, hidden features), what leaves it by rows, words by vocabulary.

        Each branch of a block sends one sum. The axis ``tensor`` divides heads, hidden features and vocabulary.
        See :meth:`~jaxlab.models.pure.PureModel.tensor_rules`.
        """
        stacked = (None,) if self.scan else ()
        block = tuple((pattern, (*stacked, *entries)) for pattern, entries in BLOCK_RULES)
        rules = (*block, ("embed/embedding$", ("tensor", None)))
        return rules if self.head is None else (*rules, ("head/kernel$", (None, "tensor")))

    def _embedded(self, tokens: Array) -> Float[Array, "batch length width"]:
        """The stream before the first block."""
        x = self.embed(tokens)
        if self.scan:
            # In a loop it has one dtype from the start: the widest that a block adds.
            x = in_dtype_of(x, x, self.blocks.attention.out.kernel[...], self.blocks.mlp.down.kernel[...])
        return x

    def _through_blocks(
        self, tokens: Array, key: Key[Array, ""] | None, seen: Callable[[Array], PyTree[Array]]
    ) -> tuple[Float[Array, "batch length width"], PyTree[Array]]:
        """The stream after all blocks, and what was to be seen of it after each."""
        keys = [None] * (self.layers + 1) if key is None else jax.random.split(key, self.layers + 1)
        x = dropout(constrain(self._embedded(tokens), "batch", "sequence"), self.dropout, keys[self.layers])
        if self.scan:
            graphdef, weights = nnx.split(self.blocks, nnx.Param)

            def layer(x: Array, own: tuple[Any, Array | None, Array | None]) -> tuple[Array, PyTree[Array]]:
                weights, key, rate = own
                x = nnx.merge(graphdef, hold_whole(weights, BLOCK_RULES))(x, key, 0.0 if rate is None else rate)
                return x, seen(x)

            # A rate that is known to be zero costs no random bits.
            rates = jnp.asarray(self.rates) if self.rates[-1] else None
            per_layer = (weights, None if key is None else keys[:-1], rates)
            run = rematerialized(layer, self.remat)
            if self.remat == "none" and mesh_over(x) is not None:
                run = gathered_again(layer)
            return jax.lax.scan(run, x, per_layer)

        summaries = []
        for i, rate in enumerate(self.rates):
            graphdef, weights = nnx.split(getattr(self, f"blocks_{i}"), nnx.Param)
            run = rematerialized(lambda w, x, key, g=graphdef, r=rate: nnx.merge(g, w)(x, key, r), self.remat)
            x = run(weights, x, keys[i])
            summaries.append(seen(x))
        return x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *summaries)


BLOCK_RULES: Rules = (
    ("attention/(query|key|value)/kernel$", (None, "tensor")),
    ("attention/out/kernel$", ("tensor", None)),
    ("mlp/(up|gate)/kernel$", (None, "tensor")),
    ("mlp/down/kernel$", ("tensor", None)),
)
"""Where tensor parallelism cuts one block."""
