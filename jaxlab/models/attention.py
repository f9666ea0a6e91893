"""Causal self-attention (Vaswani et al., 2017) with rotary positions (Su et al., 2021)."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.models.linear import Linear
from jaxlab.sharding.constrain import constrain

dense = functools.partial(Linear, use_bias=False, kernel_init=jax.nn.initializers.lecun_normal())
"""A matrix, normal with variance 1 / fan-in at the start."""


def rotate(
    x: Float[Array, "batch length heads size"], base: float = 10_000.0
) -> Float[Array, "batch length heads size"]:
    r"""Rotary position embedding: pairs of features turned by angles that grow with the position.

    Feature :math:`i` of the first half and its partner in the second half are turned by
    :math:`t\, b^{-2i/d}` at position :math:`t`. The product of a turned query and a turned key depends on their
    contents and on the difference of their positions alone.

    The paper pairs neighbours, (0, 1), (2, 3), ...; halves, as in GPT-NeoX and LLaMA's published weights, are the
    same up to a fixed permutation of the features, and are cheaper.

    Args:
      x: queries or keys; ``size`` is even.
      base: :math:`b`; larger for longer contexts.

    Raises:
      ValueError: an odd size.

    Reference: https://arxiv.org/abs/2104.09864, equations 14 and 15.

    >>> still, turned = rotate(jnp.ones((1, 2, 1, 2)))[0, :, 0]  # not at all, then by one radian
    >>> still.tolist(), [round(x, 4) for x in turned.tolist()]
    ([1.0, 1.0], [-0.3012, 1.3818])
    """
    length, size = x.shape[1], x.shape[3]
    if size % 2:
        raise ValueError(f"size of a head = {size}: accepted is an even number")
    dtype = hyper.arithmetic_dtype()  # Of the angles: in bfloat16 positions beyond 256 would fall together.
    speeds = base ** (-jnp.arange(0, size, 2, dtype=dtype) / size)
    angles = jnp.arange(length, dtype=dtype)[:, None, None] * speeds
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(dtype), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1).astype(x.dtype)


def attended(
    query: Float[Array, "batch length heads size"],
    key: Float[Array, "batch length heads size"],
    value: Float[Array, "batch length heads size"],
) -> Float[Array, "batch length heads size"]:
    """What every position gathers: values of those up to it, by the softmax of its query with their keys.

    By ``jax.nn.dot_product_attention``, but for float64 and float16: its softmax is float32 whatever comes in, and
    float16 on a CPU is beyond its older versions.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])[None, :, None]
    >>> attended(0 * x, x, x)[0, :, 0].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    dtype = jnp.result_type(query, key, value)  # Where a policy makes an exception of one of the three.
    query, key, value = (x.astype(dtype) for x in (query, key, value))
    if dtype not in (jnp.float64, jnp.float16):
        return jax.nn.dot_product_attention(query, key, value, is_causal=True)
    full = jnp.promote_types(dtype, jnp.float32)
    scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=full) / query.shape[3] ** 0.5
    earlier = jnp.tril(jnp.ones(scores.shape[2:], bool))
    weights = jax.nn.softmax(jnp.where(earlier, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhts,bshd->bthd", weights.astype(dtype), value)


class CausalAttention(nnx.Module):
    r"""Every position gathers from itself and those before it.

    .. math::
        y_t = W_o \sum_{s \le t} p_{ts} W_v x_s, \qquad
        p_t = \operatorname{softmax}\left(\rho(W_q x_t) \cdot \rho(W_k x_s) / \sqrt d\right)_{s \le t}

    for each head, with :math:`\rho` of :func:`rotate`; no biases. The softmax is float32, or float64 for float64.

    Args:
      width: features of the input and of the output.
      heads: a divisor of ``width``; each has ``width / heads`` features, an even number.
      out_init: initializer of ``out``, which adds to the residual stream.
      rngs: for the initial weights.

    Raises:
      ValueError: a width that the heads do not divide, or an odd size of a head.

    Parameters: ``query/kernel``, ``key/kernel``, ``value/kernel``, ``out/kernel``, all [width, width].
    """

    def __init__(self, width: int, heads: int, *, out_init: jax.nn.initializers.Initializer, rngs: nnx.Rngs) -> None:
        hyper.integer("heads", heads, at_least=1)
        if width % heads or (width // heads) % 2:
            raise ValueError(f"heads = {heads}: accepted divide width = {width} into even sizes")
        self.heads = heads
        self.query, self.key, self.value = (dense(width, width, rngs=rngs) for _ in range(3))
        self.out = dense(width, width, kernel_init=out_init, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
        """The gathered features."""
        batch, length, width = x.shape

        def by_head(layer: Linear, sequence: str | None) -> Float[Array, "batch length heads size"]:
            split = layer(x).reshape(batch, length, self.heads, width // self.heads)
            return constrain(split, "batch", sequence, "heads")

        # Where the sequence is cut, every device needs the keys and values of all of it, for its own queries.
        query, key, value = by_head(self.query, "sequence"), by_head(self.key, None), by_head(self.value, None)
        gathered = attended(rotate(query), rotate(key), value)
        return self.out(gathered.reshape(batch, length, width))
