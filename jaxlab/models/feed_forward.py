"""The feed-forward layers of a transformer's block."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxlab.core import hyper
from jaxlab.models.attention import dense
from jaxlab.sharding.constrain import constrain


def squared_relu(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The square of what is positive, zero elsewhere.

    Reference: So et al., Primer, https://arxiv.org/abs/2109.08668, section 4.

    >>> squared_relu(jnp.array([-1.0, 3.0])).tolist()
    [0.0, 9.0]
    """
    return jnp.square(jax.nn.relu(x))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu2": squared_relu,
    "swiglu": jax.nn.silu,
}
"""What :class:`FeedForward` applies to its hidden features, by name."""


class FeedForward(nnx.Module):
    r"""Two layers for each position alone, with a nonlinearity between.

    .. math::
        W_{\text{down}}\, \operatorname{gelu}(W_{\text{up}} x), \quad
        W_{\text{down}} \max(0, W_{\text{up}} x)^2 \quad\text{or}\quad
        W_{\text{down}} \left(\operatorname{silu}(W_{\text{gate}} x) \odot W_{\text{up}} x\right)

    for ``"gelu"``, ``"relu2"`` and ``"swiglu"``. The last has three matrices; with two thirds of the hidden features it
    is as large as the others.

    Args:
      width: features of the input and of the output.
      hidden: features between.
      activation: one of the three.
      out_init: initializer of ``down``, which adds to the residual stream.
      rngs: for the initial weights.

    Raises:
      ValueError: an unknown activation.

    Parameters: ``up/kernel`` [width, hidden], ``down/kernel`` [hidden, width], and ``gate/kernel`` like ``up`` for
    ``"swiglu"``.

    References: squared ReLU https://arxiv.org/abs/2109.08668; SwiGLU https://arxiv.org/abs/2002.05202, equation 6.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        activation: str = "gelu",
        out_init: jax.nn.initializers.Initializer,
        rngs: nnx.Rngs,
    ) -> None:
        self.activation = hyper.one_of("activation", activation, tuple(ACTIVATIONS))
        self.up = dense(width, hidden, rngs=rngs)
        self.gate = dense(width, hidden, rngs=rngs) if activation == "swiglu" else None
        self.down = dense(hidden, width, kernel_init=out_init, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
        """The features of each position."""
        nonlinear = ACTIVATIONS[self.activation]
        hidden = nonlinear(self.up(x)) if self.gate is None else nonlinear(self.gate(x)) * self.up(x)
        return self.down(constrain(hidden, "batch", "sequence", "hidden"))
