"""The multilayer perceptron."""

from collections.abc import Callable, Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxlab.core import hyper
from jaxlab.models.dropout import dropout
from jaxlab.models.linear import Linear
from jaxlab.sharding.rules import Rules

HE = jax.nn.initializers.he_normal()
LECUN = jax.nn.initializers.lecun_normal()


class MLP(nnx.Module):
    r"""Dense layers with an activation between, linear at the end.

    .. math::
        h_0 = x, \quad h_{i+1} = \phi(h_i W_i + b_i), \quad y = h_L W_L + b_L

    Weights are normal with variance 2 / fan-in before an activation and 1 / fan-in at the end; biases start
    at zero. ``MLP((d, k))`` without hidden layers is a linear model.

    Args:
      sizes: features of the input, of each hidden layer, of the output.
      activation: :math:`\phi`.
      dropout: probability of dropping a hidden feature, when the call is given a key.
      rngs: for the initial weights.

    Raises:
      ValueError: fewer than two sizes, a size below 1, a rate outside [0, 1).
      TypeError: a size that is no integer.

    Parameters: ``dense_0/kernel`` [sizes[0], sizes[1]], ``dense_0/bias`` [sizes[1]], and so on.

    >>> import jax.numpy as jnp
    >>> MLP((4, 16, 3), rngs=nnx.Rngs(0))(jnp.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"sizes = {tuple(sizes)}: accepted are at least two, of the input and of the output")
        widths = [hyper.integer("sizes", size, at_least=1) for size in sizes]
        hyper.number("dropout", dropout, "[0, 1)")
        self.activation = activation
        self.dropout = dropout
        self.last = len(widths) - 2
        for i in range(self.last + 1):
            kernel_init = LECUN if i == self.last else HE
            layer = Linear(widths[i], widths[i + 1], kernel_init=kernel_init, rngs=rngs)
            setattr(self, f"dense_{i}", layer)

    def __call__(self, x: Float[Array, "batch in"], key: Key[Array, ""] | None = None) -> Float[Array, "batch out"]:
        """The output; with a key, hidden features are dropped."""
        for i in range(self.last):
            x = self.activation(getattr(self, f"dense_{i}")(x))
            x = dropout(x, self.dropout, None if key is None else jax.random.fold_in(key, i))
        return getattr(self, f"dense_{self.last}")(x)

    def tensor_rules(self) -> Rules:
        """Layers in pairs, the first cut by columns, the second by rows; an odd last layer is whole.

        What lies between the two is cut as the first one's columns are, and nothing is sent before the sums of the
        second. See :meth:`~jaxlab.models.pure.PureModel.tensor_rules`.
        """
        rules: list[tuple[str, tuple[str | None, ...]]] = []
        for i in range(0, self.last, 2):
            rules += [
                (f"dense_{i}/kernel$", (None, "tensor")),
                (f"dense_{i}/bias$", ("tensor",)),
                (f"dense_{i + 1}/kernel$", ("tensor", None)),
            ]
        return tuple(rules)
