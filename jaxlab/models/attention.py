"""Causal self-attention (Vaswani et al., 2017) with rotary positions (Su et al., 2021)."""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jaxlab.core import hyper
from jaxlab.models.linear import Linear
from jaxlab.models.norm import rms_norm
from jaxlab.sharding.constrain import constrain

dense = functools.partial(Linear, use_bias=False, kernel_init=jax.nn.initializers.lecun_normal())
"""A matrix, normal with variance 1 / fan-in at the start."""


def rotate(
    x: Float[Array, "batch length heads size"], base: float = 10_000.0, position: Int[Array, ""] | int = 0
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
      position: that of the first along ``length``.

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
    angles = (position + jnp.arange(length)).astype(dtype)[:, None, None] * speeds
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(dtype), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1).astype(x.dtype)


def attended(
    query: Float[Array, "batch length heads size"],
    key: Float[Array, "batch past kv_heads size"],
    value: Float[Array, "batch past kv_heads size"],
    mask: Bool[Array, "length past"] | None = None,
) -> Float[Array, "batch length heads size"]:
    """What every position gathers: values of those up to it, by the softmax of its query with their keys.

    By ``jax.nn.dot_product_attention``: in bfloat16 and float16 its fused kernel, which never holds a matrix of all
    scores, on NVIDIA's GPUs from compute capability 8.0 on, where no mesh cuts the sequence. Written out for float64,
    and for float16 elsewhere: its softmax is float32 whatever comes in, and float16 on a CPU is beyond its older
    versions. The fused kernel has no second derivatives: Hessian products, Sophia's, want float32 there.

    Args:
      query: of any floating dtype.
      key, value: for ``kv_heads``, a divisor of ``heads``: each serves as many neighbouring heads of the query.
      mask: which of the past each position sees; by default itself and what is before it.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])[None, :, None]
    >>> attended(0 * x, x, x)[0, :, 0].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    dtype = jnp.result_type(query, key, value)  # Where a policy makes an exception of one of the three.
    query, key, value = (x.astype(dtype) for x in (query, key, value))
    on_gpu, half = jax.default_backend() == "gpu", dtype in (jnp.bfloat16, jnp.float16)
    if dtype != jnp.float64 and (dtype != jnp.float16 or on_gpu):
        fused = on_gpu and half and mask is None and _has_fused_kernel(query.shape[3])
        return jax.nn.dot_product_attention(
            query,
            key,
            value,
            mask=None if mask is None else mask[None, None],
            is_causal=mask is None,
            implementation="cudnn" if fused else None,
        )
    key, value = (jnp.repeat(x, query.shape[2] // x.shape[2], axis=2) for x in (key, value))
    full = jnp.promote_types(dtype, jnp.float32)
    scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=full) / query.shape[3] ** 0.5
    seen = jnp.tril(jnp.ones(scores.shape[2:], bool)) if mask is None else mask
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhts,bshd->bthd", weights.astype(dtype), value)


def _has_fused_kernel(size: int) -> bool:
    """Whether cuDNN has one for this GPU and heads of this size, on the mesh that is set."""
    capability = re.fullmatch(r"(\d+)\.\d+", str(getattr(jax.devices()[0], "compute_capability", "")))  # AMD: gfx90a
    cut = dict(jax.sharding.get_abstract_mesh().shape).get("sequence", 1) > 1
    return capability is not None and int(capability[1]) >= 8 and not cut and size % 8 == 0 and size <= 128


class Past(NamedTuple):
    """The keys and values of the positions so far, of one attention or stacked over layers.

    Attributes:
      key, value: [batch, longest, kv_heads, size]; what is beyond the positions so far counts for nothing.
    """

    key: Float[Array, "*layers batch longest kv_heads size"]
    value: Float[Array, "*layers batch longest kv_heads size"]


class CausalAttention(nnx.Module):
    r"""Every position gathers from itself and those before it.

    .. math::
        y_t = W_o \sum_{s \le t} p_{ts} W_v x_s, \qquad
        p_t = \operatorname{softmax}\left(\rho(W_q x_t) \cdot \rho(W_k x_s) / \sqrt d\right)_{s \le t}

    for each head, with :math:`\rho` of :func:`rotate`; no biases. The softmax is float32, or float64 for float64.

    Args:
      width: features of the input and of the output.
      heads: a divisor of ``width``; each has ``width / heads`` features, an even number.
      kv_heads: of keys and values, a divisor of ``heads``, by default all: fewer save memory when tokens are generated
        (grouped-query attention, Ainslie et al. 2023, https://arxiv.org/abs/2305.13245).
      qk_norm: whether queries and keys are normalised over the features of a head (:func:`~jaxlab.models.norm.rms_norm`
        without gains), so that no score grows without bound (https://arxiv.org/abs/2302.05442).
      out_init: initializer of ``out``, which adds to the residual stream.
      rngs: for the initial weights.

    Raises:
      ValueError: a width that the heads do not divide, or an odd size of a head; ``kv_heads`` that do not divide the
        heads.

    Parameters: ``query/kernel`` and ``out/kernel`` [width, width], ``key/kernel`` and ``value/kernel``
    [width, kv_heads * size].
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        qk_norm: bool = False,
        out_init: jax.nn.initializers.Initializer,
        rngs: nnx.Rngs,
    ) -> None:
        hyper.integer("heads", heads, at_least=1)
        if width % heads or (width // heads) % 2:
            raise ValueError(f"heads = {heads}: accepted divide width = {width} into even sizes")
        kv_heads = heads if kv_heads is None else hyper.integer("kv_heads", kv_heads, at_least=1)
        if heads % kv_heads:
            raise ValueError(f"kv_heads = {kv_heads}: accepted are divisors of heads = {heads}")
        self.heads, self.kv_heads, self.qk_norm = heads, kv_heads, hyper.flag("qk_norm", qk_norm)
        grouped = width // heads * kv_heads
        self.query, self.key, self.value = (dense(width, size, rngs=rngs) for size in (width, grouped, grouped))
        self.out = dense(width, width, kernel_init=out_init, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
        """The gathered features."""
        # Where the sequence is cut, every device needs the keys and values of all of it, for its own queries.
        query, key = self._turned(self.query, x, "sequence"), self._turned(self.key, x, None)
        return self._out(attended(query, key, self._by_head(self.value, x, None)))

    def following(
        self, x: Float[Array, "batch length width"], past: Past, position: Int[Array, ""], window: int | None = None
    ) -> tuple[Float[Array, "batch length width"], Past]:
        """The gathered features of positions that follow a past, and the past with them.

        Args:
          x: features from ``position`` on.
          past: keys and values of the positions before; it has room for these.
          position: that of the first of ``x``; traced or not.
          window: how many positions each sees at most, itself among them; by default all up to it.
        """
        new = Past(self._turned(self.key, x, None, position), self._by_head(self.value, x, None))
        past = Past(*(_written(old, some, position) for old, some in zip(past, new, strict=True)))
        query = self._turned(self.query, x, None, position)
        back = position + jnp.arange(x.shape[1])[:, None] - jnp.arange(past.key.shape[1])
        seen = (back >= 0) & (back < (past.key.shape[1] if window is None else window))
        return self._out(attended(query, past.key, past.value, seen)), past

    def _by_head(
        self, layer: Linear, x: Float[Array, "batch length width"], sequence: str | None
    ) -> Float[Array, "batch length heads size"]:
        features = layer(x)
        return constrain(features.reshape(*x.shape[:2], -1, x.shape[2] // self.heads), "batch", sequence, "heads")

    def _turned(self, layer: Linear, x: Array, sequence: str | None, position: Int[Array, ""] | int = 0) -> Array:
        """Queries or keys, normalised if asked for, turned by their positions."""
        features = self._by_head(layer, x, sequence)
        return rotate(rms_norm(features) if self.qk_norm else features, position=position)

    def _out(self, gathered: Float[Array, "batch length heads size"]) -> Float[Array, "batch length width"]:
        return self.out(gathered.reshape(*gathered.shape[:2], -1))


def _written(old: Array, new: Array, position: Int[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), position, axis=1)
