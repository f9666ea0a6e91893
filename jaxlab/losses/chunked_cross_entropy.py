"""Cross entropy of a language model's head, without ever holding all its logits."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real, Shaped

from jaxlab.core import hyper
from jaxlab.losses import classes
from jaxlab.losses import reduction as common
from jaxlab.losses.cross_entropy import cross_entropy
from jaxlab.losses.head import head_logits
from jaxlab.losses.z_loss import z_loss


def chunked_cross_entropy(
    hidden: Real[ArrayLike, "*batch width"],
    labels: Shaped[ArrayLike, "..."],
    kernel: Real[ArrayLike, "width classes"],
    label_smoothing: hyper.Scalar = 0.0,
    ignore_index: int | None = None,
    *,
    z_loss_strength: hyper.Scalar = 0.0,
    chunk_size: int = 1024,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> Float[Array, "..."]:
    r"""``cross_entropy(hidden @ kernel, labels) + z_loss(hidden @ kernel)``, a chunk of tokens at a time.

    With 128,000 classes the logits of 8,192 tokens fill 4 GB in float32, and their gradient as much again. Here
    a chunk's logits are made, reduced to losses and forgotten; the backward pass makes them again.

    Args:
      hidden: what goes into the head, features on the last axis, any real dtype. Logits are float32 (float64 under
        ``jax_enable_x64``) whatever it is; where ``hidden`` and ``kernel`` are both bfloat16, or both float16, the
        products are made of such numbers (:func:`~jaxlab.losses.head.head_logits`).
      labels: whole numbers, one for each token. An index that is no class makes its token's loss and gradient
        NaN.
      kernel: the head; no bias. Its gradient is summed over chunks in float32.
      label_smoothing: in [0, 1], as in :func:`jaxlab.losses.cross_entropy`.
      ignore_index: tokens with this label count for nothing, whether or not it is a class.
      z_loss_strength: of at least 0, as in :func:`jaxlab.losses.z_loss`; 0 for none.
      chunk_size: tokens in a chunk, at most; static.
      weights: one for each token, or shaped like their leading axes; booleans select. Where a weight is 0
        nothing counts, not even NaN.
      reduction: ``"mean"``, :math:`\sum w l / \sum w` over what is not ignored (0 where that is nothing),
        ``"sum"`` or ``"none"``.

    Raises:
      ValueError: shapes that do not fit, numbers outside their range, an unknown reduction.
      TypeError: labels that are no integers, complex numbers, a ``chunk_size`` or ``ignore_index`` that is no
        integer.

    Memory: besides arguments and gradients, a few times ``chunk_size * classes`` numbers, and the kernel once
    more where it is not float32. Time: four products with the kernel instead of three.

    Reference: as the paper on training deep nets with sublinear memory cost does for layers,
    https://arxiv.org/abs/1604.06174.

    >>> hidden, kernel = jnp.ones((5, 2)), jnp.zeros((2, 4))
    >>> loss = chunked_cross_entropy(hidden, jnp.array([0, 3, 2, 1, -1]), kernel, ignore_index=-1, chunk_size=2)
    >>> round(loss.item(), 5)  # log(4)
    1.38629
    """
    loss, _ = chunked_terms(
        hidden,
        labels,
        kernel,
        label_smoothing,
        ignore_index,
        z_loss_strength=z_loss_strength,
        chunk_size=chunk_size,
        weights=weights,
        reduction=reduction,
    )
    return loss


def chunked_terms(
    hidden: Real[ArrayLike, "*batch width"],
    labels: Shaped[ArrayLike, "..."],
    kernel: Real[ArrayLike, "width classes"],
    label_smoothing: hyper.Scalar = 0.0,
    ignore_index: int | None = None,
    *,
    z_loss_strength: hyper.Scalar = 0.0,
    chunk_size: int = 1024,
    weights: Shaped[ArrayLike, "..."] | None = None,
    reduction: str = "mean",
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """:func:`chunked_cross_entropy`, and of it the cross entropy alone, to be shown: it has no gradient.

    >>> loss, entropy = chunked_terms(jnp.ones((5, 2)), jnp.arange(5) % 4, jnp.zeros((2, 4)), z_loss_strength=1.0)
    >>> round(loss.item(), 4), round(entropy.item(), 4)  # log(4) and its square, log(4)
    (3.3081, 1.3863)
    """
    label_smoothing = hyper.number("label_smoothing", label_smoothing, "[0, 1]")
    strength = hyper.number("z_loss_strength", z_loss_strength, "[0, inf)")
    chunk_size = hyper.integer("chunk_size", chunk_size, at_least=1)
    common.check_real("hidden", hidden)
    kernel_dtype, kernel = jnp.result_type(kernel), common.real("kernel", kernel)
    common.check_has_classes("kernel", kernel)
    if jnp.ndim(hidden) == 0 or jnp.ndim(kernel) != 2 or jnp.shape(hidden)[-1] != jnp.shape(kernel)[0]:
        raise ValueError(
            f"hidden has shape {jnp.shape(hidden)}, kernel {jnp.shape(kernel)}: "
            "accepted are (..., width) and (width, classes)"
        )
    batch = jnp.shape(hidden)[:-1]
    index = classes.indices("hidden", jnp.shape(hidden), labels)
    weights = classes.ignore(common.spread(weights, batch), index, ignore_index)

    def losses(hidden: Array, index: Array, seen: Array) -> tuple[Array, Array]:
        # NaN goes before the product: otherwise it would come back in the kernel's gradient. The kernel is cast back
        # here, and not used as it came, so that the loop over chunks sums its gradient in float32.
        logits = head_logits(jnp.where(seen[:, None], hidden, 0), kernel.astype(kernel_dtype))
        entropy = cross_entropy(logits, index, label_smoothing, weights=seen, reduction="none")
        penalty = z_loss(logits, strength, weights=seen, reduction="none")
        # Two outputs with gradients would keep the gradients of two chunks of logits.
        return entropy + penalty, jax.lax.stop_gradient(entropy)

    tokens = (jnp.asarray(hidden).reshape(-1, kernel.shape[0]), index.reshape(-1), weights.reshape(-1) != 0)
    # A checkpoint keeps only a chunk's arguments. What would stop XLA from keeping the logits all the same
    # (prevent_cse) is needed outside of loops alone, and would cost.
    terms = _in_chunks(jax.checkpoint(losses, prevent_cse=False), tokens, chunk_size)
    loss, entropy = (common.reduce(values.reshape(batch), weights, reduction) for values in terms)
    return loss, entropy


def _in_chunks(
    function: Callable[..., tuple[Float[Array, " rows"], ...]],
    arrays: tuple[Shaped[Array, "tokens ..."], ...],
    chunk_size: int,
) -> tuple[Float[Array, " tokens"], ...]:
    """A function of rows, applied to at most ``chunk_size`` of them at a time; rows of zeros fill the last chunk."""
    tokens = len(arrays[0])
    chunks = max(1, -(-tokens // chunk_size))
    rows = -(-tokens // chunks)

    # A chunk takes every chunks-th token, not a run of them: where tokens are spread over devices, each device
    # then has its share of every chunk.
    def split(x: Shaped[Array, "tokens ..."]) -> Shaped[Array, "chunks rows ..."]:
        filled = jnp.concatenate([x, jnp.zeros((rows * chunks - tokens, *x.shape[1:]), x.dtype)])
        return filled.reshape(rows, chunks, *x.shape[1:]).swapaxes(0, 1)

    results = jax.lax.map(lambda chunk: function(*chunk), tuple(split(x) for x in arrays))
    return tuple(values.swapaxes(0, 1).reshape(-1)[:tokens] for values in results)
