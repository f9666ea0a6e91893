"""The product of hidden states with a head: as fast as their dtype allows, and summed in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from jaxlab.core import hyper


def head_logits(
    hidden: Real[Array, "*batch width"], kernel: Real[Array, "width classes"]
) -> Float[Array, "*batch classes"]:
    """``hidden @ kernel`` in float32 (float64 under ``jax_enable_x64``): logits that are not rounded to half precision.

    The product is made of what comes in: where both are bfloat16, or both float16, of such numbers with sums in
    float32, as tensor cores and TPUs make it, and so are the two products of the backward pass, for which the gradient
    of the logits is rounded to that dtype. Everything else is cast to float32 before.

    Args:
      hidden: features on the last axis.
      kernel: the head.

    >>> hidden, kernel = jnp.ones((3, 256), jnp.bfloat16), jnp.ones((256, 2), jnp.bfloat16).at[0].set(2)
    >>> head_logits(hidden, kernel)[0].tolist(), (hidden @ kernel)[0].tolist()  # between 256 and 258 is none
    ([257.0, 257.0], [256.0, 256.0])
    """
    full = hyper.arithmetic_dtype()
    if hidden.dtype == kernel.dtype and hidden.dtype in (jnp.bfloat16, jnp.float16):
        return _half_product(hidden, kernel).astype(full)
    return hidden.astype(full) @ kernel.astype(full)


@jax.custom_jvp
def _half_product(hidden: Array, kernel: Array) -> Float[Array, "*batch classes"]:
    return jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32)


@_half_product.defjvp
def _half_product_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # The rule of JAX itself would hand the float32 gradient to the products of the backward pass. The transpose of
    # this cast rounds it; and what remains are products, to be differentiated as often as anybody likes.
    (hidden, kernel), (along_hidden, along_kernel) = primals, tangents
    return _half_product(hidden, kernel), (along_hidden @ kernel + hidden @ along_kernel).astype(jnp.float32)
