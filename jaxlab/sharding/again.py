"""What the backward pass gathers again, where devices share parameters."""

from collections.abc import Callable
from typing import Any

import jax

MOVED = {
    "broadcast_in_dim",
    "convert_element_type",
    "reshape",
    "reshard",
    "sharding_constraint",
    "squeeze",
    "transpose",
}
"""What is done again in the backward pass. A layer that casts or turns its gathered weights first would keep the
result, as large as they are; done again it costs next to nothing."""


def gathered_again(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose backward pass gathers the parameters again that the function gathers, and keeps all else.

    Kept from the forward pass on, all of them would be whole on every device in between.

    Args:
      function: of what devices share among them.
    """
    return jax.checkpoint(function, policy=_made)


def _made(primitive: Any, *_: Any, **parameters: Any) -> bool:
    """What the forward pass keeps for the backward pass: all but what is moved, cast or given another shape."""
    inner = parameters.get("call_jaxpr")
    names = {primitive.name} if inner is None else {equation.primitive.name for equation in inner.eqns}
    return not names <= MOVED
