"""What the backward pass of a block makes again instead of keeping it."""

from collections.abc import Callable
from typing import Any

import jax

from jaxlab.core import hyper

REMATS = ("none", "dots", "full")
"""``"none"`` keeps all that the backward pass reads; ``"dots"`` the results of products with weights, and makes the
rest again, which costs little time; ``"full"`` only what comes in: the least memory, for one more forward pass."""


def rematerialized(function: Callable[..., Any], remat: str) -> Callable[..., Any]:
    """The function, whose backward pass keeps no more than that.

    Args:
      function: of arrays.
      remat: one of :data:`REMATS`.

    Raises:
      ValueError: an unknown word.

    Reference: Chen et al., https://arxiv.org/abs/1604.06174.

    >>> import jax.numpy as jnp
    >>> float(jax.grad(rematerialized(jnp.sin, "full"))(0.0))
    1.0
    """
    match hyper.one_of("remat", remat, REMATS):
        case "dots":
            return jax.checkpoint(function, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable)
        case "full":
            return jax.checkpoint(function)
        case _:
            return function
